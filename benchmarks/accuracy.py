"""Trainings on CamVid: what the recipe gives, what each part of it, what longer, what synthetic.

`python benchmarks/accuracy.py list` prints the command of each row. `... run ROW --seed 1` (with
$CAMVID and $B0_WEIGHTS set) trains it below runs/, or goes on where it stopped, evaluates it and
writes one JSON into docs/results; a run of the same config that was trained by hand is taken as it
is. A row that starts from another one's segmenter needs that one before. `... write` puts the
tables of all JSONs into docs/results.md and README.md, and draws README.md's chart.
"""

import argparse
import json
import os
import shlex
import signal
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
from effunet.training import initial
from effunet.training.config.read import to_config, to_plain
from effunet.training.config.schema import Config
from effunet.training.launch import prepare
from effunet.training.overrides import conf_folder
from effunet.training.resume import FREE, flat, read_config

EFFUNET = [sys.executable, "-m", "effunet"]
PLACES = (*FREE, "name", "dataset.root", "dataset.check")
"""Keys of a config that change no result."""


def run(row: Row, seed: int, threads: int) -> None:
    """Train a row to its end, evaluate it, and write its JSON."""
    folder = Path("runs") / f"{row.name}-{seed}"
    words = [os.path.expandvars(word) for word in shlex.split(row.command(seed))[2:]]
    if (folder / "config.yaml").is_file():
        require_same(composed(words), read_config(folder), folder)
    if not (folder / "metrics.json").is_file():
        _train(folder, words, threads)
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
        **_begun(folder),
        "val": scores,
        "test": {way: _evaluated(folder, "test", way, threads) for way in row.test},
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{folder.name}.json").write_text(json.dumps(result, indent=1) + "\n")


def _train(folder: Path, words: list[str], threads: int) -> None:
    """Train, or go on; keep how long, on what and by which code beside the run's folder."""
    begun = _begun(folder) if folder.is_dir() else {}
    if not begun.get("commit"):
        begun["commit"] = _commit()
    begun |= {"threads": threads, "cpu": cpu_name(), "torch": torch.__version__}
    file, known = folder.with_suffix(".begun"), begun.get("seconds") or 0
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(begun))  # kept even where all of us is killed
    started = time.perf_counter()
    training = subprocess.Popen(
        [*EFFUNET, "train", *([f"resume={folder}"] if folder.is_dir() else words)],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )
    # Ctrl-C reaches the training, too, which saves its step before it ends.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = training.wait()
    signal.signal(signal.SIGINT, before)
    begun["seconds"] = known + round(time.perf_counter() - started)
    file.write_text(json.dumps(begun))
    if code:
        sys.exit(code)


def _commit() -> str:
    """Name the commit that trains, and whether the code differs from it."""
    name = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD"], text=True).strip()
    code = ("effunet", "conf", "data", "benchmarks")
    clean = subprocess.call(["git", "diff", "--quiet", "HEAD", "--", *code]) == 0
    return name if clean else f"{name}-dirty"


def _begun(folder: Path) -> dict[str, Any]:
    """What is known of a training; of one that was started by hand nothing is."""
    empty = dict.fromkeys(("commit", "seconds", "threads", "cpu", "torch"))
    file = folder.with_suffix(".begun")
    return empty | (json.loads(file.read_text()) if file.is_file() else {})


def composed(words: list[str]) -> Config:
    """Give the config that override words stand for, with what `init_from` decides."""
    prepare()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return initial.settled(to_config(compose("config", words)))


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
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    return _scores(json.loads(subprocess.check_output([*EFFUNET, *words], env=environment)))


def _scores(metrics: dict[str, Any]) -> dict[str, Any]:
    """Keep of a metrics.json what the tables show."""
    return {
        "miou": metrics["miou"],
        "interval": metrics["intervals"]["miou"],
        "image_miou": metrics["image_miou"],
        "boundary_iou": metrics["boundary_iou"],
        "classes": {one["name"]: one["iou"] for one in metrics["classes"]},
    }


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
