"""Pictures of errors: each pixel says what it is, and a window holds what it is made for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import colormaps
from tiny_segmenter import random_image

from effunet.pictures.errors import (
    APART,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    HATCH,
    HIT,
    NEAR,
    class_errors,
    confidence_map,
    confidence_scale,
    crop_around,
    dimmed,
    error_map,
)

SHAPE = (23, 31)


def masks(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth with ignored pixels, prediction, and any band."""
    noise = np.random.default_rng(seed)
    truth = noise.choice([0, 1, 2, 255], SHAPE).astype(np.uint8)
    return truth, noise.integers(0, 3, SHAPE, np.uint8), noise.random(SHAPE) < 0.4


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_an_error_map_says_of_every_pixel_what_it_is(channels: int) -> None:
    truth, predicted, band = masks(channels)
    image = random_image(*SHAPE, channels=channels)
    picture, below = error_map(truth, predicted, band, image), dimmed(image)
    for place in np.ndindex(SHAPE):
        found = tuple(picture[place].tolist())
        if truth[place] == 255:
            assert found in HATCH
        elif truth[place] == predicted[place]:
            assert found == tuple(below[place].tolist())
        else:
            assert found == (NEAR if band[place] else APART)


@pytest.mark.parametrize("index", [0, 1, 2, 7])
def test_class_errors_are_hits_false_positives_and_misses_of_that_class_alone(index: int) -> None:
    truth, predicted, _ = masks(index)
    image = random_image(*SHAPE)
    picture, below = class_errors(truth, predicted, index, image), dimmed(image)
    meanings = {
        (True, True): HIT,
        (False, True): FALSE_POSITIVE,
        (True, False): FALSE_NEGATIVE,
    }
    for place in np.ndindex(SHAPE):
        found = tuple(picture[place].tolist())
        if truth[place] == 255:
            assert found in HATCH
        else:
            said = bool(truth[place] == index), bool(predicted[place] == index)
            assert found == meanings.get(said, tuple(below[place].tolist()))


def test_the_image_itself_never_has_a_colour_of_an_error() -> None:
    below = dimmed(random_image(64, 64))
    assert (below == below[..., :1]).all()
    assert all(len(set(colour)) == 3 for colour in (APART, NEAR, HIT, FALSE_NEGATIVE))


def test_unknown_truth_is_striped_in_both_greys() -> None:
    nothing = np.full(SHAPE, 255, np.uint8)
    zeros = np.zeros(SHAPE, np.uint8)
    picture = error_map(nothing, zeros, zeros.astype(bool), random_image(*SHAPE))
    colours, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    assert sorted(map(tuple, colours.tolist())) == sorted(HATCH)
    assert counts.min() > 0.4 * counts.sum()


def test_confidence_is_drawn_in_cividis_and_grows_ever_brighter() -> None:
    steps = np.linspace(0, 1, 256, dtype=np.float32)[None]
    drawn = confidence_map(steps)[0].astype(int)
    reference = np.round(colormaps["cividis"](np.arange(256))[:, :3] * 255).astype(int)
    assert np.abs(drawn - reference).max() <= 2
    light = drawn @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > -0.5).all() and light[-1] > light[0] + 150
    assert confidence_scale(256) == [tuple(colour) for colour in drawn.tolist()]


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan])
def test_what_is_no_probability_is_no_confidence(bad: float) -> None:
    with pytest.raises(ValueError, match="take the softmax first"):
        confidence_map(np.array([[0.5, bad]], np.float32))


@given(st.data())
def test_a_crop_lies_in_the_image_holds_its_object_and_has_its_size(data: st.DataObject) -> None:
    size = data.draw(st.tuples(st.integers(1, 400), st.integers(1, 400)))
    place = []
    for end in size:
        start = data.draw(st.integers(0, end - 1))
        place.append(slice(start, data.draw(st.integers(start + 1, end))))
    smallest = data.draw(st.integers(1, 200))
    window = crop_around((place[0], place[1]), size, smallest=smallest)
    longest = max(part.stop - part.start for part in place)
    for part, inside, end in zip(window, place, size, strict=True):
        assert 0 <= part.start <= inside.start and inside.stop <= part.stop <= end
        assert part.stop - part.start == min(end, max(smallest, round(2 * longest)))
