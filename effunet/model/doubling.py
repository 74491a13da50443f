"""A 3x3 convolution of a feature that was doubled by repeating its pixels, without that feature."""

import torch
from jaxtyping import Float
from torch import Tensor


def summed(weight: Float[Tensor, "E d 3 3"]) -> Float[Tensor, "d E 4 4"]:
    """Give the transposed convolution of stride 2 that a 3x3 one of a doubled feature equals.

    Rows 2i and 2i + 1 of the doubled feature are equal, so that taps which meet in one pixel can be
    summed beforehand: 4/9 of the multiply-adds.
    """
    taps = weight.transpose(0, 1)
    return (taps.reshape(-1, 9) @ _sums(weight).mT).view(*taps.shape[:2], 4, 4)


def summed_back(gradient: Float[Tensor, "d E 4 4"]) -> Float[Tensor, "E d 3 3"]:
    """Give the gradient of summed's argument, from that of its result."""
    taps = gradient.reshape(-1, 16) @ _sums(gradient)
    return taps.view(*gradient.shape[:2], 3, 3).transpose(0, 1)


def _sums(like: Tensor) -> Float[Tensor, "16 9"]:
    """Which taps of a 3x3 kernel each of the 4x4 is the sum of."""
    # A transposed convolution has its taps in the opposite order.
    rows = like.new_tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])
    # As one product, and not by slices, for a kernel can be larger than all features here.
    return torch.kron(rows, rows)
