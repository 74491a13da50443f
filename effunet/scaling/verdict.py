"""Scores of several seeds in, who is best and how sure that is out; "undecided" is an answer.

The chance of a training is taken as alike for all candidates, so that its variance is pooled over
them, and the best is told from another one where they lie further apart than Tukey's range test
allows for so many candidates (Kramer 1956, for unequal numbers of seeds). That says how sure the
order is over new seeds, on these images and at this length of training.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean

LEVEL = 0.95


@cache
def _studentized_range(means: int, freedom: int) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(LEVEL, means, freedom))


@dataclass(frozen=True)
class Verdict:
    """Who is best; places are those of the scores that were given."""

    best: int
    untold: tuple[int, ...]  # places that the best one is not told from, the best one left out
    deviation: float | None  # of one training by chance; None: no candidate has two seeds
    freedom: int  # degrees of it
    halves: tuple[float, ...]  # half of the interval of each mean, 95 %; infinite where unknown

    @property
    def decided(self) -> bool:
        """Whether the best one is told from all others."""
        return not self.untold


def verdict(scores: Sequence[Sequence[float]]) -> Verdict:
    """Compare candidates by the means of their scores; one seed each leaves all undecided.

    Args:
        scores: of each candidate one or more, of different seeds; two candidates or more.

    Raises:
        ValueError: fewer than two candidates, or one without a score.
    """
    if len(scores) < 2 or not all(scores):
        raise ValueError(f"a verdict needs two candidates with a score each, got {scores}")
    means = [fmean(found) for found in scores]
    best = max(range(len(scores)), key=lambda place: means[place])
    others = [place for place in range(len(scores)) if place != best]
    freedom = sum(len(found) - 1 for found in scores)
    if freedom == 0:
        return Verdict(best, tuple(others), None, 0, (math.inf,) * len(scores))
    from scipy.stats import t

    squares = sum(
        (score - mean) ** 2 for found, mean in zip(scores, means, strict=True) for score in found
    )
    deviation = math.sqrt(squares / freedom)
    least = _studentized_range(len(scores), freedom) * deviation / math.sqrt(2)
    untold = tuple(
        place
        for place in others
        if means[best] - means[place]
        <= least * math.sqrt(1 / len(scores[best]) + 1 / len(scores[place]))
    )
    half = float(t.ppf((1 + LEVEL) / 2, freedom)) * deviation
    return Verdict(
        best,
        untold,
        deviation,
        freedom,
        tuple(half / math.sqrt(len(found)) for found in scores),
    )
