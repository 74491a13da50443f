"""A window of an image -> the crop that shows it, where nothing is turned: cut, resize, mirror.

An eighth of an affine warp's work for the image, half of it for the mask. The map is the drawn one,
moved to whole pixels: a window starts and ends between two pixels of the image, and what is shown
of the image starts and ends between two pixels of the crop. So the crop lies up to half a pixel
beside the drawn place, its scale differs by up to half a pixel over its length, and at its edges
no pixel from outside the window is blended in. At scale 1 no pixel is changed.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from effunet.data.augment.presets import GREY
from effunet.labels import IGNORE


@dataclass(frozen=True)
class Span:
    """Along one axis: which pixels of the image fill which pixels of the crop."""

    seen: slice
    fills: slice
    mirrored: bool

    @property
    def length(self) -> int:
        """How many pixels of the crop are filled; the others lie outside the image."""
        return self.fills.stop - self.fills.start


def spans(
    to_image: Float[ndarray, "2 3"], crop: tuple[int, int], size: tuple[int, int]
) -> tuple[Span, Span]:
    """The spans of rows and of columns of a map from crop to image that does not turn.

    crop and size are (height, width) of the crop and of the image.
    """
    rows, columns = (
        _span(float(to_image[axis, axis]), float(to_image[axis, 2]), cut, length)
        for axis, cut, length in ((1, crop[0], size[0]), (0, crop[1], size[1]))
    )
    return rows, columns


def show_image(
    image: UInt8[ndarray, "H W C"], rows: Span, columns: Span, crop: tuple[int, int]
) -> UInt8[ndarray, "h w C"]:
    """The crop of an image, bilinear; grey outside it."""
    return _show(image, rows, columns, crop, cv2.INTER_LINEAR, GREY)


def show_mask(
    mask: UInt8[ndarray, "H W"], rows: Span, columns: Span, crop: tuple[int, int]
) -> UInt8[ndarray, "h w"]:
    """The crop of a mask, each pixel the nearest one; IGNORE outside it."""
    # Without EXACT, OpenCV takes the pixel at a sample's corner, half a pixel off the image.
    return _show(mask, rows, columns, crop, cv2.INTER_NEAREST_EXACT, IGNORE)


def _span(step: float, start: float, cut: int, length: int) -> Span:
    """From the map of one axis, position = step * pixel + start, between middles of pixels."""
    scale = 1 / abs(step)
    # Edges instead of middles: pixel i reaches from i to i + 1.
    first = start + 0.5 + step * (cut - 0.5 if step < 0 else -0.5)
    shown = max(1, round(length * scale))
    if shown >= cut:
        seen = min(length, max(1, round(cut / scale)))
        # A crop of less than one pixel of the image lies inside of the one that it is shown.
        first += min(0.0, cut / scale - 1) / 2
        place = min(max(0, round(first)), length - seen)
        return Span(slice(place, place + seen), slice(0, cut), step < 0)
    place = min(max(0, round(-first * scale)), cut - shown)
    return Span(slice(0, length), slice(place, place + shown), step < 0)


def _show(
    pixels: ndarray,
    rows: Span,
    columns: Span,
    crop: tuple[int, int],
    interpolation: int,
    fill: int,
) -> ndarray:
    part = pixels[rows.seen, columns.seen]
    size = rows.length, columns.length
    if part.shape[:2] != size:
        part = cv2.resize(part, size[::-1], interpolation=interpolation)
        part = part.reshape(*size, *pixels.shape[2:])
    if size != crop:
        whole = np.full((*crop, *pixels.shape[2:]), fill, np.uint8)
        whole[rows.fills, columns.fills] = part
        part = whole
    if rows.mirrored:
        part = cv2.flip(part, 0).reshape(part.shape)
    if columns.mirrored:
        part = cv2.flip(part, 1).reshape(part.shape)
    return part.copy() if part.base is not None and np.shares_memory(part, pixels) else part
