"""Times of rounds -> the numbers that are said of them; no clock, no process, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """Where the values of all rounds lie."""

    median: float
    p05: float  # 5 % of the rounds lie below, interpolated between the nearest two
    p95: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Summarise one value a round; one round at least."""
    ordered = sorted(values)
    low, high = (_quantile(ordered, share) for share in (0.05, 0.95))
    return Spread(median(ordered), low, high, ordered[0], ordered[-1])


def speeds(first: Sequence[float], other: Sequence[float]) -> list[float]:
    """How many times as fast as the first the other was in each round: above 1 it was faster."""
    return [ours / theirs for ours, theirs in zip(first, other, strict=True)]


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
