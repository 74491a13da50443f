"""The words of `effunet explain`: what speaks for a class in an image, and whether that is so."""

import argparse
import re
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

from effunet.commands.words import add_device, add_model, whole
from effunet.errors import UsageError

Commands = Any
"""What argparse calls _SubParsersAction, and does not name in public."""


def run(arguments: Namespace) -> int:
    """Do what the words ask for, and return the exit code."""
    if arguments.json and not arguments.measure:
        raise UsageError("--json goes with --measure: leave it out")
    # A PNG is of one image and one class; a folder holds a page of many.
    single = arguments.out is not None and arguments.out.suffix.lower() == ".png"
    what = "measure" if arguments.measure else "one" if single else "page"
    return import_module(f"effunet.commands.explain.{what}").run(arguments)


def add_parser(commands: Commands) -> None:
    """Add `explain` to the command line."""
    explain = commands.add_parser(
        "explain",
        help="what the network looks at: class activation maps, and how much they mean",
        description="What speaks for a class: of the whole image, a region or a pixel. --out FILE "
        ".png is one image and one class; --out DIR is a page of all images and every class that "
        "is there; --measure says how much the maps mean, by method and layer.",
    )
    add_model(explain)
    explain.add_argument("images", nargs="*", type=Path, metavar="IMAGE_OR_DIR")
    explain.add_argument("--class", dest="name", metavar="NAME", help="default: all that are there")
    place = explain.add_mutually_exclusive_group()
    place.add_argument(
        "--region", type=region, metavar="X,Y,W,H", help="only the pixels of this rectangle"
    )
    place.add_argument("--pixel", type=pixel, metavar="X,Y", help="only this one")
    explain.add_argument(
        "--over",
        choices=("predicted", "all"),
        default="predicted",
        help="the pixels whose score is explained: those that the class is predicted at, or all; "
        "default: predicted (with --pixel: all)",
    )
    explain.add_argument(
        "--method",
        default="hires-cam",
        metavar="NAME",
        help="grad-cam, grad-cam++, hires-cam or layer-cam; default: hires-cam",
    )
    explain.add_argument(
        "--layer",
        default="encoder/32",
        metavar="NAME",
        help="the feature that is looked at: encoder/32 (the coarsest, the default), ... "
        "decoder/4, or a module's dotted name",
    )
    explain.add_argument(
        "--data", metavar="NAME_OR_DIR", help="the images and the truth of a dataset's split"
    )
    explain.add_argument("--root", type=Path, metavar="DIR", help="where the dataset's files lie")
    explain.add_argument("--split", default="val", help="default: val")
    explain.add_argument(
        "--limit",
        type=whole(100_000),
        default=12,
        metavar="N",
        help="so many images at most, spread evenly over folder or split; default: 12",
    )
    explain.add_argument(
        "--measure",
        action="store_true",
        help="with --data: deletion, insertion, pointing game, sanity check and stability of all "
        "methods, at each --layer of a list a,b,c",
    )
    explain.add_argument(
        "--out", type=Path, metavar="FILE_OR_DIR", help="a .png, or a folder; of --measure JSON"
    )
    explain.add_argument("--json", action="store_true", help="with --measure: JSON alone")
    add_device(explain)


def region(text: str) -> tuple[int, int, int, int]:
    """The word after --region: left, top, width, height; raises ArgumentTypeError, one line."""
    found = re.fullmatch(r"([0-9]{1,6}),([0-9]{1,6}),([0-9]{1,6}),([0-9]{1,6})", text)
    x, y, width, height = map(int, found.groups()) if found else (0, 0, 0, 0)
    if not width or not height:
        raise argparse.ArgumentTypeError(
            f"left, top, width and height in pixels, like 20,40,100,80, got {text!r}"
        )
    return x, y, width, height


def pixel(text: str) -> tuple[int, int]:
    """The word after --pixel: column and row from 0 on; raises ArgumentTypeError, one line."""
    found = re.fullmatch(r"([0-9]{1,6}),([0-9]{1,6})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"column and row, like 120,80, got {text!r}")
    return int(found[1]), int(found[2])
