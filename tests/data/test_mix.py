"""Two samples in, one out: what is taken, how much of it, and that image and mask stay one."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from effunet.data.augment.mix import MIXES, Sample, classmix, cutmix, paste
from effunet.labels import IGNORE


def painted(mask: np.ndarray, origin: int) -> Sample:
    """An image that says of each pixel what its label is and which sample it is from."""
    shade = np.full_like(mask, origin)
    return np.stack([mask, shade, 255 - mask], axis=2), mask


def blocks(seed: int, classes=6, size=(24, 32), ignore=0.15) -> np.ndarray:
    """Blocks of 4 x 4 pixels of classes 0..classes-1, some of IGNORE."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, classes, (size[0] // 4, size[1] // 4), dtype=np.uint8)
    small[draw.random(small.shape) < ignore] = IGNORE
    return np.kron(small, np.ones((4, 4), np.uint8))


def pair(seed: int, **facts) -> tuple[Sample, Sample]:
    return painted(blocks(2 * seed, **facts), 10), painted(blocks(2 * seed + 1, **facts), 20)


def pasted_class(sample: Sample, other: Sample, draw: np.random.Generator) -> Sample:
    return paste(sample, other, 2, draw)


WAYS = pytest.mark.parametrize("way", [*MIXES.values(), pasted_class], ids=[*MIXES, "paste"])


@WAYS
@given(seed=st.integers(0, 10_000))
def test_every_pixel_is_one_of_the_two_at_its_place_with_the_label_that_it_has_there(way, seed):
    one, two = pair(seed)
    before = [part.copy() for part in (*one, *two)]
    image, mask = way(one, two, np.random.default_rng(seed))
    assert image.dtype == mask.dtype == np.uint8 and image.shape == one[0].shape
    assert np.array_equal(image[..., 0], mask) and np.array_equal(image[..., 2], 255 - mask)
    taken = image[..., 1] == 20
    assert np.array_equal(mask, np.where(taken, two[1], one[1]))
    assert not (two[1][taken] == IGNORE).any()
    assert set(np.unique(mask)) <= set(np.unique(one[1])) | set(np.unique(two[1])) | {IGNORE}
    assert all(np.array_equal(a, b) for a, b in zip((*one, *two), before, strict=True))


@WAYS
def test_a_draw_decides_everything(way):
    one, two = pair(3)
    images = [way(one, two, np.random.default_rng(seed))[0] for seed in (5, 5)]
    assert np.array_equal(*images)
    many = {way(one, two, np.random.default_rng(seed))[0].tobytes() for seed in range(30)}
    assert len(many) > 2


@WAYS
@pytest.mark.parametrize("channels", [1, 4, 12])
def test_images_of_any_number_of_channels_are_mixed(way, channels):
    one, two = ((np.repeat(image[..., 1:2], channels, axis=2), mask) for image, mask in pair(1))
    image, _ = way(one, two, np.random.default_rng(0))
    assert image.shape == (24, 32, channels) and len(np.unique(image)) == 2


# --- CutMix -------------------------------------------------------------------------------------


def boxes(size, count):
    """What CutMix takes of a sample without IGNORE, count times."""
    one, two = (painted(np.zeros(size, np.uint8), origin) for origin in (10, 20))
    for seed in range(count):
        yield cutmix(one, two, np.random.default_rng(seed))[0][..., 1] == 20


def test_cutmix_takes_a_box_and_not_a_pixel_more():
    for taken in boxes((30, 50), 200):
        rows, columns = np.flatnonzero(taken.any(1)), np.flatnonzero(taken.any(0))
        assert taken.sum() == len(rows) * len(columns)
        if taken.any():
            assert len(rows) == rows[-1] - rows[0] + 1
            assert len(columns) == columns[-1] - columns[0] + 1


