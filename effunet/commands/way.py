"""The words --tile, --scales and --flip of a command line -> the way in which it predicts."""

from argparse import ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it takes torch, which a command loads after its checks
    from effunet.infer import Way
    from effunet.predictor import Predictor


def way_of(arguments: Namespace) -> "Way":
    """The way that the words of a command ask for."""
    from effunet.infer import WHOLE, Way

    return Way(arguments.tile, arguments.flip, arguments.scales or WHOLE.scales)


def keep_blocks_for(segmenter: "Predictor") -> None:
    """Keep large blocks of memory where the CPU predicts (docs/speed.md says what that pays)."""
    from effunet.allocator import keep_large_blocks

    if segmenter.device.type == "cpu":
        keep_large_blocks()


def tile(text: str) -> int:
    """The word after --tile; raises ArgumentTypeError, one line."""
    from effunet.infer import Way

    if not text.isdecimal():
        raise ArgumentTypeError(f"a number of pixels, got {text!r}")
    try:
        Way(tile=int(text))
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    return int(text)


def scales(text: str) -> tuple[float, ...]:
    """The word after --scales; raises ArgumentTypeError, one line."""
    from effunet.infer import Way

    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"numbers like 0.75,1,1.25, got {text!r}") from None
    try:
        Way(scales=found)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    return found
