"""Overlapping tiles: where they lie, and how what is predicted in them becomes one image.

Tiles overlap by a quarter and are blended by raised-cosine (Hann) flanks. What a later tile still
adds to is all that is kept: the memory grows with overlap x width, not with the image.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from effunet.infer.way import GRID

Block = tuple[slice, slice, Float[Tensor, "K h w"]]
"""Rows, columns, and the probabilities there."""


def blend(
    look: Callable[[slice, slice], Float[Tensor, "K h w"]], height: int, width: int, tile: int
) -> Iterator[Block]:
    """Predict an image tile by tile; the blocks cover it once, row by row, left to right.

    Args:
        look: gives the probabilities of the tile at these rows and columns.
        height: of the image.
        width: likewise.
        tile: height and width of a tile; all are whole but those of an image that is smaller.
    """
    rows, columns = windows(height, tile), windows(width, tile)
    # No later tile reaches before its own start: a block ends where the next tile starts.
    tops = [*(row.start for row, _ in rows), height]
    lefts = [*(column.start for column, _ in columns), width]
    above: list[Tensor] = []  # for each column of tiles, what the tiles above add to this row
    for (row, row_weight), (top, bottom) in zip(rows, pairwise(tops), strict=True):
        before: Tensor | None = None  # what the tile on the left adds to this one
        below: list[Tensor] = []
        for place, (column, column_weight) in enumerate(columns):
            left, right = lefts[place], lefts[place + 1]
            seen = look(row, column)
            part = seen * torch.outer(row_weight, column_weight).to(seen)
            if before is not None:
                part[:, :, : before.shape[2]] += before
            # Clones, for a view would keep the whole tile alive.
            before = part[:, :, right - left :].clone()
            part = part[:, :, : right - left]
            if above:
                part[:, : above[place].shape[1]] += above[place]
            below.append(part[:, bottom - top :].clone())
            yield slice(top, bottom), slice(left, right), part[:, : bottom - top]
        above = below


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
