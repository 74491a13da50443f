"""How well boundaries are met: boundary IoU and boundary F, as counts that sum over images.

Boundary IoU is the IoU of the pixels near the boundary of their own mask (Cheng et al., "Boundary
IoU", CVPR 2021, section 4). Boundary F is the harmonic mean of precision and recall of contour
pixels, which match within a distance (Csurka et al., "What is a good evaluation measure for
semantic segmentation?", BMVC 2013, section 2). Here counts are summed over images first, as those
of the mIoU are, so one image with little of a class weighs little.

A pixel whose truth is 255 (IGNORE) is in no count, and the prediction is taken as unknown there
too. An unknown pixel makes no boundary.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer, UInt8
from numpy import ndarray

from effunet.labels import IGNORE
from effunet.metrics.areas import areas_of, iou
from effunet.metrics.confusion import check_indices, joint_counts
from effunet.metrics.ratio import ratio

IOU_SHARE = 0.02
"""Width of the band of boundary IoU, as a share of the image's diagonal: Cheng's default."""

F_SHARE = 0.0075
"""Distance at which contours match, as a share of the diagonal: as bfscore of MATLAB has it."""


def reach(height: int, width: int, share: float) -> int:
    """Return a share of an image's diagonal in whole pixels, 1 at least; rounded as Cheng does."""
    return max(1, round(share * math.hypot(height, width)))


def band(labels: UInt8[ndarray, "H W"], distance: int) -> Bool[ndarray, "H W"]:
    """Whether a pixel lies in the boundary band of its own class's mask.

    That is so where another known class, or the image's outside, is at most `distance` pixels away
    (Chebyshev). It equals the mask less its `distance` erosions by 3 x 3, which is how Cheng's code
    finds it, for all classes at once. An unknown pixel (255) is in no band.

    Raises ValueError for a distance below 1.
    """
    (near,) = near_another(labels, [distance])
    edges = np.s_[:distance], np.s_[-distance:], np.s_[:, :distance], np.s_[:, -distance:]
    for edge in edges:
        near[edge] = labels[edge] != IGNORE
    return near


def near_another(
    labels: UInt8[ndarray, "H W"], distances: Sequence[int]
) -> Iterator[Bool[ndarray, "H W"]]:
    """Whether known pixels have another known class at most so far away, for each distance.

    Args:
        labels: class indices, 255 where unknown.
        distances: in pixels (Chebyshev), increasing, 1 at least.

    Raises ValueError for other distances.
    """
    steps = np.diff(distances, prepend=0)
    if (steps < 1).any():
        raise ValueError(f"distances are 1 pixel at least and increase, got {list(distances)}")
    # A window holds another class where its lowest or its highest index differs from its middle's.
    # Unknown pixels are the highest for the one and the lowest for the other: they never differ.
    lowest = np.ascontiguousarray(labels)
    known = lowest != IGNORE
    highest = lowest * known
    for step in steps.tolist():
        lowest = _extreme(lowest, step, cv2.min, IGNORE)
        highest = _extreme(highest, step, cv2.max, 0)
        yield ((lowest != labels) | (highest != labels)) & known


def band_counts(
    truth: UInt8[ndarray, "H W"], predicted: UInt8[ndarray, "H W"], classes: int, distance: int
) -> Int64[ndarray, "3 K"]:
    """Count pixels of each class in both bands, in the truth's, and in the prediction's.

    Args:
        truth: class indices, 255 where a pixel is not counted.
        predicted: class indices.
        classes: how many classes there are.
        distance: the bands' width in pixels, 1 at least: `reach` with IOU_SHARE.

    Raises ValueError for different shapes, an index that is no class, or another distance.
    """
    predicted = _where_known(truth, predicted, classes)
    pairs = joint_counts(
        np.where(band(truth, distance), truth, np.uint8(IGNORE)),
        np.where(band(predicted, distance), predicted, np.uint8(IGNORE)),
    )
    return areas_of(pairs)[:, :classes]


def contour_counts(
    truth: UInt8[ndarray, "H W"], predicted: UInt8[ndarray, "H W"], classes: int, distance: int
) -> Int64[ndarray, "4 K"]:
    """Count contour pixels of each class: predicted and met, predicted, true and met, true.

    A contour pixel of a class is a pixel of it with another known class among its 8 neighbours. The
    image's own edge is no contour: it would be met by every prediction. One is met where the other
    mask has a contour pixel of the same class at most `distance` away (Euclidean).

    Args:
        truth: class indices, 255 where a pixel is not counted.
        predicted: class indices.
        classes: how many classes there are.
        distance: in pixels, 1 at least: `reach` with F_SHARE.

    Raises ValueError for different shapes, an index that is no class, or another distance.
    """
    if distance < 1:
        raise ValueError(f"contours meet at 1 pixel at least, got {distance}")
    predicted = _where_known(truth, predicted, classes)
    true, said = _contours(truth, classes), _contours(predicted, classes)
    counts = np.zeros((4, classes), np.int64)
    counts[1], counts[3] = [len(points) for points in said], [len(points) for points in true]
    for index in np.flatnonzero(counts[1] * counts[3]):
        counts[0, index] = _met(said[index], true[index], distance)
        counts[2, index] = _met(true[index], said[index], distance)
    return counts


