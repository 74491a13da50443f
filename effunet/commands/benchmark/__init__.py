"""The words of `effunet benchmark`: what segmenters cost on this machine."""

import argparse
import math
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

from effunet.commands.words import MODEL, add_debug, add_device, size, whole

Commands = Any
"""What argparse calls _SubParsersAction, and does not name in public."""


def run(arguments: Namespace) -> int:
    """Measure, and return the exit code."""
    return import_module("effunet.commands.benchmark.measure").run(arguments)


def add_parser(commands: Commands) -> None:
    """Add `benchmark` to the command line."""
    benchmark = commands.add_parser(
        "benchmark",
        help="what segmenters cost here: latency, throughput, memory, multiply-adds, size",
        description="Measure what a segmenter costs on this machine: latency, throughput, peak "
        "memory, multiply-adds, parameters, bytes. Each runs in a process of its own, pinned to "
        "its cores; several take turns, round by round, and are compared with the first. "
        "docs/speed.md says what each number is.",
    )
    benchmark.add_argument("models", nargs="+", metavar="MODEL", help=MODEL)
    add_debug(benchmark)
    benchmark.add_argument(
        "--size",
        nargs="+",
        type=size,
        metavar="HxW",
        help="heights and widths of the images, like 512 1024x2048; default: the size that the "
        "first MODEL was trained at, or 512",
    )
    benchmark.add_argument(
        "--batch",
        type=whole(1024),
        default=1,
        metavar="N",
        help="images at once; above 1 the network alone is measured, for prediction takes one "
        "image at a time; default: 1",
    )
    benchmark.add_argument(
        "--threads",
        type=whole(1024),
        metavar="N",
        help="threads, each on a core of its own; default: all cores that the process may use",
    )
    length = benchmark.add_mutually_exclusive_group()
    length.add_argument(
        "--rounds",
        type=whole(100_000),
        metavar="N",
        help="rounds that count; default: 10 or more, until --seconds are over",
    )
    length.add_argument(
        "--seconds",
        type=_seconds,
        default=10.0,
        metavar="S",
        help="time for a model at a size; default: 10",
    )
    add_device(benchmark)
    benchmark.add_argument("--json", action="store_true", help="print all of it as JSON alone")
    benchmark.add_argument(
        "--out", type=Path, metavar="FILE", help="write all of it as JSON into FILE, too"
    )


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found <= 3600:
        raise argparse.ArgumentTypeError(f"a number of seconds up to 3600, got {text!r}")
    return found
