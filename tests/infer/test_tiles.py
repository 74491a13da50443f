"""Tiles: laws of the blending, no seams, and agreement with the whole image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pixelwise import pixelwise
from tiny_segmenter import random_image, tiny_segmenter

from effunet.infer import Way, blocks, predict, predict_mask, strips, tiles
from effunet.infer.tiles import blend, windows

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


@settings(deadline=None, max_examples=100)
@given(size=st.integers(65, 3000), tile=TILES)
def test_a_tile_fades_in_and_out_so_that_its_border_leaves_no_step(size: int, tile: int) -> None:
    steepest = 2 * np.pi / 2 / max(32, tile // 4)  # of a raised cosine over the overlap, twice
    for stretch, weight in windows(size, tile):
        # Zero beyond its ends, but for those that are the image's own.
        faded = np.pad(weight.numpy(), (int(stretch.start > 0), int(stretch.stop < size)))
        assert np.abs(np.diff(faded)).max(initial=0) < steepest


@settings(deadline=None, max_examples=60)
@given(height=st.integers(1, 900), width=st.integers(1, 900), tile=TILES)
def test_blending_is_the_weighted_sum_of_all_tiles_at_every_pixel(
    height: int, width: int, tile: int
) -> None:
    # Every tile says something else of a pixel; three may meet where the last one is moved back.
    def look(rows: slice, columns: slice) -> torch.Tensor:
        noise = torch.Generator().manual_seed(rows.start * 10_000 + columns.start)
        shape = (2, rows.stop - rows.start, columns.stop - columns.start)
        return torch.rand(shape, generator=noise)

    expected, found = torch.zeros(2, 2, height, width)
    for rows, row_weight in windows(height, tile):
        for columns, column_weight in windows(width, tile):
            weight = row_weight[:, None] * column_weight
            expected[:, rows, columns] += look(rows, columns) * weight
    for rows, columns, part in blend(look, height, width, tile):
        found[:, rows, columns] = part
    assert torch.allclose(found, expected, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(height=st.integers(1, 300), width=st.integers(1, 300), tile=st.sampled_from([64, 96, 128]))
def test_blending_tiles_of_equal_predictions_changes_nothing(
    height: int, width: int, tile: int
) -> None:
    segmenter, image = pixelwise(), random_image(height, width, seed=height)
    whole = predict(segmenter, image).probabilities
    tiled = predict(segmenter, image, Way(tile=tile)).probabilities
    assert tiled.shape == whole.shape
    assert np.allclose(tiled, whole, atol=1e-6)


def test_an_image_that_one_tile_covers_is_done_whole_bit_for_bit() -> None:
    segmenter, image = tiny_segmenter(), random_image(60, 64)
    whole = segmenter(image).probabilities
    assert np.array_equal(predict(segmenter, image).probabilities, whole)
    assert np.array_equal(predict(segmenter, image, Way(tile=64)).probabilities, whole)


def test_tiles_agree_with_the_whole_image_but_for_what_context_decides() -> None:
    segmenter, image = tiny_segmenter(), random_image(200, 230)
    whole, tiled = segmenter(image), predict(segmenter, image, Way(tile=128))
    assert np.allclose(tiled.probabilities.sum(0), 1, atol=1e-5)
    assert (whole.mask == tiled.mask).mean() > 0.9
    assert not np.array_equal(whole.probabilities, tiled.probabilities)


def test_blocks_cover_the_image_once_in_the_order_of_reading() -> None:
    segmenter, image = tiny_segmenter(), random_image(300, 230)
    parts = list(blocks(segmenter, image, Way(tile=96)))
    covered = np.zeros((300, 230), int)
    for rows, columns, part in parts:
        assert part.shape == (3, rows.stop - rows.start, columns.stop - columns.start)
        covered[rows, columns] += 1
    assert (covered == 1).all()
    starts = [(rows.start, columns.start) for rows, columns, _ in parts]
    assert starts == sorted(starts)


def test_strips_come_in_order_and_stay_as_low_as_a_tile() -> None:
    segmenter, image = tiny_segmenter(), random_image(300, 80)
    parts = list(strips(segmenter, image, Way(tile=64)))
    heights = [part.shape[1] for _, part in parts]
    assert [top for top, _ in parts] == [sum(heights[:index]) for index in range(len(heights))]
    assert sum(heights) == 300 and max(heights) <= 64
    prediction = predict(segmenter, image, Way(tile=64))
    assert np.array_equal(torch.cat([part for _, part in parts], 1), prediction.probabilities)
    assert np.array_equal(predict_mask(segmenter, image, Way(tile=64)), prediction.mask)


# Seams

TILE, SIDE = 128, 416
SEEDS = range(3)


def _smooth_image(seed: int) -> np.ndarray:
    """Structure of many sizes, and no edge that lies where a tile's may."""
    import cv2

    noise = np.random.default_rng(seed)
    layers = [noise.normal(size=(SIDE // s + 2, SIDE // s + 2, 3)) for s in (3, 11, 37)]
    summed = sum(cv2.resize(layer, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for layer in layers)
    return (128 + 50 * np.asarray(summed)).clip(0, 255).astype(np.uint8)


def _jumps(borders: list[int]) -> float:
    """How much more the tiled prediction jumps than the whole one, at borders by elsewhere.

    Against the whole image at the same columns, for its own edges and the network's grid leave
    steps there, too.
    """
    segmenter = tiny_segmenter()
    steps = np.zeros((2, SIDE))
    for seed in SEEDS:
        image = _smooth_image(seed)
        for kind, way in enumerate((Way(), Way(tile=TILE))):
            probabilities = predict(segmenter, image, way).probabilities
            steps[kind, 1:] += np.abs(np.diff(probabilities, axis=2)).sum((0, 1))
    whole, tiled = steps[:, borders].mean(1) / np.delete(steps, [0, *borders], 1).mean(1)
    return float(tiled / whole)


def test_nothing_jumps_where_a_tile_begins_or_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    stretches = [stretch for stretch, _ in windows(SIDE, TILE)]
    starts, ends = [s.start for s in stretches[1:]], [s.stop for s in stretches[:-1]]
    assert _jumps(starts + ends) < 1.02
    # Tiles that are put side by side do jump: the statistic sees a seam.
    monkeypatch.setattr(tiles, "windows", _side_by_side)
    assert _jumps(ends) > 1.3


def _side_by_side(size: int, tile: int) -> list[tuple[slice, torch.Tensor]]:
    """The same tiles, each alone in what no earlier one covers."""
    found, covered = list[tuple[slice, torch.Tensor]](), 0
    for stretch, weight in windows(size, tile):
        alone = torch.ones_like(weight)
        alone[: covered - stretch.start] = 0
        found.append((stretch, alone))
        covered = stretch.stop
    return found
