"""The words of `effunet evaluate`: segmenters on a split of a dataset."""

import argparse
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

from effunet.commands.words import MODEL, add_debug, add_inference

Commands = Any
"""What argparse calls _SubParsersAction, and does not name in public."""


def run(arguments: Namespace) -> int:
    """Measure, and return the exit code."""
    return import_module("effunet.commands.evaluate.measure").run(arguments)


def add_parser(commands: Commands) -> None:
    """Add `evaluate` to the command line."""
    evaluate = commands.add_parser(
        "evaluate",
        help="measure segmenters on a dataset: mIoU with its interval, where they fail",
        description="Measure a segmenter on one split of a dataset, images and labels at their "
        "own size: mIoU and the other numbers with their intervals, where it fails and why. "
        "Several are compared, each with the first.",
    )
    evaluate.add_argument("models", nargs="+", metavar="MODEL", help=MODEL)
    add_debug(evaluate)
    evaluate.add_argument(
        "--data",
        required=True,
        metavar="NAME_OR_DIR",
        help="a folder name under data/, or a directory with a dataset.yaml; NAME:VARIANT for "
        "another reading of it",
    )
    evaluate.add_argument("--root", type=Path, metavar="DIR", help="where the dataset's files lie")
    evaluate.add_argument("--split", default="val", help="default: val")
    evaluate.add_argument(
        "--fold", type=int, metavar="K", help="fold to validate on, where dataset.yaml has folds"
    )
    evaluate.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write metrics.json, predictions.png and the report index.html here",
    )
    evaluate.add_argument("--json", action="store_true", help="print the metrics as JSON alone")
    evaluate.add_argument(
        "--strict", action="store_true", help="stop at the first image that cannot be read"
    )
    evaluate.add_argument(
        "--resamples",
        type=_resamples,
        default=1000,
        metavar="N",
        help="draws of the bootstrap behind the intervals; 0: no intervals; default: 1000",
    )
    evaluate.add_argument(
        "--calibrate",
        type=Path,
        metavar="FILE",
        help="fit a temperature (of two classes a threshold, too) on this split and write the "
        "segmenter that applies it to FILE",
    )
    add_inference(evaluate)


def _resamples(text: str) -> int:
    if not text.isdecimal() or int(text) not in {0, *range(100, 100_001)}:
        raise argparse.ArgumentTypeError(f"0, or 100 to 100000 draws, got {text!r}")
    return int(text)
