"""The words of `effunet export`: a segmenter as a file that needs no effunet."""

import argparse
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

from effunet.commands.words import add_model, size

Commands = Any
"""What argparse calls _SubParsersAction, and does not name in public."""

FORMATS = ("onnx", "openvino", "torchscript", "torch-export", "executorch", "litert")
PRECISIONS = ("fp32", "fp16", "int8")
OUTPUTS = ("logits", "probabilities", "mask")


def run(arguments: Namespace) -> int:
    """Export, and return the exit code."""
    return import_module("effunet.commands.export.make").run(arguments)


def add_parser(commands: Commands) -> None:
    """Add `export` to the command line."""
    export = commands.add_parser(
        "export",
        help="write a segmenter as ONNX, OpenVINO, torch's own, ExecuTorch or LiteRT, proved equal",
        description="Write a segmenter as a file that runs without effunet. It takes raw uint8 "
        "images of any size (ExecuTorch and LiteRT of one), and carries its classes; it is run "
        "beside the original, and is handed out only if both agree.",
    )
    add_model(export)
    export.add_argument("--format", choices=FORMATS, required=True)
    export.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="fp16: weights of half the size; int8: weights and activations of 8 bits, calibrated "
        "on --data's training split; default: fp32",
    )
    export.add_argument(
        "--output",
        choices=OUTPUTS,
        default="logits",
        help="what the file gives for each pixel; default: logits",
    )
    export.add_argument(
        "--size",
        type=size,
        metavar="HxW",
        help="of the images that executorch and litert take; the other formats take any",
    )
    export.add_argument(
        "--data",
        metavar="NAME_OR_DIR",
        help="measure the mIoU of both on this dataset, too; int8 needs it",
    )
    export.add_argument("--root", type=Path, metavar="DIR", help="where the dataset's files lie")
    export.add_argument("--split", default="val", help="of --data, to measure on; default: val")
    export.add_argument(
        "--max-drop",
        type=_points,
        default=1.0,
        metavar="POINTS",
        help="the largest loss of mIoU on --data, in points (0..100), that is handed out; "
        "default: 1. With int8, where images of the training split lose more, parts stay in "
        "float32, which is slower",
    )
    export.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="default: model.onnx (.xml, .pt2, .torchscript, .pte, .tflite) beside the segmenter",
    )
    export.add_argument(
        "--with-runner",
        action="store_true",
        help="also runtime.py, a program that needs NumPy, Pillow or OpenCV, and the runtime alone",
    )


def _points(text: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = -1.0
    if not 0 <= points <= 100:
        raise argparse.ArgumentTypeError(f"a number from 0 to 100, got {text!r}")
    return points
