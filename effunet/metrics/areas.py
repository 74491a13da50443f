"""Hits, true pixels and predicted pixels of each class, and the scores that they say.

Every function takes any leading axes, so that the sums of a thousand drawn sets of images are
scored at once; NaN (and no warning) where nothing can be said.
"""

from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, Integer
from numpy import ndarray

from effunet.metrics.ratio import ratio

Areas = Int64[ndarray, "*R 3 K"]
"""Rightly predicted, true and predicted pixels of each class."""


def areas_of(matrix: Integer[ndarray, "K K"]) -> Int64[ndarray, "3 K"]:
    """The areas that a confusion matrix holds; its rows are the truth."""
    return np.stack([np.diagonal(matrix), matrix.sum(1), matrix.sum(0)]).astype(np.int64)


def iou(areas: Areas) -> Float64[ndarray, "*R K"]:
    """Intersection over union; NaN for a class in neither truth nor prediction."""
    hits, true, predicted = _parts(areas)
    return ratio(hits, true + predicted - hits)


def dice(areas: Areas) -> Float64[ndarray, "*R K"]:
    """Twice the intersection over the sum of both areas (= F1); NaN as for `iou`."""
    hits, true, predicted = _parts(areas)
    return ratio(2 * hits, true + predicted)


def accuracy(areas: Areas) -> Float64[ndarray, "*R K"]:
    """Share of the true pixels that were found (recall); NaN without true pixels."""
    hits, true, _ = _parts(areas)
    return ratio(hits, true)


def precision(areas: Areas) -> Float64[ndarray, "*R K"]:
    """Share of the predicted pixels that are right; NaN without predicted pixels."""
    hits, _, predicted = _parts(areas)
    return ratio(hits, predicted)


def pixel_accuracy(areas: Areas) -> Float64[ndarray, "*R"]:
    """Share of all pixels that are right."""
    hits, true, _ = _parts(areas)
    return ratio(hits.sum(-1), true.sum(-1))


def frequency_weighted(scores: Float64[ndarray, "*R K"], areas: Areas) -> Float64[ndarray, "*R"]:
    """Mean of the classes' scores, each weighted by its share of the true pixels."""
    true = areas[..., 1, :]
    return ratio((np.where(true > 0, np.nan_to_num(scores), 0) * true).sum(-1), true.sum(-1))


def mean(scores: Float64[ndarray, "*R K"]) -> Float64[ndarray, "*R"]:
    """Mean over the classes that have a score; NaN when none has."""
    known = np.isfinite(scores)
    return ratio(np.where(known, scores, 0).sum(-1), known.sum(-1))


def _parts(areas: Areas) -> tuple[Any, Any, Any]:
    return areas[..., 0, :], areas[..., 1, :], areas[..., 2, :]
