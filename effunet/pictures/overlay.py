"""What a screen can show of an image, and the class colours laid over it."""

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from effunet.labels import IGNORE, LabelMap

BAND = 1024
"""Rows of an overlay that are mixed at once."""


def overlay(
    image: UInt8[ndarray, "H W C"],
    mask: UInt8[ndarray, "H W"],
    labels: LabelMap,
    alpha: float = 0.5,
) -> UInt8[ndarray, "H W 3"]:
    """The class colours laid over the image; alpha 0 shows the image alone, 1 the colours alone.

    Ignored pixels keep the image, for nothing is said of them.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is a share and must lie in [0, 1], got {alpha}")
    mixed = np.empty((*mask.shape, 3), np.uint8)
    # Band by band: five copies of a large image would be more than its prediction takes.
    for top in range(0, len(mask), BAND):
        rows = slice(top, top + BAND)
        below, colours = shown_image(image[rows]), labels.colorize(mask[rows])
        blent = Image.blend(Image.fromarray(below), Image.fromarray(colours), alpha)
        mixed[rows] = np.where((mask[rows] == IGNORE)[..., None], below, np.asarray(blent))
    return mixed


def shown_image(image: UInt8[ndarray, "H W C"]) -> UInt8[ndarray, "H W 3"]:
    """What a screen can show: grey three times, or the first three of more channels."""
    if image.shape[2] < 3:
        return np.repeat(image[..., :1], 3, axis=2)
    return np.ascontiguousarray(image[..., :3])
