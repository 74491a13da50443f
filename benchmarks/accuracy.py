"""Trainings on CamVid: what the recipe gives, what each part of it, what longer, what synthetic.

`python benchmarks/accuracy.py list` prints the command of each row. `... run ROW --seed 1` (with
$CAMVID and $B0_WEIGHTS set) trains it below runs/, or goes on where it stopped, evaluates it and
writes one JSON into docs/results; a run of the same config that was trained by hand is taken as it
is. A row that starts from another one's segmenter needs that one before. `... write` puts the
tables of all JSONs into docs/results.md and README.md.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from accuracy_rows import ROWS, Row
from accuracy_tables import RESULTS, write
from hydra import compose, initialize_config_dir

from effunet.commands.benchmark.machine import cpu_name
from effunet.training.config.read import to_config, to_plain
from effunet.training.config.schema import Config
from effunet.training.launch import prepare
from effunet.training.overrides import conf_folder
from effunet.training.resume import flat, read_config

EFFUNET = [sys.executable, "-m", "effunet"]
PLACES = ("name", "num_workers", "save_every", "loggers", "resume", "dataset.root", "dataset.check")
"""Keys of a config that change no result."""


def run(row: Row, seed: int, threads: int) -> None:
    """Train a row to its end, evaluate it, and write its JSON."""
    folder = Path("runs") / f"{row.name}-{seed}"
    words = [os.path.expandvars(word) for word in shlex.split(row.command(seed))[2:]]
    clock = folder.with_suffix(".seconds")
    if not (folder / "metrics.json").is_file():
        known = float(clock.read_text()) if clock.is_file() else 0.0
        begun = [f"resume={folder}"] if folder.is_dir() else [*words, f"name={folder.name}"]
        started = time.perf_counter()
        code = _call("train", *begun, threads=threads)
        clock.write_text(str(known + time.perf_counter() - started))
        if code:
            sys.exit(code)
    config = read_config(folder)
    require_same(composed(words), config, folder)
    if config.dataset.name == "camvid":
        scores = _scores(json.loads((folder / "metrics.json").read_text()))
    else:
        scores = _evaluated(folder, "val", "", threads)
    result = {
        "row": row.name,
        "seed": seed,
        "command": row.command(seed),
        "seconds": round(float(clock.read_text())) if clock.is_file() else None,
        "threads": threads,
        "cpu": cpu_name(),
        "torch": torch.__version__,
        "val": scores,
        "test": {way: _evaluated(folder, "test", way, threads) for way in row.test},
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{folder.name}.json").write_text(json.dumps(result, indent=1) + "\n")


def composed(words: list[str]) -> Config:
    """Give the config that override words stand for."""
    prepare()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return to_config(compose("config", words))


def require_same(asked: Config, trained: Config, folder: Path) -> None:
    """Stop where a run was trained under another config than its row says."""
    one, other = flat(to_plain(asked)), flat(to_plain(trained))
    differing = [
        f"{key} {other[key]} instead of {value}"
        for key, value in one.items()
        if value != other[key] and key not in PLACES
    ]
    if differing:
        sys.exit(f"{folder} is a run of another config: {', '.join(differing)}")


def _evaluated(folder: Path, split: str, way: str, threads: int) -> dict[str, Any]:
    """Evaluate a run on a split of CamVid in a way to predict, such as "--flip"."""
    words = ("evaluate", str(folder), "--data", "camvid", "--split", split, "--json", *way.split())
    return _scores(json.loads(_call(*words, threads=threads, answer=True)))


def _scores(metrics: dict[str, Any]) -> dict[str, Any]:
    """Keep of a metrics.json what the tables show."""
    return {
        "miou": metrics["miou"],
        "interval": metrics["intervals"]["miou"],
        "image_miou": metrics["image_miou"],
        "boundary_iou": metrics["boundary_iou"],
        "classes": {one["name"]: one["iou"] for one in metrics["classes"]},
    }


def _call(*words: str, threads: int, answer: bool = False) -> Any:
    """Run effunet on so many threads; its exit code, or what it prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    if answer:
        return subprocess.check_output([*EFFUNET, *words], env=environment, text=True)
    return subprocess.call([*EFFUNET, *words], env=environment)


def main() -> None:
    """Do what the words say."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parts = parser.add_subparsers(dest="part", required=True)
    parts.add_parser("list")
    parts.add_parser("write")
    running = parts.add_parser("run")
    running.add_argument("row", choices=[row.name for row in ROWS])
    running.add_argument("--seed", type=int, default=1)
    running.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    if args.part == "list":
        print("\n".join(f"{row.name:24} {row.command()}" for row in ROWS))
    elif args.part == "write":
        write()
    else:
        run(next(row for row in ROWS if row.name == args.row), args.seed, args.threads)


if __name__ == "__main__":
    main()
