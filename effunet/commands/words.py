"""Words that several commands take: the model, how it predicts, --debug."""

import argparse
import re
from collections.abc import Callable

from effunet.commands import way

MODEL = "segmenter.safetensors, or a run folder like runs/latest"

LONGEST_SIDE = 65_536
"""Pixels; 500 megapixels, the most that an image file may have, end far below its square."""


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add MODEL, and --debug."""
    parser.add_argument("model", metavar="MODEL", help=MODEL)
    add_debug(parser)


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Add --debug."""
    # Suppressed: this default would overwrite an `effunet --debug` before the command.
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the traceback of an error",
    )


def add_inference(parser: argparse.ArgumentParser) -> None:
    """Add how images are predicted, and where."""
    parser.add_argument(
        "--tile",
        type=way.tile,
        metavar="N",
        help="work in overlapping tiles of N x N pixels (a multiple of 32), for less memory",
    )
    parser.add_argument(
        "--flip", action="store_true", help="average with the mirrored image: twice the time"
    )
    parser.add_argument(
        "--scales",
        type=way.scales,
        metavar="S,S,...",
        help="average over looks at these scales, like 0.75,1,1.25; scale S takes S x S the time",
    )
    add_device(parser)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add where the work is done."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="default: auto, which is cuda where there is one",
    )


def size(text: str) -> tuple[int, int]:
    """The word after --size as (height, width); raises ArgumentTypeError, one line."""
    found = re.fullmatch(r"([0-9]{1,9})(?:x([0-9]{1,9}))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"a size like 512 or 1024x2048, got {text!r}")
    height, width = int(found[1]), int(found[2] or found[1])
    if not (1 <= height <= LONGEST_SIDE and 1 <= width <= LONGEST_SIDE):
        raise argparse.ArgumentTypeError(f"sides of 1 to {LONGEST_SIDE} pixels, got {text!r}")
    return height, width


def whole(most: int) -> Callable[[str], int]:
    """A reader of whole numbers from 1 to `most`; the reader raises ArgumentTypeError, one line."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"a whole number from 1 to {most}, got {text!r}")
        return int(text)

    return read
