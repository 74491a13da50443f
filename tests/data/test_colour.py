"""Brightness, contrast, saturation and hue as one matrix, beside their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effunet.data.augment.augment import Augment, _albumentations
from effunet.data.augment.colour import LUMA, Colour, matrix

factors = st.floats(0.3, 2.0)
turns = st.floats(-0.5, 0.5)
color = st.tuples(*[st.floats(0, 255)] * 3).map(np.array)


def changed(rgb, brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0, grey=100.0):
    return matrix(brightness, contrast, saturation, hue, grey) @ [*rgb, 1.0]


@given(color)
def test_neutral_amounts_change_nothing(rgb):
    np.testing.assert_allclose(changed(rgb), rgb, atol=1e-9)
    np.testing.assert_allclose(changed(rgb, hue=1.0), rgb, atol=1e-9)


@given(st.floats(0, 255), factors, turns)
def test_grey_stays_grey_under_saturation_and_hue(level, saturation, hue):
    got = changed([level] * 3, saturation=saturation, hue=hue)
    np.testing.assert_allclose(got, level, atol=1e-9)


@given(color, turns, turns)
def test_hues_add_up_and_keep_the_sum_of_the_channels(rgb, one, other):
    twice = changed(changed(rgb, hue=one), hue=other)
    np.testing.assert_allclose(twice, changed(rgb, hue=one + other), atol=1e-9)
    assert twice.sum() == pytest.approx(rgb.sum())


@given(color)
def test_a_third_of_a_turn_makes_red_green_and_green_blue(rgb):
    np.testing.assert_allclose(changed(rgb, hue=1 / 3), np.roll(rgb, 1), atol=1e-9)


@given(color, factors, factors, factors, turns)
def test_all_at_once_is_one_after_the_other(rgb, brightness, contrast, saturation, hue):
    grey = float(LUMA @ rgb)
    at_once = changed(rgb, brightness, contrast, saturation, hue, grey)
    bright = brightness * rgb
    contrasted = contrast * bright + (1 - contrast) * LUMA @ bright
    saturated = saturation * contrasted + (1 - saturation) * LUMA @ contrasted
    np.testing.assert_allclose(at_once, changed(saturated, hue=hue), atol=1e-9)


def smooth_image():
    rows, columns = np.mgrid[:96, :120]
    image = np.stack([40 + rows, 60 + columns, 180 - rows // 2 - columns // 2], axis=2)
    return image.astype(np.uint8)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("factor", [0.7, 1.15])
def test_each_factor_alone_is_albumentations_colour_jitter(name, factor):
    ranges = dict.fromkeys(("brightness", "contrast", "saturation"), (1.0, 1.0))
    ranges |= {"hue": (0.0, 0.0), name: (factor, factor)}
    jitter = _albumentations().Compose([_albumentations().ColorJitter(**ranges, p=1.0)])
    expected = jitter(image=smooth_image())["image"]
    got = Colour(1.0, **ranges)(smooth_image(), np.random.default_rng(0))
    # The mean of every sixteenth row is off by a few levels, of which contrast takes a part.
    apart = 3 if name == "contrast" else 1
    assert np.abs(got.astype(int) - expected).max() <= apart


def test_ends_are_cut_and_not_wrapped():
    colour = Colour(1.0, (2.0, 2.0), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0))
    image = np.full((4, 4, 3), 200, np.uint8)
    assert (colour(image, np.random.default_rng(0)) == 255).all()


def test_it_happens_by_its_chance_and_takes_equally_many_numbers_either_way():
    ranges = [(0.5, 1.5)] * 3
    image, changes = smooth_image(), 0
    for seed in range(400):
        draws = [np.random.default_rng(seed) for _ in range(2)]
        sometimes = Colour(0.3, *ranges, (-0.1, 0.1))(image, draws[0])
        always = Colour(1.0, *ranges, (-0.1, 0.1))(image, draws[1])
        assert draws[0].random() == draws[1].random()
        assert sometimes is image or np.array_equal(sometimes, always)
        changes += sometimes is not image
    assert 90 < changes < 150


def test_images_of_other_than_three_channels_keep_their_values():
    image = np.full((40, 40, 4), 77, np.uint8)
    for seed in range(20):
        crop, _ = Augment("street", (16, 16), scale=(1.0, 1.0), channels=4)(
            image, image[..., 0], seed
        )
        assert np.abs(np.median(crop) - 77) <= 1
