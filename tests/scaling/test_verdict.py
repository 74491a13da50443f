"""Who is best, and when nobody can tell."""

import math

import numpy as np
import pytest
from scipy import stats

from effunet.scaling.verdict import verdict


def test_the_verdict_is_that_of_tukeys_range_test() -> None:
    draws = np.random.default_rng(0)
    for _ in range(20):
        scores = [list(draws.normal(mean, 1, 4)) for mean in (0, 1, 2, 4)]
        said = verdict(scores)
        reference = stats.tukey_hsd(*scores)
        told = {place for place in range(4) if reference.pvalue[said.best, place] < 0.05}
        assert {*range(4)} - told - {said.best} == {*said.untold}


def test_unequal_numbers_of_seeds_are_compared_as_kramer_does() -> None:
    scores = [[0.1, 0.2, 0.15], [0.4, 0.5], [0.38, 0.45, 0.41, 0.5]]
    said = verdict(scores)
    reference = stats.tukey_hsd(*scores)
    assert said.best == 1 and said.untold == (2,)
    assert reference.pvalue[1, 0] < 0.05 < reference.pvalue[1, 2]


def test_the_interval_of_a_mean_is_that_of_the_pooled_variance() -> None:
    said = verdict([[1.0, 3.0], [10.0, 14.0]])
    deviation = math.sqrt((2 + 8) / 2)
    assert said.deviation == pytest.approx(deviation) and said.freedom == 2
    assert said.halves == pytest.approx([4.302653 * deviation / math.sqrt(2)] * 2, rel=1e-6)


def test_candidates_of_one_law_are_decided_by_chance_in_one_of_twenty_searches_at_most() -> None:
    draws = np.random.default_rng(1).normal(0, 1, (400, 6, 2))
    decided = sum(verdict(scores.tolist()).decided for scores in draws)
    assert decided <= 0.05 * len(draws)


def test_a_candidate_far_above_the_others_is_decided() -> None:
    said = verdict([[0.30, 0.31], [0.60, 0.61], [0.32, 0.30]])
    assert said.decided and said.best == 1 and said.untold == ()


def test_one_seed_each_decides_nothing() -> None:
    said = verdict([[0.1], [0.9], [0.2]])
    assert not said.decided and said.best == 1 and said.untold == (0, 2)
    assert said.deviation is None and said.halves == (math.inf,) * 3


def test_seeds_that_agree_to_the_bit_decide_by_any_difference() -> None:
    assert verdict([[0.5, 0.5], [0.6, 0.6]]).decided
    assert not verdict([[0.5, 0.5], [0.5, 0.5]]).decided


@pytest.mark.parametrize("scores", [[], [[0.5]], [[0.5], []]])
def test_fewer_than_two_scores_are_refused(scores: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="two candidates"):
        verdict(scores)
