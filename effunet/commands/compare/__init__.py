"""The words of `effunet compare`: finished evaluations side by side, accuracy against size."""

from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

from effunet.commands.words import add_debug, size

Commands = Any
"""What argparse calls _SubParsersAction, and does not name in public."""


def run(arguments: Namespace) -> int:
    """Print and draw, and return the exit code."""
    return import_module("effunet.commands.compare.show").run(arguments)


def add_parser(commands: Commands) -> None:
    """Add `compare` to the command line."""
    compare = commands.add_parser(
        "compare",
        help="mIoU against parameters, multiply-adds and latency of finished evaluations",
        description="Collect finished evaluations, of one dataset and split, into one table and "
        "chart. Folders without one are named and left out.",
    )
    compare.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="runs, or what effunet evaluate --out wrote",
    )
    compare.add_argument(
        "--latency",
        type=Path,
        metavar="FILE",
        help="what effunet benchmark --out FILE wrote of the same segmenters",
    )
    compare.add_argument(
        "--size",
        type=size,
        metavar="HxW",
        help="of the image whose multiply-adds are counted; default: what the first was trained at",
    )
    compare.add_argument(
        "--published",
        action="store_true",
        help="published segmenters of the same dataset and split beside them, in grey",
    )
    compare.add_argument("--out", type=Path, metavar="FILE", help="write the chart, a PNG")
    compare.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    add_debug(compare)
