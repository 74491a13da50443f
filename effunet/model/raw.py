"""Raw images to what an encoder takes, and the work that an image costs; for every network alike.

image, 0..255, any size --> normalised, continued to sides that the network takes
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from effunet.tensors import Image

Made = TypeVar("Made", bound=nn.Module)


def per_channel(values: Sequence[float]) -> Float[Tensor, "1 c 1 1"]:
    """Mean or std of images in 0..1, in units of the raw image and in the shape of a batch."""
    return 255 * torch.tensor(values).view(1, -1, 1, 1)


def normalise(
    image: Image,
    mean: Float[Tensor, "1 c 1 1"],
    std: Float[Tensor, "1 c 1 1"],
    reduction: int,
    least: int = 1,
) -> Float[Tensor, "B C h w"]:
    """Normalise raw images, and bring their sides to a multiple of `reduction`, `least` or more.

    The border is continued to the right and below, so that no edge appears where none is.
    """
    height, width = image.shape[-2:]
    # The cast comes first: the dtype of the weights decides, not that of the image.
    normalised = (image.to(mean.dtype) - mean) / std
    bottom, right = (_side(side, reduction, least) - side for side in (height, width))
    return F.pad(normalised, (0, right, 0, bottom), mode="replicate")


def shapes_of(build: Callable[[], Made]) -> Made:
    """What `build` makes, without memory for its weights and without drawing them."""
    with torch.device("meta"), Instead(_draws, _itself):
        return build()


def count_macs(build: Callable[[], nn.Module], channels: int, height: int, width: int) -> int:
    """Count the multiply-adds of one image in the network that `build` makes; computes nothing."""
    network = shapes_of(build).eval()
    image = torch.empty(1, channels, height, width, device="meta")
    with Instead(is_norm, _itself), FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return counter.get_total_flops() // 2


class Instead(TorchFunctionMode):
    """Has less done by functions whose result matters to nobody, of their first argument alone.

    Torch goes through them in Python for a tensor without memory, which takes most of the time.
    """

    def __init__(self, meant: Callable[[Any], bool], other: Callable[[Any], Any]) -> None:
        """`other` is called for the functions that are `meant`."""
        super().__init__()
        self._meant, self._other = meant, other

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if self._meant(func):
            return self._other([*args, *given.values()][0])
        return func(*args, **given)


def _itself(first: Any) -> Any:
    return first


def _draws(func: Callable[..., Any]) -> bool:
    return getattr(func, "__module__", "") == "torch.nn.init"


def is_norm(func: Callable[..., Any]) -> bool:
    """Whether it is batch norm, by torch's word for it."""
    # They change no shape and multiply no matrix; but they have weights that want a gradient, so
    # that a network which tries itself as it is built (smp's) needs them.
    return func is F.batch_norm


def _side(side: int, reduction: int, least: int) -> int:
    # As a product, so that an export of any size still sees a multiple of the reduction.
    rounded = (side + reduction - 1) // reduction * reduction
    return max(rounded, least) if least > reduction else rounded
