"""Class weights by formula, against the papers' definitions and numbers computed by hand."""

import math

import numpy as np
import pytest

from effunet.data.check.statistics import SplitStatistics
from effunet.training.config.recipe import Loss
from effunet.training.recipe.balance import FORMULAS, REGION, class_weights, lines

# About what a few Cityscapes classes have of the labelled pixels, in percent.
ROAD, BUILDING, POLE, RIDER = 36.9, 22.8, 1.2, 0.135


def seen(*pixels: float, around: tuple[int, ...] | None = None, images: int = 9, read: int = 9):
    return SplitStatistics(
        dataset="streets",
        split="train",
        classes=tuple("abcdefgh"[: len(pixels)]),
        images=images,
        read=read,
        pixels=tuple(round(number) for number in pixels),
        images_with=tuple(9 if number else 0 for number in pixels),
        pixels_around=around or tuple(round(sum(pixels)) if number else 0 for number in pixels),
        ignored=0,
    )


def test_enet_gives_the_papers_range_and_the_numbers_of_cityscapes_shares():
    shares = [ROAD, BUILDING, POLE, RIDER, 100 - ROAD - BUILDING - POLE - RIDER]
    weights = class_weights("enet", seen(*(share * 1e6 for share in shares)))
    by_hand = [3.0432, 4.5138, 31.747, 47.337, 2.9126]  # 1 / ln(1.02 + share)
    np.testing.assert_allclose(weights, np.array(by_hand) / np.mean(by_hand), rtol=1e-3)
    rare, common = class_weights("enet", seen(1, 1e12))
    assert rare / common == pytest.approx((1 / math.log(1.02)) / (1 / math.log(2.02)), rel=1e-6)


def test_median_frequency_counts_only_the_images_in_which_a_class_occurs():
    # 400 of 1000, 100 of 500 and 10 of 250 pixels: frequencies 0.4, 0.2, 0.04, median 0.2.
    weights = class_weights("median_frequency", seen(400, 100, 10, around=(1000, 500, 250)))
    by_hand = np.array([0.5, 1.0, 5.0])
    np.testing.assert_allclose(weights, by_hand / by_hand.mean(), rtol=1e-12)


def test_inverse_sqrt_of_a_class_a_hundred_times_rarer_is_ten_times_the_weight():
    rare, common = class_weights("inverse_sqrt", seen(1000, 100_000))
    assert rare / common == pytest.approx(10)


def test_effective_number_is_the_geometric_sum_over_regions():
    # E_n = 1 + beta + ... + beta ** (n - 1), Cui et al., proposition 1.
    beta, regions = 0.9, (3, 7, 40)
    weights = class_weights("effective_number", seen(*(n * REGION for n in regions)), beta)
    by_hand = np.array([1 / sum(beta**i for i in range(n)) for n in regions])
    np.testing.assert_allclose(weights, by_hand / by_hand.mean(), rtol=1e-9)


def test_effective_number_goes_from_equal_weights_to_the_inverse_of_the_area():
    counts = seen(5 * REGION, 50 * REGION, 500 * REGION)
    assert class_weights("effective_number", counts, 0.0) == [1, 1, 1]
    inverse = np.array([1, 0.1, 0.01])
    close = class_weights("effective_number", counts, 1 - 1e-9)
    np.testing.assert_allclose(close, inverse / inverse.mean(), rtol=1e-5)


def test_effective_number_of_a_sample_of_the_masks_is_that_of_the_whole_split():
    whole = class_weights("effective_number", seen(4e6, 8e7, images=80, read=80), 0.999)
    sample = class_weights("effective_number", seen(1e6, 2e7, images=80, read=20), 0.999)
    np.testing.assert_allclose(sample, whole)


@pytest.mark.parametrize("name", FORMULAS)
def test_weights_have_mean_one_and_a_rarer_class_weighs_more(name: str):
    weights = class_weights(name, seen(9e6, 4e6, 1e6, 2e4, 3))
    assert np.mean(weights) == pytest.approx(1)
    assert weights == sorted(weights) and weights[0] > 0 and weights[0] < weights[-1]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_class_that_never_occurs_weighs_one_and_shifts_no_other(name: str):
    with_it, without = seen(9e6, 0, 1e6, 0), seen(9e6, 1e6)
    weights = class_weights(name, with_it)
    assert weights[1] == weights[3] == 1
    assert [weights[0], weights[2]] == class_weights(name, without)
    assert class_weights(name, seen(0, 0)) == [1, 1]


def test_the_lines_name_each_class_with_its_weight_and_what_they_rest_on():
    counts = seen(9e6, 0, 1e6, images=5000, read=1000)
    assert lines("enet", counts, [0.25, 1.0, 1.7512]) == [
        "class weights (enet): a 0.25, b 1, c 1.75",
        "streets, split train: no pixel of b in the 1000 masks read: weight 1",
        "streets, split train: the classes were counted in 1000 of 5000 masks, drawn by seed",
    ]
    assert len(lines("enet", seen(1, 2), [0.5, 1.5])) == 1


def test_the_schema_offers_every_formula_and_none():
    choices = Loss.__dataclass_fields__["weighting"].metadata["limits"]["choices"]
    assert choices == ("none", *FORMULAS)


def test_an_unknown_formula_and_a_beta_out_of_range_are_refused():
    with pytest.raises(ValueError, match="use one of enet"):
        class_weights("enett", seen(1, 2))
    with pytest.raises(ValueError, match=r"\[0, 1\), got 1.0"):
        class_weights("effective_number", seen(1, 2), 1.0)
