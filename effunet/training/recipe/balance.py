"""How often each class occurs -> a weight per class, by one of the published formulas; no torch.

Weights have the mean 1 over the classes that occur, so that a loss keeps its size whichever formula
is chosen. A class that never occurs has weight 1: no pixel will ever use it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from effunet.data.check.statistics import SplitStatistics

REGION = 32 * 32
"""Pixels that are one sample of a class to `effective_number`: a cell of the coarsest feature."""

Numbers = Float64[np.ndarray, " K"]


@dataclass(frozen=True)
class Seen:
    """What a formula is told of the K classes that occur."""

    pixels: Numbers  # of each class, in the masks read
    around: Numbers  # labelled pixels of the images in which it occurs, in the masks read
    whole: float  # images of the split, over masks read
    beta: float  # effective_number's, in [0, 1)


def enet(seen: Seen) -> Numbers:
    """1 / ln(1.02 + share of the pixels), from 1.42 to 50.5 (Paszke et al., ENet, 2016, 5.2)."""
    return 1 / np.log(1.02 + seen.pixels / seen.pixels.sum())


def median_frequency(seen: Seen) -> Numbers:
    """The median frequency over the class's own (Eigen and Fergus, 2015, sec. 6.3.2).

    A class's frequency is its pixels over the labelled pixels of the images in which it occurs.
    """
    frequency = seen.pixels / seen.around
    return np.median(frequency) / frequency


def inverse_sqrt(seen: Seen) -> Numbers:
    """1 / sqrt(share of the pixels): half way, in logarithms, to weighing all classes alike.

    Mahajan et al., Exploring the limits of weakly supervised pretraining (2018), sample by it.
    """
    return 1 / np.sqrt(seen.pixels / seen.pixels.sum())


def effective_number(seen: Seen) -> Numbers:
    """(1 - beta) / (1 - beta ** n), one over the effective number of samples (Cui et al., 2019).

    Their n counts images of one object each. Neighbouring pixels show nearly the same, which is the
    overlap that the formula is about, so that n is the class's area in the whole split, in REGIONs.
    A class of far more than 1 / (1 - beta) regions is as good as endless; a rarer one weighs as the
    inverse of its area.
    """
    samples = seen.pixels * seen.whole / REGION
    if seen.beta == 0:  # each class is one sample
        return np.ones_like(samples)
    # expm1 and log1p: both differences are tiny where beta is near 1 and n is small.
    return (1 - seen.beta) / -np.expm1(samples * np.log1p(seen.beta - 1))


FORMULAS: dict[str, Callable[[Seen], Numbers]] = {
    "enet": enet,
    "median_frequency": median_frequency,
    "inverse_sqrt": inverse_sqrt,
    "effective_number": effective_number,
}


def class_weights(name: str, statistics: SplitStatistics, beta: float = 0.9999) -> list[float]:
    """One weight per class by the formula `name`; beta is effective_number's, in [0, 1)."""
    if name not in FORMULAS:
        raise ValueError(f"no formula is called {name!r}: use one of {', '.join(FORMULAS)}")
    if not 0 <= beta < 1:
        raise ValueError(f"beta must lie in [0, 1), got {beta}")
    pixels, around = np.array([statistics.pixels, statistics.pixels_around], np.float64)
    occurs = pixels > 0
    weights = np.ones(len(pixels))
    if occurs.any():
        whole = statistics.images / statistics.read
        found = FORMULAS[name](Seen(pixels[occurs], around[occurs], whole, beta))
        weights[occurs] = found / found.mean()
    return [float(weight) for weight in weights]


def lines(name: str, statistics: SplitStatistics, weights: Sequence[float]) -> list[str]:
    """What to show a user: the weights beside the classes' names, and what they rest on."""
    pairs = zip(statistics.classes, weights, strict=True)
    shown = [f"class weights ({name}): {', '.join(f'{n} {w:.3g}' for n, w in pairs)}"]
    if statistics.absent:
        shown.append(
            f"{statistics.dataset}, split {statistics.split}: no pixel of"
            f" {', '.join(statistics.absent)} in the {statistics.read} masks read: weight 1"
        )
    return shown + ([statistics.notice] if statistics.notice else [])