def boundary_iou(counts: Integer[ndarray, "... 3 K"]) -> Float64[ndarray, "... K"]:
    """Boundary IoU of each class from sums of `band_counts`; NaN for a class in no band."""
    return iou(counts.astype(np.int64))


def boundary_f(counts: Integer[ndarray, "... 4 K"]) -> Float64[ndarray, "... K"]:
    """Boundary F of each class from sums of `contour_counts`.

    2 x precision x recall / (precision + recall); 0 for a class that has contours in one of the
    masks alone, NaN for one that has none.
    """
    said_met, said, true_met, true = np.moveaxis(counts.astype(np.float64), -2, 0)
    precision, recall = ratio(said_met, said), ratio(true_met, true)
    score = np.nan_to_num(ratio(2 * precision * recall, precision + recall))
    return np.where(said + true > 0, score, np.nan)


def _where_known(
    truth: UInt8[ndarray, "H W"], predicted: UInt8[ndarray, "H W"], classes: int
) -> UInt8[ndarray, "H W"]:
    """The prediction, 255 where the truth is; raises ValueError for what is no class."""
    pairs = joint_counts(truth, predicted)
    check_indices("truth", np.delete(pairs.sum(1), IGNORE), classes)
    check_indices("prediction", pairs.sum(0), classes)
    return np.where(truth == IGNORE, truth, predicted)


def _extreme(
    labels: UInt8[ndarray, "H W"],
    reach: int,
    pick: Callable[[ndarray, ndarray], ndarray],
    outside: int,
) -> UInt8[ndarray, "H W"]:
    """The lowest or highest label of each pixel's square window, which reaches so far."""
    labels = cv2.copyMakeBorder(
        labels, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=[outside]
    )
    # A window of 2n is picked from two of n. cv2.erode takes time with the window's width, which
    # grows with the image.
    size, whole = 1, 2 * reach + 1
    while size < whole:
        step = min(size, whole - size)
        labels = pick(labels[step:], labels[:-step])
        labels = pick(labels[:, step:], labels[:, :-step])
        size += step
    return labels


def _contours(labels: UInt8[ndarray, "H W"], classes: int) -> list[Int64[ndarray, "n 2"]]:
    """The contour pixels of each class as (row, column), from top to bottom."""
    places = np.flatnonzero(next(near_another(labels, [1])))
    owners = np.ravel(labels)[places]
    order = np.argsort(owners, kind="stable")
    rows, columns = np.divmod(places[order], labels.shape[1])
    ends = np.searchsorted(owners[order], np.arange(classes + 1))
    points = np.stack([rows, columns], 1)
    return [points[first:end] for first, end in pairwise(ends)]


def _met(points: Int64[ndarray, "n 2"], others: Int64[ndarray, "m 2"], distance: int) -> int:
    """How many of the points have one of the others (some are needed) at most so far away."""
    start, end = others.min(0) - distance, others.max(0) + distance
    points = points[((start <= points) & (points <= end)).all(1)]
    # The canvas is wider by one distance more, and no window of what is left passes its end.
    canvas = np.zeros(end - start + 1 + 2 * distance, np.uint8)
    canvas[tuple((others - start + distance).T)] = 1
    # A disc is the union of few rectangles, and sums over the canvas say at once what each holds.
    sums = cv2.integral(canvas)
    flat, width = sums.ravel(), sums.shape[1]
    left = (points - start + distance) @ np.array([width, 1])
    for tall, wide in _rectangles(distance):
        above, below = left - tall * width, left + (tall + 1) * width
        inside = flat[below + wide + 1] - flat[below - wide]
        inside -= flat[above + wide + 1] - flat[above - wide]
        left = left[inside == 0]
    return len(points) - len(left)


def _rectangles(radius: int) -> list[tuple[int, int]]:
    """Half heights and half widths of the rectangles whose union is the disc, largest first."""
    widths = [math.isqrt(radius**2 - row**2) for row in range(radius + 1)]
    corners = [
        (row, wide) for row, wide in enumerate(widths) if row == radius or widths[row + 1] < wide
    ]
    return sorted(corners, key=math.prod, reverse=True)
