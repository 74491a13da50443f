"""Predicting at any size, at several scales and mirrored: laws that hold for every network."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pixelwise import pixelwise
from tiny_segmenter import LABELS, random_image, tiny_segmenter

from effunet.infer import Way, predict, predict_decided, predict_mask
from effunet.labels import LabelMap
from effunet.model.inference import Latest
from effunet.segmenter import Segmenter

WAYS = [
    Way(),
    Way(tile=64),
    Way(flip=True),
    Way(scales=(0.5, 1.0, 1.5)),
    Way(tile=64, flip=True, scales=(0.75, 1.25)),
]


def _two_classes() -> Segmenter:
    return tiny_segmenter(labels=LabelMap(LABELS.classes[:2], ignore=(255,)))


def test_flipping_makes_a_prediction_symmetric() -> None:
    segmenter, image = tiny_segmenter(), random_image(40, 64)
    straight = predict(segmenter, image, Way(flip=True)).probabilities
    mirrored = predict(segmenter, image[:, ::-1].copy(), Way(flip=True)).probabilities
    assert np.allclose(straight, mirrored[:, :, ::-1], atol=1e-6)
    plain = (segmenter(image).probabilities, segmenter(image[:, ::-1].copy()).probabilities)
    assert np.array_equal(straight, (plain[0] + plain[1][:, :, ::-1]) / 2)


def test_flipping_at_several_scales_is_symmetric_too() -> None:
    segmenter, image = tiny_segmenter(), random_image(41, 70)
    way = Way(flip=True, scales=(0.6, 1.0, 1.7))
    straight = predict(segmenter, image, way).probabilities
    mirrored = predict(segmenter, image[:, ::-1].copy(), way).probabilities
    # Resizing rounds what it sees to whole grey levels; mirrored, it rounds the same.
    assert np.allclose(straight, mirrored[:, :, ::-1], atol=1e-5)


@pytest.mark.parametrize("tile", [None, 64])
@pytest.mark.parametrize("flip", [False, True])
def test_scale_1_alone_is_no_scale_bit_for_bit(tile: int | None, flip: bool) -> None:
    segmenter, image = tiny_segmenter(), random_image(90, 101)
    plain = predict(segmenter, image, Way(tile, flip)).probabilities
    scaled = predict(segmenter, image, Way(tile, flip, scales=(1.0,))).probabilities
    assert np.array_equal(plain, scaled)
    if tile is None and not flip:
        assert np.array_equal(plain, segmenter(image).probabilities)


def test_scale_1_sends_the_image_through_the_network_once(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter, image, seen = tiny_segmenter(), random_image(50, 60), list[tuple[int, ...]]()
    strips = Latest.strips
    monkeypatch.setattr(
        Latest, "strips", lambda *args: (seen.append(tuple(args[-1].shape)), strips(*args))[1]
    )
    predict(segmenter, image, Way(scales=(1.0,)))
    assert seen == [(1, 3, 50, 60)]
    seen.clear()
    predict(segmenter, image, Way(scales=(0.5, 1.0, 2.0), flip=True))
    assert seen == [s for s in [(1, 3, 25, 30), (1, 3, 50, 60), (1, 3, 100, 120)] for _ in (0, 1)]


def test_the_order_of_scales_does_not_matter() -> None:
    segmenter, image = tiny_segmenter(), random_image(60, 70)
    first, *others = (
        predict(segmenter, image, Way(scales=order)).probabilities
        for order in itertools.permutations((0.5, 1.0, 1.75))
    )
    assert all(np.allclose(first, other, atol=1e-6) for other in others)


def test_scales_are_averaged_as_probabilities_of_the_image_s_own_size() -> None:
    segmenter, image = tiny_segmenter(), random_image(64, 80)
    alone = [predict(segmenter, image, Way(scales=(scale,))).probabilities for scale in (0.5, 1.0)]
    both = predict(segmenter, image, Way(scales=(0.5, 1.0))).probabilities
    assert np.allclose(both, (alone[0] + alone[1]) / 2, atol=1e-6)
    assert not np.allclose(alone[0], alone[1], atol=0.01)


@settings(deadline=None, max_examples=30)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    scales=st.lists(st.floats(0.25, 4), min_size=1, max_size=3, unique=True),
    colour=st.tuples(*[st.integers(0, 255)] * 3),
)
def test_a_constant_prediction_stays_what_it_is_at_every_scale(
    height: int, width: int, scales: list[float], colour: tuple[int, int, int]
) -> None:
    segmenter, image = pixelwise(), np.full((height, width, 3), colour, np.uint8)
    way = Way(tile=64, flip=True, scales=tuple(scales))
    found = predict(segmenter, image, way).probabilities
    assert np.allclose(found, segmenter(image).probabilities, atol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_resized_look_stays_in_its_place(scale: float) -> None:
    # A slope of one channel from side to side: a shift by half a pixel would change its values.
    slope = np.linspace(40, 200, 64).round().astype(np.uint8)
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = slope
    for turned in (image, image.swapaxes(0, 1).copy()):
        whole = predict(pixelwise(), turned).probabilities[0]
        found = predict(pixelwise(), turned, Way(scales=(scale,))).probabilities[0]
        inner = (slice(4, -4), slice(4, -4))
        step = np.abs(np.diff(whole[inner], axis=0)).max() + np.abs(np.diff(whole[inner])).max()
        assert abs((found - whole)[inner].mean()) < step / 20


@pytest.mark.parametrize("side", range(1, 71))
def test_every_size_is_predicted_at_every_scale_and_sums_to_one(side: int) -> None:
    image = random_image(side, 71 - side)
    way = Way(flip=side % 2 == 0, scales=(0.25, 1.0, 1.3))
    found = predict(tiny_segmenter(), image, way).probabilities
    assert found.shape == (3, side, 71 - side)
    assert np.allclose(found.sum(0), 1, atol=1e-5) and (found >= 0).all()


def test_a_read_only_and_a_mirrored_image_can_be_scaled() -> None:
    segmenter, image = tiny_segmenter(), random_image(33, 40)
    expected = predict(segmenter, image, Way(scales=(0.5,))).mask
    image.flags.writeable = False
    assert np.array_equal(predict(segmenter, image, Way(scales=(0.5,))).mask, expected)
    twice = image[:, ::-1].copy()[:, ::-1]
    assert np.array_equal(predict(segmenter, twice, Way(scales=(0.5,))).mask, expected)


@pytest.mark.parametrize("channels", [1, 5])
def test_images_of_any_channels_can_be_scaled(channels: int) -> None:
    segmenter = tiny_segmenter(channels=channels)
    image = random_image(50, 61, channels=channels)
    found = predict(segmenter, image, Way(scales=(0.5, 1.5))).probabilities
    assert found.shape == (3, 50, 61) and np.allclose(found.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("way", WAYS, ids=Way.describe)
@pytest.mark.parametrize("threshold", [None, 0.2, 0.9])
def test_masks_and_confidences_are_those_of_the_probabilities(
    way: Way, threshold: float | None
) -> None:
    segmenter = (tiny_segmenter() if threshold is None else _two_classes()).calibrated(
        1.7, threshold
    )
    image = random_image(100, 90)
    prediction = predict(segmenter, image, way)
    if threshold is None:
        expected = prediction.probabilities.argmax(0)
    else:
        expected = prediction.probabilities[1] >= np.float32(threshold)
    mask, confidence = predict_decided(segmenter, image, way)
    assert len(np.unique(mask)) > 1
    for found in (mask.numpy(), predict_mask(segmenter, image, way).numpy(), prediction.mask):
        assert found.dtype == np.uint8 and np.array_equal(found, expected)
    named = np.take_along_axis(prediction.probabilities, mask.numpy()[None].astype(int), 0)[0]
    assert np.array_equal(confidence, named)


def test_every_size_from_33_to_70_is_the_crop_of_its_continued_image() -> None:
    segmenter = tiny_segmenter()
    for height in range(33, 71):
        width = 33 + height * 7 % 38
        image = random_image(height, width)
        below, right = -height % 32, -width % 32
        continued = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
        expected = segmenter.probabilities(continued)[:, :height, :width]
        assert torch.allclose(segmenter.probabilities(image), expected, atol=1e-6)


def test_predicting_gives_back_no_graph_and_leaves_the_gradient_mode_alone() -> None:
    segmenter = tiny_segmenter()
    segmenter.network.train()
    probabilities = segmenter.probabilities(random_image(33, 33))
    assert not probabilities.requires_grad and torch.is_grad_enabled()
    assert not segmenter.network.training
