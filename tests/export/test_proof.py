"""What counts as proof that two functions answer alike."""

import numpy as np
from numpy import ndarray

from effunet.export.proof import BOUNDS, SIZES, bounds_of, prove, scenes


def scores(images: ndarray) -> ndarray:
    grey = images.mean(1, keepdims=True, dtype=np.float32)
    return np.concatenate([grey, 128 - grey / 2, images[:, :1] / np.float32(3)], 1)


def test_the_images_are_of_three_sizes_one_odd_in_ones_and_twos_bright_dark_and_random() -> None:
    seen = [(what, images.shape) for what, images in scenes(3)]
    assert {(what, shape[0], shape[2:]) for what, shape in seen} == {
        (what, count, size)
        for size in SIZES
        for what, count in (("scene", 1), ("scene", 2), ("random", 1), ("dark", 1), ("bright", 1))
    }
    assert any(height % 2 and width % 2 for height, width in SIZES)


def test_equal_answers_are_a_proof() -> None:
    proof = prove(scores, scores, scenes(3))
    assert (proof.difference, proof.agreement) == (0.0, 1.0) and proof.holds(BOUNDS["fp32"])


def test_a_difference_counts_as_a_share_of_the_range_of_all_answers() -> None:
    white = [("bright", np.full((1, 3, 8, 8), 255, np.uint8))]
    dark = [("dark", np.zeros((1, 3, 8, 8), np.uint8))]
    off = prove(scores, lambda images: scores(images) + 0.01, [*white, *dark])
    assert np.isclose(off.difference, 0.01 / 255, rtol=0.01)


def test_an_answer_of_another_size_is_no_proof() -> None:
    """As of a model that was traced at one size and reshaped to another."""
    proof = prove(scores, lambda images: scores(images)[..., :64, :64], scenes(3))
    assert not proof.holds(BOUNDS["fp32"])


def test_an_answer_that_is_not_a_number_is_no_proof() -> None:
    proof = prove(scores, lambda images: scores(images) * np.nan, scenes(3))
    assert not proof.holds(BOUNDS["fp32"])


def test_masks_are_proved_by_their_classes_alone() -> None:
    def mask(images: ndarray) -> ndarray:
        return scores(images).argmax(1).astype(np.uint8)

    assert prove(mask, mask, scenes(3)).to_plain()["largest_difference"] is None
    assert prove(mask, mask, scenes(3)).holds(BOUNDS["fp32"])
    assert not prove(mask, lambda images: 1 - mask(images), scenes(3)).holds(BOUNDS["fp32"])


def test_one_pixel_in_a_thousand_is_too_many_in_float32() -> None:
    def nearly(images: ndarray) -> ndarray:
        found = scores(images)
        places = np.random.default_rng(0).random(found.shape[2:]) < 0.001
        found[:, :, places] = found[:, ::-1, places]
        return found

    assert not prove(scores, nearly, scenes(3)).holds(BOUNDS["fp32"])


def test_probabilities_of_half_precision_may_differ_where_softmax_is_steep() -> None:
    logits = bounds_of("fp16", probabilities=False)
    probabilities = bounds_of("fp16", probabilities=True)
    assert logits is not None and probabilities is not None
    assert probabilities.difference > logits.difference
    assert probabilities.agreement == logits.agreement
    assert bounds_of("fp32", probabilities=True) == bounds_of("fp32", probabilities=False)
    assert bounds_of("int8", probabilities=False) is None
