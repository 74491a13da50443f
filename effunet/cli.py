"""The command line: words and options in, an exit code out; each command is in effunet.commands.

Exit codes: 0 done, 2 usage, 3 data, 4 model, 5 memory, disk or permission, 6 diverged, 130 Ctrl-C;
1 only for our own bugs. A fault is one line on standard error: what, where, how to mend it.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from effunet import processes
from effunet.commands import benchmark, compare, data, evaluate, explain, export, scale
from effunet.commands.layouts import LAYOUTS
from effunet.commands.words import add_debug, add_inference, add_model
from effunet.errors import told
from effunet.model.lineages import LINEAGES


def program(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command that the program was started with, or that of argv, and end the program."""
    try:
        code = main(argv)
    except SystemExit as stop:  # of argparse, or a signal's
        if not isinstance(stop.code, int | None):
            raise
        code = stop.code or 0
    processes.leave(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    # A training's options are key=value and Hydra's own: they pass by argparse untouched.
    command = next((place for place, word in enumerate(words) if word[:1] != "-"), len(words))
    ours, overrides = words[: command + 1], words[command + 1 :]
    if ours[-1:] == ["train"] and not {"-h", "--help"} & set(ours):
        return guarded(lambda: _train(overrides), debug="--debug" in words)
    arguments = _parser().parse_args(words)
    command = import_module(f"effunet.commands.{arguments.command}")
    return guarded(lambda: command.run(arguments), debug=arguments.debug)


def guarded(work: Callable[[], int], *, debug: bool = False) -> int:
    """Call a command and turn whatever it raises into one line and the right exit code.

    Args:
        work: returns an exit code.
        debug: print the traceback of an error, too.
    """
    try:
        code = work()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever reads our output has seen enough (head, less); what is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        return _say(*told(error))


def _say(text: str, code: int) -> int:
    from effunet.commands.terminal import shown

    print(f"effunet: {shown(text)}", file=sys.stderr)
    return code


def _train(overrides: list[str]) -> int:
    from effunet.training.launch import main as train

    return train(overrides)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as for all other faults; argparse would print its usage before it."""
        self.exit(2, f"effunet: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="effunet",
        description="Semantic segmentation with EfficientNet encoders.",
        epilog="effunet COMMAND --help says more of one command.",
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_train(commands)
    evaluate.add_parser(commands)
    _add_predict(commands)
    explain.add_parser(commands)
    export.add_parser(commands)
    _add_info(commands)
    benchmark.add_parser(commands)
    compare.add_parser(commands)
    scale.add_parser(commands)
    _add_import(commands)
    data.add_parser(commands, add_debug)
    return parser


Commands = argparse._SubParsersAction  # pyright: ignore[reportPrivateUsage] - argparse names no other


def _add_train(commands: Commands) -> None:
    commands.add_parser(
        "train",
        help="train a segmenter: the same as python train.py, with the same key=value words",
        add_help=False,
    )


def _add_predict(commands: Commands) -> None:
    predict = commands.add_parser(
        "predict",
        help="segment images and folders of images",
        description="Write a palette PNG for each image, at the image's own size: its values are "
        "class indices, its palette the class colours. A folder's structure is kept. A GeoTIFF "
        "gives a palette TIFF with its georeference instead, 255 where it has no data.",
    )
    add_model(predict)
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE_OR_DIR")
    predict.add_argument("--out", type=Path, required=True, metavar="DIR", help="made if need be")
    predict.add_argument(
        "--overlay", action="store_true", help="also NAME_overlay.png: the colours on the image"
    )
    predict.add_argument(
        "--probabilities",
        action="store_true",
        help="also NAME.npy: float16, classes x height x width (of a GeoTIFF "
        "NAME_probabilities.tif, a channel a class)",
    )
    predict.add_argument(
        "--layout",
        choices=tuple(LAYOUTS),
        help="write what this benchmark's server takes and nothing else: its names of files, its "
        "ids of the classes (docs/predict.md)",
    )
    predict.add_argument(
        "--strict", action="store_true", help="stop at the first image that cannot be read"
    )
    add_inference(predict)


def _add_info(commands: Commands) -> None:
    info = commands.add_parser(
        "info",
        help="what a segmenter is: classes, network, input, scores",
        description="Tell what a segmenter file is, without loading its weights.",
    )
    add_model(info)
    info.add_argument("--json", action="store_true", help="print the file's metadata as JSON")


def _add_import(commands: Commands) -> None:
    importing = commands.add_parser(
        "import",
        help="make a segmenter of a network that was trained elsewhere",
        description="Make a segmenter file of a whole smp.Unet with an EfficientNet: the same "
        "logits, with classes, normalisation and padding inside.",
    )
    importing.set_defaults(command="importing")  # the module: import is Python's own word
    importing.add_argument("library", choices=("smp",), help="segmentation_models_pytorch")
    importing.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help=".pth, .ckpt or .safetensors"
    )
    importing.add_argument(
        "--classes", type=Path, required=True, metavar="YAML", help="classes, as in a dataset.yaml"
    )
    importing.add_argument("--out", type=Path, required=True, metavar="FILE", help="the segmenter")
    importing.add_argument(
        "--numerics",
        choices=("auto", *LINEAGES),
        default="auto",
        help="lineage of the encoder, where its names do not tell: docs/weights.md",
    )
    for name in ("mean", "std"):
        importing.add_argument(
            f"--{name}",
            type=float,
            nargs="+",
            metavar="X",
            help=f"{name} of the images in 0..1 that it was trained with; default: ImageNet's",
        )
    add_debug(importing)


if __name__ == "__main__":
    program()
