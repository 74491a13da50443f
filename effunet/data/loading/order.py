"""Orders of an epoch's images: each once, or each as often as its weight says; pure functions."""

import numpy as np
from jaxtyping import Float, Int64


def permutation(seed: int, epoch: int, size: int) -> list[int]:
    """Order of the images 0..size-1 in that epoch."""
    return np.random.default_rng([seed, epoch]).permutation(size).tolist()


def spread(
    draw: np.random.Generator, weights: Float[np.ndarray, " N"], count: int
) -> Int64[np.ndarray, " M"]:
    """Draw `count` of 0..N-1 by positive or zero weight, in a random order.

    Systematic sampling: each comes count * its share of the weights times, rounded up or down, and
    exactly so often on average. No way to draw by weight has less variance.
    """
    able = draw.permutation(np.flatnonzero(weights))
    bounds = np.cumsum(weights[able])
    points = (np.arange(count) + draw.random()) * (bounds[-1] / max(1, count))
    places = np.minimum(np.searchsorted(bounds, points, side="right"), len(able) - 1)
    return draw.permutation(able[places]).astype(np.int64)
