"""Answers of the rows of benchmarks/training.py -> one JSON object, and a table to read."""

import argparse
import os
import statistics
from typing import Any

import torch
from floor import count
from steps import ROWS
from turns import Answer, ratio

from effunet.commands.benchmark.machine import cpu_name

COMMON = ("encoder", "size", "batch", "classes", "precision", "threads", "rounds", "steps")
OPTIONS = ("-checkpointing", "-compile")  # rows that are set beside the same without


def result(
    args: argparse.Namespace,
    rounds: list[dict[str, Answer]],
    left_out: dict[str, str],
    differences: dict[str, float],
) -> dict[str, Any]:
    """Give medians a row and ratios a pair of rows; all times are of one step, in seconds."""
    names = list(rounds[0])
    times = {name: [answers[name]["seconds"] for answers in rounds] for name in names}
    median = {name: statistics.median(row) for name, row in times.items()}
    best = min(
        (name for name in names if name.startswith("smp")),
        key=lambda name: median[name],
        default=None,
    )
    floors = _floors(args, names) if args.device == "cuda" else {}
    rate = max((rounds[-1][name]["copy_bytes_per_s"] or 0.0 for name in names), default=0.0)
    rows: dict[str, Any] = {}
    for name in names:
        last = rounds[-1][name]
        speed = args.batch / median[name]
        rows[name] = {
            "median_s": median[name],
            "images_per_s": speed,
            "smp_over_this": ratio(times["smp"], times[name]) if "smp" in times else None,
            "best_smp_over_this": ratio(times[best], times[name]) if best else None,
            "saved_bytes": last["saved_bytes"],
            "held_bytes": last["held_bytes"],
            "peak_bytes": last["peak_bytes"],
        }
        floor = floors.get(name.split("-")[0])
        if floor:
            share = speed * floor["fused"] / rate
            rows[name] |= {"floor_bytes": floor["fused"], "share_of_floor": share}
    over: dict[str, list[float]] = {}
    for name in names:
        plain = name.rsplit("-", 1)[0]
        if name.endswith(OPTIONS) and plain in times:
            over[f"{name} / {plain}"] = ratio(times[name], times[plain])
    return {
        **{name: getattr(args, name) for name in COMMON},
        "machine": _machine(args.device),
        "copy_bytes_per_s": rate or None,
        "equal_work": differences,
        "best_smp": best,
        "rows": rows,
        "time_over_plain": over,
        "left_out": left_out,
    }


def table(found: dict[str, Any]) -> str:
    """Write the same for people."""
    clock = "by the clock" if found["threads"] > 1 or "gpu" in found["machine"] else "CPU time"
    saved = [row["saved_bytes"] for name, row in found["rows"].items() if name == "smp"]
    lines = [
        f"{found['encoder']}, {found['batch']} x {found['size']} x {found['size']}, "
        f"{found['classes']} classes, precision {found['precision']}, "
        f"{found['rounds']} rounds, {clock}; {', '.join(found['machine'].values())}",
        "",
        f"{'row':24} {'ms':>8} {'images/s':>9}  {'x smp':^19} {'x best smp':>10} "
        f"{'saved MB':>9} {'of smp':>7} {'held MB':>8} {'peak MB':>8}"
        + ("  of floor" if found["copy_bytes_per_s"] else ""),
    ]
    for name, row in found["rows"].items():
        of_smp = row["saved_bytes"] / saved[0] if saved and row["saved_bytes"] else None
        lines.append(
            f"{name:24} {row['median_s'] * 1e3:8.1f} {row['images_per_s']:9.2f}  "
            f"{_range(row['smp_over_this']):19} {_median(row['best_smp_over_this']):>10} "
            f"{_megabytes(row['saved_bytes']):>9} {'-' if of_smp is None else f'{of_smp:.3f}':>7} "
            f"{_megabytes(row['held_bytes']):>8} {_megabytes(row['peak_bytes']):>8}"
            + (f"  {row['share_of_floor']:8.0%}" if "share_of_floor" in row else "")
        )
    lines += ["", f"best smp: {found['best_smp']}"] if found["best_smp"] else [""]
    lines += [f"time of {pair}: {_range(row)}" for pair, row in found["time_over_plain"].items()]
    lines += [f"{name} is left out: {why}" for name, why in found["left_out"].items()]
    if found["equal_work"]:
        differences = (f"{name} {value:.0e}" for name, value in found["equal_work"].items())
        lines.append(f"smp's U-Net and ours differ, relatively: {', '.join(differences)}")
    lines += [f"{name}: {ROWS[name]}" for name in found["rows"]]
    return "\n".join(lines)


def _floors(args: argparse.Namespace, names: list[str]) -> dict[str, Any]:
    return {name: count(name, args) for name in {row.split("-")[0] for row in names}}


def _machine(device: str) -> dict[str, str]:
    found = {"cpu": f"{cpu_name()} ({os.cpu_count()} cores)", "torch": f"torch {torch.__version__}"}
    return {"gpu": torch.cuda.get_device_name(), **found} if device == "cuda" else found


def _range(row: list[float] | None) -> str:
    return "-" if row is None else f"{row[0]:.2f} ({row[1]:.2f} to {row[2]:.2f})"


def _median(row: list[float] | None) -> str:
    return "-" if row is None else f"{row[0]:.2f}"


def _megabytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e6:.0f}"
