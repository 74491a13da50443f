"""Two training samples of one size in, one sample out, with pixels of both.

Labels are those of the pixel that is shown, never a blend of two. Pixels of the second sample that
are IGNORE are not taken. The images are uint8 and have been augmented each for itself.
"""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from effunet.labels import IGNORE

Sample = tuple[UInt8[np.ndarray, "H W C"], UInt8[np.ndarray, "H W"]]
"""Image and mask."""

Region = Bool[np.ndarray, "H W"]
"""The pixels that are taken from the second sample."""


def paste(sample: Sample, other: Sample, label: int, draw: np.random.Generator) -> Sample:
    """Copy-paste (Ghiasi et al. 2021): one piece of a class, at the place that it has in `other`.

    A piece is what hangs together, across corners too. It is that of one pixel of the class, drawn
    evenly, so that a larger one comes more often. Its edge is hard: blending it brought nothing
    in the paper. Without a pixel of the class the sample stays as it is.
    """
    return _take(sample, other, _piece(other[1], label, draw))


def cutmix(sample: Sample, other: Sample, draw: np.random.Generator) -> Sample:
    """CutMix (Yun et al. 2019): a box of the sample's shape, anywhere, cut off at the border.

    Its middle is anywhere in the sample. Its area, before that cut, is a uniform share (their Beta
    distribution with alpha 1); what is left of it is 0.32 of the sample on average.
    """
    height, width = other[1].shape
    side = np.sqrt(draw.random())
    region = np.zeros((height, width), bool)
    region[_span(draw, height, side), _span(draw, width, side)] = True
    return _take(sample, other, region)


def classmix(sample: Sample, other: Sample, draw: np.random.Generator) -> Sample:
    """ClassMix (Olsson et al. 2021): all pixels of half of the classes of `other`, rounded down."""
    labels = np.unique(other[1])
    labels = labels[labels != IGNORE]
    taken = np.zeros(256, bool)
    taken[draw.permutation(labels)[: len(labels) // 2]] = True
    return _take(sample, other, taken[other[1]])


MIXES: dict[str, Callable[[Sample, Sample, np.random.Generator], Sample]] = {
    "cutmix": cutmix,
    "classmix": classmix,
}


def _take(sample: Sample, other: Sample, region: Region) -> Sample:
    (image, mask), (other_image, other_mask) = sample, other
    region = region & (other_mask != IGNORE)
    return np.where(region[..., None], other_image, image), np.where(region, other_mask, mask)


def _piece(mask: UInt8[np.ndarray, "H W"], label: int, draw: np.random.Generator) -> Region:
    places = np.flatnonzero(mask == label)
    if not len(places):
        return np.zeros(mask.shape, bool)
    _, pieces = cv2.connectedComponents((mask == label).astype(np.uint8), connectivity=8)
    return pieces == pieces.reshape(-1)[draw.choice(places)]


def _span(draw: np.random.Generator, length: int, side: float) -> slice:
    """A span of `side` of a length, with its middle anywhere along it."""
    middle, half = draw.random() * length, side * length / 2
    return slice(max(0, round(middle - half)), min(length, round(middle + half)))
