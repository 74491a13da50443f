"""Where errors lie: in small or large objects, near boundaries or far from them.

All counts are whole numbers, which sum over images. A pixel whose truth is 255 (IGNORE) is in none.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64, UInt8
from numpy import ndarray

from effunet.labels import IGNORE
from effunet.metrics.boundary import band, near_another
from effunet.metrics.confusion import check_indices, joint_counts

SIZES = (11**2, 32**2, 96**2, 288**2)
"""Areas in pixels at which an object belongs to the next size; the first size lies below all.

32^2 and 96^2 part COCO's small, medium and large; one more on either side, at the same factor of
three, tells specks and regions (a street, a sky) apart from things.
"""

DISTANCES = (1, 2, 4, 8, 16, 32)
"""Distances in pixels at which a ring of `distance_counts` ends; the last ring has no end."""

_AT_ONCE = 2**24


def size_counts(
    truth: UInt8[ndarray, "H W"], predicted: UInt8[ndarray, "H W"], classes: int
) -> Int64[ndarray, "K S 3"]:
    """Count objects, their pixels, and their wrong pixels, by class and size (S: 5).

    An object is what hangs together of one class in the truth (8 neighbours), so things of one
    class that touch are one object, and one that something hides in the middle is two.

    Raises ValueError for different shapes or an index that is no class.
    """
    pairs = joint_counts(truth, predicted)
    pixels = np.delete(pairs.sum(1), IGNORE)
    check_indices("truth", pixels, classes)
    check_indices("prediction", pairs.sum(0), classes)
    counts = np.zeros((classes, len(SIZES) + 1, 3), np.int64)
    wrong = truth != predicted
    for index in np.flatnonzero(pixels):
        mask = (truth == index).view(np.uint8)
        left, top, width, height = cv2.boundingRect(mask)
        window = np.s_[top : top + height, left : left + width]
        # OpenCV's own statistics would take three times as long: they hold boxes and centres, too.
        found, objects = cv2.connectedComponents(mask[window], connectivity=8)
        areas = _areas(objects, found)[1:]
        faults = _areas(objects[wrong[window]], found)[1:]
        sizes = np.searchsorted(SIZES, areas, side="right")
        np.add.at(counts[index], sizes, np.stack([np.ones_like(areas), areas, faults], 1))
    return counts


def distance_counts(
    truth: UInt8[ndarray, "H W"], predicted: UInt8[ndarray, "H W"]
) -> Int64[ndarray, "D 2"]:
    """Count pixels and wrong pixels by the distance to another known class in the truth (D: 7).

    Rings end at DISTANCES (Chebyshev: 1 is one of the 8 neighbours); the last one holds what lies
    farther away, also where the image has no other class. The image's own edge is no class.

    Raises ValueError for different shapes.
    """
    ring = np.full(truth.shape, len(DISTANCES), np.uint8)
    ring[truth == IGNORE] = IGNORE
    for near in near_another(truth, DISTANCES):
        ring -= near
    right, wrong = joint_counts((truth != predicted).view(np.uint8), ring)[:2, : len(DISTANCES) + 1]
    return np.stack([right + wrong, wrong], 1)


SURE = 0.95
"""Confidence from which a contradiction makes a label doubtful."""


def suspect_pixels(
    truth: UInt8[ndarray, "H W"],
    predicted: UInt8[ndarray, "H W"],
    confidence: Float32[ndarray, "H W"],
    distance: int,
    least: float = SURE,
) -> Bool[ndarray, "H W"]:
    """Which pixels contradict the truth so surely that the label may be wrong.

    Args:
        truth: class indices, 255 where a pixel is not counted.
        predicted: class indices.
        confidence: the predicted class's probability, 0..1.
        distance: pixels of the truth's boundary band of this width are left out: a boundary that is
            drawn a little aside is no wrong label.
        least: the lowest confidence of a suspect.

    Raises ValueError for a distance below 1.
    """
    against = (truth != predicted) & (truth != IGNORE) & (confidence >= np.float32(least))
    return against & ~band(truth, distance)


def _areas(objects: Int32[ndarray, "..."], count: int) -> Int64[ndarray, " count"]:
    """How many pixels each number has; a part at a time, for bincount copies into 8 bytes."""
    areas = np.zeros(count, np.int64)
    for first in range(0, objects.size, _AT_ONCE):
        areas += np.bincount(objects.ravel()[first : first + _AT_ONCE], minlength=count)
    return areas
