"""Every texture of a scene is cut from a few small blocks of noise, made once a process."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from effunet.data.street.dice import Dice

TILE = 256  # pixels: side of a block


@cache
def noise(seed: int, finest: int = 128, roughness: float = 0.6) -> NDArray[np.float32]:
    """A TILE x TILE block of fractal value noise that wraps round; mean 0, deviation 1.

    finest: cells a side of the finest octave; roughness: weight of an octave, of the coarser one's.
    Rounded to 1/256, which hides that machines add up a mean in different orders.
    """
    total = np.zeros((TILE, TILE))
    cells, weight = 4, 1.0
    while cells <= finest:
        words = np.random.Philox(key=np.array([seed, cells], np.uint64)).random_raw(cells * cells)
        grid = (words >> np.uint64(11)).reshape(cells, cells) * 2.0**-53 - 0.5
        at = np.arange(TILE) * cells / TILE
        low = at.astype(int)
        share = at - low
        share = share * share * (3.0 - 2.0 * share)
        rows = grid[low] * (1.0 - share)[:, None] + grid[(low + 1) % cells] * share[:, None]
        total += weight * (rows[:, low] * (1.0 - share) + rows[:, (low + 1) % cells] * share)
        cells, weight = cells * 2, weight * roughness
    total -= total.mean()
    return (np.round(total / np.sqrt((total * total).mean()) * 256.0) / 256.0).astype(np.float32)


def window(tile: NDArray[np.float32], height: int, width: int, dice: Dice) -> NDArray[np.float32]:
    """A height x width cut of an endless tiling of a square tile, from anywhere in it.

    Tiles carry their repetition (twice their period a side), so that small cuts need no copy.
    """
    period = len(tile) // 2
    y, x = dice.count(0, period - 1), dice.count(0, period - 1)
    if height <= period and width <= period:
        return tile[y : y + height, x : x + width]
    rows, columns = (y + np.arange(height)) % period, (x + np.arange(width)) % period
    return tile[rows[:, None], columns]
