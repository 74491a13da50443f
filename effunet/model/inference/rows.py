"""A feature a few rows at a time: how many, and what lies beyond its first and last row."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from effunet.tensors import Feature

LARGE = 2**25
"""Bytes from which an expanded feature is computed by strips of rows."""

STRIP = 2**22
"""Bytes of such a strip, and half of those of the decoder's last step."""

Rows = Float[Tensor, "B D r w"]


def cut(feature: Feature, start: int, stop: int) -> Rows:
    """Rows start..stop, with rows of zeros where these lie outside of the feature."""
    above, below = outside(feature.shape[2], start, stop)
    inside = feature[:, :, start + above : stop - below]
    if above or below:
        inside = F.pad(inside, (0, 0, above, below))
    return inside.contiguous(memory_format=torch.channels_last)


def blank(part: Rows, height: int, start: int) -> Rows:
    """Set rows that lie outside of 0..height to zero, in place; the first one is row `start`."""
    above, below = outside(height, start, start + part.shape[2])
    part[:, :, :above] = 0
    part[:, :, part.shape[2] - below :] = 0
    return part


def outside(height: int, start: int, stop: int) -> tuple[int, int]:
    """How many of the rows start..stop lie above 0 and how many below `height`."""
    return max(0, -start), max(0, stop - height)
