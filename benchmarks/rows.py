"""What the benchmarks of predictions have in common: words, the peer, a row's work, the table."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import turns
from networks import smp_unet
from turns import TUNABLES, Answer, Rows

from effunet.commands.benchmark.memory import peak

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Work = Callable[[], Any]


def arguments(description: str, names: tuple[str, ...]) -> argparse.ArgumentParser:
    """Give what every benchmark of rows takes."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--encoder", default="b0", help="b0 to b7")
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--row", choices=names, help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    return parser


def started(names: tuple[str, ...], weights: Path, threads: int) -> Rows:
    """Start the rows; each is this very script, told which one it is."""
    rows = Rows(threads)
    for name in names:
        tuned = {"GLIBC_TUNABLES": TUNABLES} if "tuned" in name else {}
        rows.start(name, [*sys.argv, "--row", name, "--weights", str(weights)], tuned)
    return rows


def serve(args: argparse.Namespace, work: Work, clock: bool, device: str = "cpu") -> None:
    """Do the row's work once for each line of the input, and tell what it took.

    The first result is kept beside the weights, to be compared. Times are by the `clock`, or of
    the processor.
    """
    base, kept = _peak_mb(device), args.weights.parent / f"{args.row}.npy"

    def turn() -> Answer:
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        if not kept.exists():
            if isinstance(result, torch.Tensor) and result.is_floating_point():
                result = result.float().cpu()
            np.save(kept, np.asarray(result))
        return {"seconds": wall if clock else cpu, "peak_mb": _peak_mb(device), "base_mb": base}

    turns.serve(turn)


def _peak_mb(device: str) -> int:
    """Most MB that the process has held so far, or on a GPU that torch has allocated there."""
    return (peak(device) or 0) // 2**20


def unet(args: argparse.Namespace) -> torch.nn.Module:
    """Build smp's network with the same fresh weights every time."""
    torch.manual_seed(0)
    return smp_unet(args.encoder, args.classes)


def result(
    rounds: list[dict[str, Answer]], pairs: dict[str, tuple[str, str]], **facts: Any
) -> dict[str, Any]:
    """Sum up the rounds: ratios as median, least and most of those within a round."""
    ratios: dict[str, Any] = {}
    for title, (theirs, ours) in pairs.items():
        found = [turn[theirs]["seconds"] / turn[ours]["seconds"] for turn in rounds]
        ratios[title] = [round(f(found), 2) for f in (statistics.median, min, max)]
    rows = {
        name: {
            "median_s": round(statistics.median(turn[name]["seconds"] for turn in rounds), 4),
            "least_s": round(min(turn[name]["seconds"] for turn in rounds), 4),
            "peak_mb": rounds[-1][name]["peak_mb"],
            "extra_mb": rounds[-1][name]["peak_mb"] - rounds[-1][name]["base_mb"],
        }
        for name in rounds[0]
    }
    return {**facts, "rounds": len(rounds), "ratios": ratios, "rows": rows}


def table(result: dict[str, Any]) -> str:
    """The same for the eye."""
    lines = [f"{'row':18} {'median s':>9} {'least s':>9} {'peak MB':>8} {'extra MB':>9}"]
    for name, row in result["rows"].items():
        lines.append(
            f"{name:18} {row['median_s']:9.3f} {row['least_s']:9.3f} {row['peak_mb']:8} "
            f"{row['extra_mb']:9}"
        )
    lines.append("")
    for title, (median, least, most) in result["ratios"].items():
        lines.append(f"{title:46} {median:6.2f} x ({least:.2f} to {most:.2f})")
    return "\n".join(lines)
