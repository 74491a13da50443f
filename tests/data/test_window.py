"""A crop that is not turned: the same map as the warp's, moved to whole pixels."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from effunet.data.augment import augment as door
from effunet.data.augment.presets import GREY
from effunet.data.augment.window import Span, show_image, show_mask, spans
from effunet.labels import IGNORE


def map_of(scale, top, left, mirror, crop):
    """The map that Augment draws, without a rotation: crop's (x, y) to the image's."""
    x = np.array([mirror / scale, ((crop[1] - 1) / 2 * (1 - mirror) + left + 0.5) / scale - 0.5])
    y = np.array([1 / scale, (top + 0.5) / scale - 0.5])
    return np.array([[x[0], 0, x[1]], [0, y[0], y[1]]])


def random_pair(draw, size, channels=3):
    image = draw.integers(0, 256, (*size, channels), dtype=np.uint8)
    return image, draw.integers(0, 9, size, dtype=np.uint8)


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    crop=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    mirror=st.sampled_from([1, -1]),
    seed=st.integers(0, 99),
)
def test_at_scale_1_it_gives_the_very_bytes_of_the_warp(size, crop, mirror, seed):
    draw = np.random.default_rng(seed)
    image, mask = random_pair(draw, size)
    top, left = (
        draw.integers(min(0, s - c), max(0, s - c), endpoint=True)
        for s, c in zip(size, crop, strict=True)
    )
    to_image = map_of(1.0, top, left, mirror, crop)
    window = door._window(image, mask, to_image.copy(), crop)
    warped = door._turned(image, mask, to_image.copy(), crop)
    for one, other in zip(window, warped, strict=True):
        assert np.array_equal(one, other)


@settings(max_examples=200)
@given(
    scale=st.floats(0.25, 4.0),
    place=st.floats(0, 1),
    mirror=st.sampled_from([1, -1]),
    cut=st.integers(1, 300),
    length=st.integers(1, 300),
)
@example(scale=4.0, place=0.625, mirror=1, cut=1, length=6)
def test_a_span_lies_within_a_pixel_of_the_drawn_map(scale, place, mirror, cut, length):
    spare = round(scale * length) - cut
    left = round(min(0, spare) + place * abs(spare))
    to_image = map_of(scale, 0, left, mirror, (1, cut))
    _, span = spans(to_image, (1, cut), (1, length))
    assert span.mirrored == (mirror < 0)
    assert 0 <= span.seen.start < span.seen.stop <= length
    assert 0 <= span.fills.start < span.fills.stop <= cut
    step = (span.seen.stop - span.seen.start) / span.length
    # Both ends of what is filled, in the image: as the span has them, and as drawn. A mirror is one
    # of the finished crop.
    ends = np.array([span.fills.start, span.fills.stop])
    drawn = (ends + left) / scale
    spanned = span.seen.start + (ends - span.fills.start) * step
    pixel = max(1, 1 / scale)  # of the coarser of both
    assert np.abs(drawn - spanned).max() <= 1.01 * pixel


def test_a_ramp_is_shown_where_the_span_says_and_labels_are_the_nearest(monkeypatch):
    ramp = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None], 4, axis=0)
    image, mask = np.repeat(ramp[..., None], 3, axis=2), ramp
    draw = np.random.default_rng(0)
    for _ in range(300):
        first, seen = int(draw.integers(0, 60)), int(draw.integers(1, 60))
        shown, mirrored = int(draw.integers(1, 150)), bool(draw.integers(2))
        columns = Span(slice(first, first + seen), slice(0, shown), mirrored)
        rows = Span(slice(0, 4), slice(0, 4), False)
        at = first + (np.arange(shown) + 0.5) * seen / shown - 0.5
        at = at[::-1] if mirrored else at
        crop = show_image(image, rows, columns, (4, shown))
        held = np.clip(at, first, first + seen - 1)
        assert np.abs(crop[..., 1] - 2 * held).max() <= 0.6
        labels = show_mask(mask, rows, columns, (4, shown))
        # Half a pixel, and what OpenCV's fixed point takes for it.
        assert np.abs(labels / 2 - at).max() <= 0.5 + 1e-3


def test_what_lies_outside_the_image_is_grey_and_ignored_on_the_right_side():
    image, mask = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
    for mirror, filled in ((1, slice(2, 8)), (-1, slice(2, 8))):
        to_image = map_of(1.0, -1, -2, mirror, (6, 10))
        crop, labels = door._window(image, mask, to_image, (6, 10))
        inside = np.zeros((6, 10), bool)
        inside[1:5, filled] = True
        assert np.array_equal(labels == IGNORE, ~inside)
        assert np.array_equal(crop[..., 0] == GREY, ~inside)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("mirror", [1, -1])
def test_any_number_of_channels_keeps_its_order(channels, mirror):
    image, mask = random_pair(np.random.default_rng(0), (20, 30), channels)
    for scale, crop in ((1.7, (16, 16)), (0.6, (40, 8)), (1.0, (16, 16))):
        to_image = map_of(scale, 0, 0, mirror, crop)
        crops, _ = door._window(image, mask, to_image, crop)
        for channel in range(channels):
            alone, _ = door._window(image[..., [channel]], mask, to_image, crop)
            assert np.array_equal(crops[..., channel], alone[..., 0])


@pytest.mark.parametrize("crop", [(20, 30), (8, 8), (40, 50)])
@pytest.mark.parametrize("mirror", [1, -1])
def test_the_crop_is_memory_of_its_own_and_the_image_may_be_read_only(crop, mirror):
    image, mask = random_pair(np.random.default_rng(0), (20, 30))
    for part in (image, mask):
        part.setflags(write=False)
    for scale in (1.0, 1.3):
        shown = door._window(image, mask, map_of(scale, 0, 0, mirror, crop), crop)
        for part, whole in zip(shown, (image, mask), strict=True):
            assert part.flags.writeable and part.flags.c_contiguous
            assert not np.shares_memory(part, whole)