def test_the_area_of_the_boxes_follows_from_a_uniform_share_cut_off_at_the_border():
    areas = np.array([taken.mean() for taken in boxes((60, 90), 4000)])
    # A span s with its middle anywhere keeps s - s^2/4 on average; the mean of its square over a
    # uniform s^2 is 1/2 - 1/5 + 1/48.
    assert areas.mean() == pytest.approx(1 / 2 - 1 / 5 + 1 / 48, abs=0.012)
    draw = np.random.default_rng(0)
    side, middle = np.sqrt(draw.random((200_000, 1))), draw.random((200_000, 2))
    low, high = np.clip(middle - side / 2, 0, 1), np.clip(middle + side / 2, 0, 1)
    law = (high - low).prod(axis=1)
    shares = [0.1, 0.25, 0.5, 0.75, 0.9]
    assert_allclose(np.quantile(areas, shares), np.quantile(law, shares), atol=0.025)


def test_a_box_lies_anywhere_and_is_like_the_sample_in_shape():
    covered = np.mean([taken for taken in boxes((40, 60), 3000)], axis=0)
    assert_allclose(covered, covered[::-1, ::-1], atol=0.05)
    whole = [t for t in boxes((40, 60), 500) if not (t[0] | t[-1]).any() and not t[:, 0].any()]
    whole = [t for t in whole if not t[:, -1].any() and t.sum() > 100]
    shapes = [(t.any(1).sum() / 40, t.any(0).sum() / 60) for t in whole]
    assert len(shapes) > 20
    assert_allclose(*zip(*shapes, strict=True), atol=0.04)


# --- ClassMix -----------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000), classes=st.integers(1, 9))
def test_classmix_takes_half_of_the_classes_whole(seed, classes):
    one, two = pair(seed, classes=classes)
    taken = classmix(one, two, np.random.default_rng(seed))[0][..., 1] == 20
    labels = set(np.unique(two[1])) - {IGNORE}
    chosen = set(np.unique(two[1][taken]))
    assert len(chosen) == len(labels) // 2
    assert np.array_equal(taken, np.isin(two[1], list(chosen)))


def test_each_class_is_taken_equally_often():
    one, two = pair(8, classes=5)
    times = np.zeros(5)
    for seed in range(3000):
        taken = classmix(one, two, np.random.default_rng(seed))[0][..., 1] == 20
        times[np.unique(two[1][taken])] += 1
    assert_allclose(times / 3000, 2 / 5, atol=0.04)


# --- copy-paste ---------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000))
def test_a_pasted_piece_is_one_that_hangs_together(seed):
    one, two = pair(seed, classes=3)
    taken = paste(one, two, 2, np.random.default_rng(seed))[0][..., 1] == 20
    assert (two[1][taken] == 2).all()
    number, pieces = cv2.connectedComponents((two[1] == 2).astype(np.uint8), connectivity=8)
    assert any(np.array_equal(taken, pieces == n) for n in range(1, number)) or number == 1


def test_a_piece_comes_as_often_as_its_pixels():
    mask = np.zeros((20, 20), np.uint8)
    mask[2:4, 2:5], mask[10:14, 10:16] = 1, 1  # of 6 and of 24 pixels
    one, two = painted(np.zeros((20, 20), np.uint8), 10), painted(mask, 20)
    taken = [
        int((paste(one, two, 1, np.random.default_rng(seed))[0][..., 1] == 20).sum())
        for seed in range(1000)
    ]
    assert set(taken) == {6, 24}
    assert np.mean(np.array(taken) == 24) == pytest.approx(0.8, abs=0.04)


def test_without_a_pixel_of_the_class_the_sample_stays_as_it_is():
    one, two = pair(0, classes=2)
    image, mask = paste(one, two, 5, np.random.default_rng(0))
    assert np.array_equal(image, one[0]) and np.array_equal(mask, one[1])


def test_a_piece_lies_over_pixels_that_were_ignored_and_makes_them_count():
    one = painted(np.full((8, 8), IGNORE, np.uint8), 10)
    mask = np.full((8, 8), IGNORE, np.uint8)
    mask[2:5, 2:5] = 1
    _, labels = paste(one, painted(mask, 20), 1, np.random.default_rng(0))
    assert np.array_equal(labels, mask)
