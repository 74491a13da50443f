"""PNG files: of pictures, and of masks whose values are indices and whose palette shows classes."""

import io

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from effunet.labels import LabelMap


def png(picture: Image.Image | UInt8[ndarray, "H W 3"]) -> bytes:
    """A picture or an RGB array as the bytes of a PNG file."""
    data = io.BytesIO()
    picture = Image.fromarray(picture) if isinstance(picture, ndarray) else picture
    picture.save(data, "PNG")
    return data.getvalue()


def mask_png(mask: UInt8[ndarray, "H W"], labels: LabelMap) -> bytes:
    """A palette PNG: its values are class indices, and every viewer shows the class colours.

    Index 255 (ignore) and the indices above the last class are black.
    """
    return palette_png(mask, palette(labels))


def palette_png(mask: UInt8[ndarray, "H W"], colours: UInt8[ndarray, "256 3"]) -> bytes:
    """A PNG whose values are those of the mask, and in which viewers show these colours."""
    picture = Image.fromarray(mask)
    picture.putpalette(colours.tobytes())
    return png(picture)


def palette(labels: LabelMap) -> UInt8[ndarray, "256 3"]:
    """The colour of each value of an index mask: that of its class, black for every other."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(labels)] = labels.palette
    return colours
