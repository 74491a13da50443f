"""`effunet data check | init | stats | preview`: look at a dataset before anything learns from it.

Here are the words of the command line; each action is a module of its own.
"""

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Commands = Any
"""What argparse calls _SubParsersAction, and does not name in public."""

PRESETS = ("none", "light", "street", "strong")
"""Those of effunet.data.augment.presets, which takes numpy: a test keeps them equal."""


def run(arguments: Namespace) -> int:
    """Carry out one action and return its exit code."""
    return import_module(f"effunet.commands.data.{arguments.action}").run(arguments)


def add_parser(commands: Commands, add_debug: Callable[[ArgumentParser], None]) -> None:
    """Add `data` and its actions to the command line."""
    data = commands.add_parser(
        "data",
        help="check, describe, measure and look at a dataset",
        description="Look at a dataset before anything learns from it.",
    )
    actions = data.add_subparsers(dest="action", metavar="ACTION", required=True)
    for add in (_add_check, _add_init, _add_stats, _add_preview):
        add_debug(add(actions))


def _add_check(actions: Commands) -> ArgumentParser:
    check = actions.add_parser(
        "check",
        help="every fault of a dataset, with the line that mends it",
        description="Read every image and mask once and tell what is wrong, with the line that "
        "mends it. Exit code 3 where there is a fault.",
    )
    _add_dataset(check)
    _add_split(check, "default: all that are described")
    _add_crop(check, "tell which images of the first split are smaller than a training's crop")
    check.add_argument("--strict", action="store_true", help="exit 3 for warnings, too")
    check.add_argument("--json", action="store_true", help="print all of it as JSON alone")
    return check


def _add_init(actions: Commands) -> ArgumentParser:
    init = actions.add_parser(
        "init",
        help="write a first dataset.yaml from what lies in a folder",
        description="Look for images and masks in a folder and write the dataset.yaml that "
        "describes them, for you to read and correct.",
    )
    init.add_argument("folder", type=Path, metavar="DIR", help="where the images and masks lie")
    init.add_argument(
        "--out", type=Path, metavar="FILE", help="default: dataset.yaml in the folder"
    )
    init.add_argument("--force", action="store_true", help="replace a file that is there")
    return init


def _add_stats(actions: Commands) -> ArgumentParser:
    stats = actions.add_parser(
        "stats",
        help="pixels per class, sizes, mean and deviation, a crop, class weights",
        description="Measure a dataset: pixels per class over all masks, image sizes, mean and "
        "deviation of the channels, a crop that fits, and class weights by each formula.",
    )
    _add_dataset(stats)
    _add_split(stats, "default: all that are described")
    stats.add_argument("--json", action="store_true", help="print all of it as JSON alone")
    return stats


def _add_preview(actions: Commands) -> ArgumentParser:
    preview = actions.add_parser(
        "preview",
        help="a picture of samples with their masks, before and after augmentation",
        description="Draw samples, spread over a split, with the class colours laid over them, "
        "as they are and as a training would see them.",
    )
    _add_dataset(preview)
    preview.add_argument("--split", default="train", help="default: train")
    preview.add_argument(
        "--out", type=Path, default=Path("preview.png"), metavar="FILE", help="default: preview.png"
    )
    preview.add_argument(
        "--augment", choices=PRESETS, default="street", help="default: street, as in training"
    )
    _add_crop(preview, "of the augmented sample; default: the image's own size")
    preview.add_argument(
        "--count", type=_positive, default=6, metavar="N", help="samples; default: 6"
    )
    preview.add_argument(
        "--seed", type=_natural, default=0, metavar="N", help="of the augmentation; default: 0"
    )
    return preview


def _add_dataset(parser: ArgumentParser) -> None:
    parser.add_argument(
        "dataset", metavar="NAME_OR_DIR", help="a folder name under data/, or a directory"
    )
    parser.add_argument("--root", type=Path, metavar="DIR", help="where the dataset's files lie")


def _add_split(parser: ArgumentParser, says: str) -> None:
    parser.add_argument("--split", nargs="+", default=[], metavar="SPLIT", help=says)


def _add_crop(parser: ArgumentParser, says: str) -> None:
    parser.add_argument(
        "--crop",
        nargs="+",
        action=_Crop,
        default=None,
        metavar="N",
        help=f"height and width in pixels, as 512 768 or 512x768: {says}",
    )


class _Crop(argparse.Action):
    """512 768, 512x768 or 512 -> (height, width)."""

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: Any, _: str | None = None
    ) -> None:
        numbers = "x".join(values).lower().split("x")
        fits = len(numbers) <= 2 and all(n.isdecimal() and 0 < int(n) <= 2**15 for n in numbers)
        if not fits:
            raise argparse.ArgumentError(self, f"two numbers of pixels, got {' '.join(values)!r}")
        setattr(namespace, self.dest, (int(numbers[0]), int(numbers[-1])))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number from 1 up, got {text!r}")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a number from 0 up, got {text!r}")
    return int(text)
