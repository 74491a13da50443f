"""Images of any size to probabilities or masks: whole, in overlapping tiles, with a mirrored twin.

The network takes any size by itself. Tiles are for images whose activations do not fit into the
memory: tiles overlap by a quarter and are blended by raised-cosine (Hann) flanks, row by row of
tiles, so that the memory grows with tile x width and not with the image. An image that one tile
covers is done whole: the same numbers, bit for bit.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from effunet.segmenter import Picture, Prediction, Segmenter

GRID = 32
"""Tiles start and end on multiples of the network's last reduction: its feature cells then lie
where those of the whole image lie."""

SMALLEST = 64


def predict(
    segmenter: Segmenter, image: Picture, *, tile: int | None = None, flip: bool = False
) -> Prediction:
    """Segment one image; without tile and flip the same as calling the segmenter."""
    array = segmenter.as_array(image)
    parts = [part.cpu() for _, part in strips(segmenter, array, tile=tile, flip=flip)]
    return Prediction(array, torch.cat(parts, 1).numpy(), segmenter.labels)


def predict_mask(
    segmenter: Segmenter,
    image: UInt8[ndarray, "H W C"],
    *,
    tile: int | None = None,
    flip: bool = False,
) -> UInt8[Tensor, "H W"]:
    """Class indices alone, on the segmenter's device; keeps no probabilities of the whole image."""
    mask = torch.empty(image.shape[:2], dtype=torch.uint8, device=segmenter.device)
    for top, part in strips(segmenter, image, tile=tile, flip=flip):
        # The index that max gives with the value comes five times sooner than argmax on a CPU.
        mask[top : top + part.shape[1]] = part.max(0)[1]
    return mask


def strips(
    segmenter: Segmenter,
    image: UInt8[ndarray, "H W C"],
    *,
    tile: int | None = None,
    flip: bool = False,
) -> Iterator[tuple[int, Float[Tensor, "K h W"]]]:
    """Probabilities of an image from top to bottom, as (first row, strip as wide as the image).

    Args:
        segmenter: does one tile at a time on its own device.
        image: of any size.
        tile: height and width of a tile, a multiple of 32, 64 at least; None: the whole image.
        flip: average with the prediction of the mirrored image; twice the time.
    """
    check_tile(tile)
    height, width = image.shape[:2]
    if tile is None or max(height, width) <= tile:
        yield 0, _probabilities(segmenter, image, flip)
        return
    rows, columns = windows(height, tile), windows(width, tile)
    strip = torch.zeros(len(segmenter.labels), 0, width, device=segmenter.device)
    ends = [*(row.start for row, _ in rows[1:]), height]
    for (row, row_weight), end in zip(rows, ends, strict=True):
        missing = row.stop - row.start - strip.shape[1]
        strip = torch.nn.functional.pad(strip, (0, 0, 0, missing))
        for column, column_weight in columns:
            weight = torch.outer(row_weight, column_weight).to(strip.device)
            strip[:, :, column] += _probabilities(segmenter, image[row, column], flip) * weight
        # No later tile reaches the rows above the next tiles' first: they are done.
        done = end - row.start
        yield row.start, strip[:, :done]
        strip = strip[:, done:]


def windows(size: int, tile: int) -> list[tuple[slice, Float[Tensor, " n"]]]:
    """Overlapping stretches that cover 0..size, with weights that sum to one at every place."""
    overlap = max(GRID, tile // 4 // GRID * GRID)
    starts = [0]
    while starts[-1] + tile < size:
        # The last stretch is moved back to the image's end, on the grid, to see its full context.
        last = -(-(size - tile) // GRID) * GRID
        starts.append(min(starts[-1] + tile - overlap, last))
    slices = [slice(start, min(start + tile, size)) for start in starts]
    flank = np.sin(np.pi / 2 * (np.arange(overlap) + 0.5) / overlap) ** 2
    total = np.zeros(size)
    weights: list[ndarray] = []
    for stretch in slices:
        weight = np.ones(stretch.stop - stretch.start)
        # No flank at the image's own ends: a neighbour that ends close by would leave a step there.
        if stretch.start > 0:
            weight[:overlap] = flank
        if stretch.stop < size:
            weight[-overlap:] *= flank[::-1]
        total[stretch] += weight
        weights.append(weight)
    return [
        (stretch, torch.from_numpy(weight / total[stretch]).float())
        for stretch, weight in zip(slices, weights, strict=True)
    ]


def check_tile(tile: int | None) -> None:
    """Raise ValueError, with the nearest sizes that do, unless tiles can have this size."""
    if tile is not None and (tile < SMALLEST or tile % GRID):
        below = max(SMALLEST, tile // GRID * GRID)
        raise ValueError(
            f"tile must be a multiple of {GRID} and {SMALLEST} at least, got {tile}: "
            f"use {below} or {below + GRID}"
        )


def _probabilities(
    segmenter: Segmenter, image: UInt8[ndarray, "H W C"], flip: bool
) -> Float[Tensor, "K H W"]:
    straight = segmenter.probabilities(image)
    if not flip:
        return straight
    return (straight + segmenter.probabilities(image[:, ::-1]).flip(2)) / 2
