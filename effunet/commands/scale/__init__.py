"""The words of `effunet scale`: networks that grow by the compound law, and what fits a budget."""

import argparse
import re
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from effunet.commands.words import add_debug, add_device, size, whole

Commands = Any
"""What argparse calls _SubParsersAction, and does not name in public."""

UNITS = {
    "parameters": {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9},
    "MACs": {"": 1.0, "M": 1e6, "G": 1e9, "T": 1e12},
    "a time": {"s": 1.0, "ms": 1e-3},
    "a memory": {"M": 1e6, "MB": 1e6, "MiB": 2.0**20, "G": 1e9, "GB": 1e9, "GiB": 2.0**30},
}
EXAMPLES = {"parameters": "10M", "MACs": "5G", "a time": "20ms", "a memory": "8G"}


def run(arguments: Namespace) -> int:
    """Do what the second word says, and return the exit code."""
    return import_module(f"effunet.commands.scale.{arguments.what}").run(arguments)


def add_parser(commands: Commands) -> None:
    """Add `scale` to the command line."""
    scale = commands.add_parser(
        "scale",
        help="what EfficientNets of any scale cost, and the largest that fits a budget",
        description="Width, depth and resolution scaled together (Tan and Le 2019): what the "
        "networks cost as segmenters, and the largest one within a budget.",
    )
    whats = scale.add_subparsers(dest="what", metavar="WHAT", required=True)
    table = whats.add_parser(
        "table",
        help="B0 to B7 and the compound law side by side, with the published values",
        description="B0 to B7, and the law at phi -2 to 8: multipliers, widths, repeats, "
        "parameters, multiply-adds, memory; and where table and law part.",
    )
    _add_shape(table)
    table.add_argument("--json", action="store_true", help="one JSON object instead")
    plan = whats.add_parser(
        "plan",
        help="the largest network within budgets, and the command that trains it",
        description="The largest network within all budgets that are given. Parameters and "
        "multiply-adds are counted; time and memory are measured here.",
    )
    _add_shape(plan)
    plan.add_argument(
        "--params", type=amount("parameters"), metavar="N", help="at most so many, like 10M"
    )
    plan.add_argument(
        "--macs", type=amount("MACs"), metavar="N", help="multiply-adds of an image, like 5G"
    )
    plan.add_argument(
        "--latency",
        type=amount("a time"),
        metavar="TIME",
        help="from an image in memory to its mask, like 20ms; measured",
    )
    plan.add_argument(
        "--memory",
        type=amount("a memory"),
        metavar="BYTES",
        help="of a training step, like 8G or 8GiB; measured",
    )
    plan.add_argument(
        "--batch",
        type=whole(4096),
        default=8,
        metavar="N",
        help="with --memory: images of the training step; default: 8",
    )
    plan.add_argument("--named", action="store_true", help="of B0 to B7 alone")
    add_device(plan)
    chart = whats.add_parser(
        "chart",
        help="ImageNet accuracy against size, B0 to B7 and GPipe, from the published numbers",
    )
    chart.add_argument("--out", type=Path, default=Path("imagenet.png"), metavar="FILE")
    search = whats.add_parser(
        "search",
        help="the law's constants for a dataset: its candidates trained briefly, and compared",
        description="A grid of alpha, beta, gamma within a budget, each candidate trained briefly "
        "at its own resolution with several seeds; the best with its uncertainty; then phi raised. "
        "The same command again goes on with a search that was stopped.",
        epilog="docs/config.md explains every key; hydra/launcher=joblib trains side by side.",
    )
    search.add_argument(
        "words",
        nargs="*",
        metavar="key=value",
        help="search.budget=2.0 and the other keys of search; and what python train.py takes, such "
        "as dataset=NAME max_steps=300 dataset.crop=[96,96]",
    )
    for parser in (table, plan, chart, search):
        add_debug(parser)


def _add_shape(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size",
        type=size,
        metavar="HxW",
        help="of an image, like 512x1024; default: each network's own resolution",
    )
    parser.add_argument("--classes", type=whole(255), default=19, help="default: 19")
    parser.add_argument("--decoder", choices=("efficient", "unet"), default="efficient")


def amount(what: str) -> Callable[[str], float]:
    """A reader of numbers with a unit."""
    units = UNITS[what]

    def read(text: str) -> float:
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", text)
        if found is None or found[2] not in units or float(found[1]) <= 0:
            named = ", ".join(unit for unit in units if unit)
            raise argparse.ArgumentTypeError(
                f"{what} like {EXAMPLES[what]} (units: {named}), got {text!r}"
            )
        return float(found[1]) * units[found[2]]

    return read
