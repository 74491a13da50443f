"""Tiles and mirrored twins: laws of the blending, and agreement with the whole image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_segmenter import random_image, tiny_segmenter
from torch import nn

from effunet.infer import predict, predict_mask, strips, windows
from effunet.segmenter import Segmenter

TILES = st.sampled_from([64, 96, 128, 256, 512])


@settings(deadline=None, max_examples=300)
@given(size=st.integers(1, 3000), tile=TILES)
def test_windows_cover_every_place_with_weights_that_sum_to_one(size: int, tile: int) -> None:
    total = np.zeros(size)
    previous = -1
    for stretch, weight in windows(size, tile):
        assert previous < stretch.start and stretch.stop - stretch.start == len(weight) <= tile
        assert stretch.start % 32 == 0
        assert (weight > 0).all()
        total[stretch] += weight.numpy()
        previous = stretch.start
    assert np.allclose(total, 1, atol=1e-6)


@settings(deadline=None, max_examples=100)
@given(size=st.integers(65, 3000), tile=TILES)
def test_every_inner_window_has_nearly_a_whole_tile_of_context(size: int, tile: int) -> None:
    lengths = [len(weight) for _, weight in windows(size, tile)]
    assert min(lengths) > min(size, tile) - 32


def test_an_image_that_one_tile_covers_is_done_whole_bit_for_bit() -> None:
    segmenter, image = tiny_segmenter(), random_image(60, 64)
    whole = segmenter(image).probabilities
    assert np.array_equal(predict(segmenter, image).probabilities, whole)
    assert np.array_equal(predict(segmenter, image, tile=64).probabilities, whole)


class Pixelwise(nn.Module):
    """Stands for a network that looks at one pixel only, so that tiles can change nothing."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.float() / 40


def _pixelwise() -> Segmenter:
    segmenter = tiny_segmenter()
    plan, weight = segmenter.network.plan, nn.Parameter(torch.zeros(1))
    network = Pixelwise()
    network.plan, network.weight = plan, weight
    segmenter.network = network
    return segmenter


@settings(deadline=None, max_examples=40)
@given(height=st.integers(1, 300), width=st.integers(1, 300), tile=st.sampled_from([64, 96, 128]))
def test_blending_tiles_of_equal_predictions_changes_nothing(
    height: int, width: int, tile: int
) -> None:
    segmenter, image = _pixelwise(), random_image(height, width, seed=height)
    whole = predict(segmenter, image).probabilities
    tiled = predict(segmenter, image, tile=tile).probabilities
    assert tiled.shape == whole.shape
    assert np.allclose(tiled, whole, atol=1e-6)


def test_tiles_agree_with_the_whole_image_but_for_what_context_decides() -> None:
    segmenter, image = tiny_segmenter(), random_image(200, 230)
    whole, tiled = segmenter(image), predict(segmenter, image, tile=128)
    assert np.allclose(tiled.probabilities.sum(0), 1, atol=1e-5)
    assert (whole.mask == tiled.mask).mean() > 0.9
    assert not np.array_equal(whole.probabilities, tiled.probabilities)


@settings(deadline=None, max_examples=100)
@given(size=st.integers(65, 3000), tile=TILES)
def test_a_tile_fades_in_and_out_so_that_its_border_leaves_no_step(size: int, tile: int) -> None:
    steepest = 2 * np.pi / 2 / max(32, tile // 4)  # of a raised cosine over the overlap, twice
    for stretch, weight in windows(size, tile):
        # Zero beyond its ends, but for those that are the image's own.
        faded = np.pad(weight.numpy(), (int(stretch.start > 0), int(stretch.stop < size)))
        assert np.abs(np.diff(faded)).max(initial=0) < steepest


def test_strips_come_in_order_and_stay_as_low_as_a_tile() -> None:
    segmenter, image = tiny_segmenter(), random_image(300, 80)
    parts = list(strips(segmenter, image, tile=64))
    tops = [top for top, _ in parts]
    heights = [part.shape[1] for _, part in parts]
    assert tops == [sum(heights[:index]) for index in range(len(heights))]
    assert sum(heights) == 300 and max(heights) <= 64
    mask = predict_mask(segmenter, image, tile=64).numpy()
    assert np.array_equal(mask, predict(segmenter, image, tile=64).mask)


def test_flipping_makes_a_prediction_symmetric() -> None:
    segmenter, image = tiny_segmenter(), random_image(40, 64)
    straight = predict(segmenter, image, flip=True).probabilities
    mirrored = predict(segmenter, image[:, ::-1].copy(), flip=True).probabilities
    assert np.allclose(straight, mirrored[:, :, ::-1], atol=1e-6)
    plain = (segmenter(image).probabilities, segmenter(image[:, ::-1].copy()).probabilities)
    assert np.allclose(straight, (plain[0] + plain[1][:, :, ::-1]) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("tile", "mend"), [(100, "use 96 or 128"), (0, "use 64 or 96"), (-5, "64")]
)
def test_a_tile_off_the_grid_is_told_the_nearest_ones(tile: int, mend: str) -> None:
    with pytest.raises(ValueError, match=mend):
        predict(tiny_segmenter(), random_image(8, 8), tile=tile)


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
