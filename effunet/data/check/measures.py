"""A Survey -> what to set a training to: sizes of images, mean and deviation, a crop."""

from dataclasses import dataclass

import numpy as np

from effunet.data.check.survey import Survey

LARGEST_CROP = 768
"""Pixels. The largest crop that is suggested: what the usual street recipes learn from."""

FITTING = 0.9
"""The share of the images into which the suggested crop fits."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Sizes:
    """Heights and widths of a split's images, pixels; the median of each by itself."""

    least: Size
    median: Size
    most: Size
    aspect: tuple[float, float, float]  # width over height: least, median, most
    distinct: int  # different sizes


def sizes_of(survey: Survey) -> Sizes | None:
    """The sizes of the images whose header could be read; None where there is none."""
    known = _known(survey)
    if not len(known):
        return None
    aspect = known[:, 1] / known[:, 0]
    least, median, most = (
        _size(found) for found in (known.min(axis=0), np.median(known, axis=0), known.max(axis=0))
    )
    ratios = float(aspect.min()), float(np.median(aspect)), float(aspect.max())
    return Sizes(least, median, most, ratios, len(np.unique(known, axis=0)))


def colors_of(survey: Survey) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of every channel in 0..1, over all pixels of the images drawn."""
    values = np.arange(256) / 255
    pixels = survey.colors.sum(axis=1)
    mean = survey.colors @ values / pixels
    square = survey.colors @ values**2 / pixels
    return mean.tolist(), np.sqrt(np.maximum(0, square - mean**2)).tolist()


def suggested_crop(survey: Survey) -> Size | None:
    """Height and width: multiples of 32 up to 768 that fit into nine of ten images, at least 32."""
    known = _known(survey)
    if not len(known):
        return None
    height, width = np.quantile(known, 1 - FITTING, axis=0, method="lower")
    return _multiple(int(height)), _multiple(int(width))


def _multiple(length: int) -> int:
    return max(32, min(length, LARGEST_CROP) // 32 * 32)


def _known(survey: Survey) -> np.ndarray:
    return survey.sizes[(survey.sizes > 0).all(axis=1)].astype(np.int64)


def _size(pair: np.ndarray) -> Size:
    return int(pair[0]), int(pair[1])
