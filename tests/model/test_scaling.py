import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effunet.model.scaling import (
    ALPHA,
    BETA,
    GAMMA,
    VARIANTS,
    Plan,
    compound,
    law_of,
    published,
    pyramid_widths,
    round_repeats,
    round_width,
)


def stages_of(plan: Plan) -> tuple[int, tuple[tuple[int, int], ...]]:
    """What decides an encoder without classifier: stem, and (width, repeats) of each stage."""
    return plan.stem, tuple((stage.width, stage.repeats) for stage in plan.stages)


# Stage widths and repeats as the released models have them.
STAGES = {
    "b0": (32, [16, 24, 40, 80, 112, 192, 320], [1, 2, 2, 3, 3, 4, 1]),
    "b1": (32, [16, 24, 40, 80, 112, 192, 320], [2, 3, 3, 4, 4, 5, 2]),
    "b2": (32, [16, 24, 48, 88, 120, 208, 352], [2, 3, 3, 4, 4, 5, 2]),
    "b3": (40, [24, 32, 48, 96, 136, 232, 384], [2, 3, 3, 5, 5, 6, 2]),
    "b4": (48, [24, 32, 56, 112, 160, 272, 448], [2, 4, 4, 6, 6, 8, 2]),
    "b5": (48, [24, 40, 64, 128, 176, 304, 512], [3, 5, 5, 7, 7, 9, 3]),
    "b6": (56, [32, 40, 72, 144, 200, 344, 576], [3, 6, 6, 8, 8, 11, 3]),
    "b7": (64, [32, 48, 80, 160, 224, 384, 640], [4, 7, 7, 10, 10, 13, 4]),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_two_tables_give_every_published_stage(name: str) -> None:
    stem, widths, repeats = STAGES[name]
    assert stages_of(published(name)) == (stem, tuple(zip(widths, repeats, strict=True)))


def test_of_whole_phi_only_0_1_and_2_give_published_stages_those_of_b0_b2_and_b3() -> None:
    """The pure law and the released table part everywhere else, B1 and B4 to B7 included.

    "Give" means stem, stage widths and repeats, after both roundings: all that a segmentation
    encoder has. Resolution (256 and 296 for 260 and 300) and, for B3, the width before the
    classifier (1552 for 1536) are other numbers even there.
    """
    agreeing = {
        (phi, name)
        for phi in range(-3, 11)
        for name in VARIANTS
        if stages_of(compound(phi)) == stages_of(published(name))
    }
    assert agreeing == {(0, "b0"), (1, "b2"), (2, "b3")}
    assert (compound(1).resolution, compound(2).resolution) == (256, 296)
    assert (compound(1).head, compound(2).head) == (1408, 1552)


def test_no_real_phi_gives_b5_b6_or_b7() -> None:
    """B1 (phi 0.001 to 0.13) and B4 (3.50 to 3.62) the law does meet between the whole numbers."""
    released = {stages_of(published(name)): name for name in VARIANTS}
    laws = {stages_of(compound(step / 50)) for step in range(-50, 450)}
    assert {released[law] for law in laws & set(released)} == {"b0", "b1", "b2", "b3", "b4"}


def test_phi_0_is_b0_in_every_number_but_its_name() -> None:
    assert Plan(**vars(compound(0.0)) | {"name": "b0"}) == published("b0")


@given(st.floats(0.1, 1e5))
def test_a_rounded_width_is_a_multiple_of_8_and_never_loses_more_than_a_tenth(width: float) -> None:
    rounded = round_width(width)
    assert rounded % 8 == 0
    assert rounded >= 0.9 * width
    assert rounded <= max(width + 8, 8)


def test_a_width_is_rounded_up_where_the_nearest_multiple_loses_more_than_a_tenth() -> None:
    assert (round_width(36), round_width(35.9)) == (40, 40)  # 32 is nearest to 35.9, but 11 % less
    assert (round_width(83.9), round_width(84)) == (80, 88)


@given(st.floats(0.1, 100))
def test_repeats_are_rounded_up(repeats: float) -> None:
    assert round_repeats(repeats) - repeats < 1
    assert round_repeats(repeats) >= repeats


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_nothing_shrinks_as_phi_grows(one: float, other: float) -> None:
    small, large = (compound(phi) for phi in sorted((one, other)))
    assert small.resolution <= large.resolution
    assert small.dropout <= large.dropout
    assert small.blocks <= large.blocks
    assert all(a <= b for a, b in zip(pyramid_widths(small), pyramid_widths(large), strict=True))


def test_a_negative_phi_gives_a_smaller_network() -> None:
    small, base = compound(-2), published("b0")
    assert small.stem < base.stem
    assert small.resolution == 8 * round(224 / 1.15**2 / 8) == 168
    assert small.dropout < base.dropout


def test_the_constants_of_the_law_can_be_changed() -> None:
    plan = compound(1, alpha=2.0, beta=1.0, gamma=1.0)
    assert [stage.repeats for stage in plan.stages] == [2, 4, 4, 6, 6, 8, 2]
    assert pyramid_widths(plan) == pyramid_widths(published("b0"))
    assert plan.resolution == 224


@pytest.mark.parametrize(
    "law", [(1.0, ALPHA, BETA, GAMMA), (-4.0, 1.1, 1.0, 1.3), (1e-5, 1 / 0.7, 2**0.5, 1.15)]
)
def test_a_plan_says_the_law_that_it_is_of(law: tuple[float, float, float, float]) -> None:
    assert law_of(compound(*law)) == law


def test_a_plan_that_no_law_gives_says_none() -> None:
    other = dataclasses.replace(compound(1), head=1000)
    assert [law_of(plan) for plan in (published("b0"), other)] == [None, None]
    assert law_of(dataclasses.replace(other, name="phi1a1b9g1")) is None


def test_the_finest_width_is_the_stems_or_the_first_stages() -> None:
    assert pyramid_widths(published("b0"), "stem") == (32, 24, 40, 112, 320)
    assert pyramid_widths(published("b0"), "stage1") == (16, 24, 40, 112, 320)


@pytest.mark.parametrize("phi", [math.nan, math.inf, 21.0, -1e9])
def test_a_senseless_phi_is_refused_with_its_value(phi: float) -> None:
    with pytest.raises(ValueError, match=r"phi must lie in \[-20, 20\], got"):
        compound(phi)


def test_an_unknown_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"b0, b1, .*b7, got 'b9'"):
        published("b9")


@pytest.mark.parametrize("plan", [*map(published, VARIANTS), compound(1.5), compound(-2)])
def test_a_plan_survives_json(plan: Plan) -> None:
    assert Plan.from_plain(json.loads(json.dumps(plan.to_plain()))) == plan
