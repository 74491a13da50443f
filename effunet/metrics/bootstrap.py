"""How sure a score is: percentile bootstrap over images.

Images are drawn with replacement, as many as there are, and the score is computed again from the
sums of their counts; the interval holds the middle share of the scores of many such draws (Efron
and Tibshirani, "An introduction to the bootstrap", 1993, section 13.3). Pixels of one image are no
independent draws, so it is images that are drawn. It says how much the score depends on which
images were measured, and nothing about the training's own chance.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float64, Int64, Integer
from numpy import ndarray

RESAMPLES = 1000
LEVEL = 0.95

Score = Callable[[Int64[ndarray, "R M"]], Float64[ndarray, "R S"]]
"""From R sums of M counts to R times S scores, NaN where nothing can be said."""

_EXACT = 2**53  # whole numbers below it have no rounding in float64
_LOW = 2**26
_AT_ONCE = 2**20  # weights of images in memory


def interval(
    rows: Integer[ndarray, "N M"],
    score: Score,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Float64[ndarray, "S 2"]:
    """Return the lower and upper end of each score's interval.

    Args:
        rows: counts of each image; a score is a function of their sum.
        score: of several sums at once.
        resamples: how many draws.
        level: share of the draws' scores that the interval holds, between 0 and 1.
        seed: the same for the same number of images gives the same draws, whatever the rows.

    Draws whose score is NaN are left out; NaN where fewer than half remain. Raises ValueError for
    no images, no draws, another level, or counts whose sums could exceed int64.
    """
    return _middle(score(_sums(rows, resamples, seed)), level)


def paired_difference(
    rows: Integer[ndarray, "N M"],
    other: Integer[ndarray, "N M"],
    score: Score,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Float64[ndarray, "S 2"]:
    """Return the interval of score(other) - score(rows), of two models on the same images.

    Both are drawn the same images each time, so that what makes an image hard for both cancels.
    Arguments and errors as of `interval`; and ValueError where the rows differ in shape.
    """
    if rows.shape != other.shape:
        raise ValueError(
            f"paired rows are of the same images and counts, got {rows.shape} and {other.shape}"
        )
    difference = score(_sums(other, resamples, seed)) - score(_sums(rows, resamples, seed))
    return _middle(difference, level)


def _draws(images: int, resamples: int, seed: int) -> Iterator[Float64[ndarray, "r N"]]:
    """How often each image is drawn in each resample, some resamples at a time."""
    if images < 1 or resamples < 1:
        raise ValueError(
            f"an interval needs 1 image and 1 resample at least, got {images} and {resamples}"
        )
    draw = np.random.default_rng(seed)
    at_once = max(1, _AT_ONCE // images)
    for first in range(0, resamples, at_once):
        count = min(at_once, resamples - first)
        drawn = draw.integers(images, size=(count, images))
        drawn += images * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * images)
        yield times.reshape(count, images).astype(np.float64)


def _sums(rows: Integer[ndarray, "N M"], resamples: int, seed: int) -> Int64[ndarray, "R M"]:
    """The sum of the drawn rows in each resample, exact.

    Matrices are multiplied fast in floating point only. N rows are drawn, so no sum exceeds N times
    the largest count: below 2^53 nothing is rounded, in whatever order it is added. Larger counts
    go in two parts.
    """
    largest = len(rows) * max(abs(int(rows.max(initial=0))), abs(int(rows.min(initial=0))))
    if largest >= 2**63:
        raise ValueError(f"sums of {len(rows)} images may reach {largest}, more than int64 holds")
    if largest < _EXACT:
        parts = [(rows.astype(np.float64), 1)]
    else:
        high, low = np.divmod(rows.astype(np.int64), _LOW)
        parts = [(high.astype(np.float64), _LOW), (low.astype(np.float64), 1)]
    chunks = [
        sum((times @ part).astype(np.int64) * unit for part, unit in parts)
        for times in _draws(len(rows), resamples, seed)
    ]
    return np.concatenate(chunks)


def _middle(scores: Float64[ndarray, "R S"], level: float) -> Float64[ndarray, "S 2"]:
    """The ends between which the middle share of each score's draws lies."""
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, got {level}")
    tails = [(1 - level) / 2, (1 + level) / 2]
    ends = np.full((scores.shape[1], 2), np.nan)
    for index, column in enumerate(scores.T):
        known = column[~np.isnan(column)]
        if 2 * len(known) >= len(column):
            ends[index] = np.quantile(known, tails)
    return ends
