"""The grid of the law's constants: who is in it, and who stands for whom."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effunet.model.scaling import compound
from effunet.scaling.laws import Law, Trial, distinct, grid, others, spread

CROP = (96, 128)
LAWS = grid(2.0, 0.1, 0.05)


def test_the_grid_is_every_triple_of_its_steps_within_the_tolerance() -> None:
    line = [1 + place / 20 for place in range(21)]
    expected = {
        (a, b, g)
        for a in line
        for b in line
        for g in line
        if 1.9 - 1e-9 <= a * b**2 * g**2 <= 2.1 + 1e-9
    }
    found = {(law.alpha, law.beta, law.gamma) for law in LAWS}
    assert len(found) == len(LAWS) == len(expected)
    assert all(any(math.dist(one, other) < 1e-9 for other in expected) for one in found)


def test_the_articles_constants_lie_in_the_grid_of_the_articles_budget() -> None:
    assert Law(1.2, 1.1, 1.15) in LAWS and Law() == Law(1.2, 1.1, 1.15)
    assert Law().growth == pytest.approx(1.92, abs=0.005)


def test_shares_are_those_of_the_growths_logarithm() -> None:
    assert Law(2.0, 1.0, 1.0).shares == (1, 0, 0)
    assert sum(Law().shares) == pytest.approx(1)
    assert Law(1.0, math.sqrt(2), math.sqrt(2)).shares == pytest.approx((0, 0.5, 0.5))


def test_candidates_that_round_to_one_network_and_crop_are_one() -> None:
    found = distinct(LAWS, CROP, 2.0)
    whats = {law: law.trial(1, CROP).what for law in LAWS}
    assert len({whats[law] for law in found}) == len(found) < len(LAWS)
    assert {whats[law] for law in found} == {*whats.values()}
    for law in found:  # who stands for the others is nearest to the budget
        same = [other for other in LAWS if whats[other] == whats[law]]
        assert abs(law.growth - 2) == min(abs(other.growth - 2) for other in same)


def test_what_rounds_to_the_network_that_is_scaled_is_no_candidate() -> None:
    small = (32, 32)  # 1.4 times which is nearer to 32 than to 64
    assert Law(1.0, 1.0, 1.4) in LAWS and Law(1.0, 1.0, 1.4).crop(small, 1) == small
    assert Law().trial(0, small).what not in {
        law.trial(1, small).what for law in distinct(LAWS, small, 2.0)
    }


def test_four_that_are_spread_are_the_even_one_and_the_three_corners() -> None:
    chosen = spread(LAWS, 4)
    assert sorted(max(law.shares) for law in chosen)[1:] == [1, 1, 1]
    uneven = [math.dist(law.shares, (1 / 3, 1 / 3, 1 / 3)) for law in LAWS]
    assert LAWS[uneven.index(min(uneven))] in chosen
    assert spread(LAWS, 10_000) == LAWS


@given(st.integers(1, 20))
def test_more_candidates_keep_those_of_fewer(count: int) -> None:
    assert {*spread(LAWS, count)} < {*spread(LAWS, count + 1)}


@given(st.floats(1, 2), st.floats(0, 4), st.integers(1, 40))
def test_a_crop_grows_by_gamma_to_the_nearest_multiple_of_32(
    gamma: float, phi: float, side: int
) -> None:
    (height, width), base = Law(1, 1, gamma).crop((32 * side, 64 * side), phi), 32 * side
    assert height % 32 == width % 32 == 0
    assert abs(height - base * gamma**phi) <= 16 + 1e-6


def test_a_crop_that_does_not_grow_stays_as_it_is() -> None:
    assert Law(2.0, 1.0, 1.0).crop((50, 70), 3) == Law().crop((50, 70), 0) == (50, 70)


def test_a_trials_name_says_its_law_phi_and_seed() -> None:
    law = Law(1.1, 1.0, 1.3)
    trial = law.trial(2, CROP).with_seed(7)
    assert trial == Trial(law, 2, law.crop(CROP, 2), 7)
    assert trial.name == "phi2a1.1b1g1.3-seed7"
    assert law.plan(2) == compound(2, 1.1, 1.0, 1.3)


def test_the_best_is_held_against_the_article_and_each_thing_alone() -> None:
    found = dict(others(2.0))
    article, *corners = found.values()
    assert article == Law()
    assert [law.shares for law in corners] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert [law.growth for law in corners] == pytest.approx([2, 2, 2], abs=1e-3)
