"""Words that several commands take: the model, how it predicts, --debug."""

import argparse

from effunet.commands import way

MODEL = "segmenter.safetensors, or a run folder like runs/latest"


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
