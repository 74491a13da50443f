"""What lies behind the street: sky with clouds, and a skyline at the far end."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from effunet.data.street.brush import Brush, Color, Label
from effunet.data.street.dice import Dice

TILE = 256  # pixels: side of the noise block that every texture is cut from


@cache
def noise(seed: int, finest: int = 128, roughness: float = 0.6) -> NDArray[np.float32]:
    """A TILE x TILE block of fractal value noise that wraps round; mean 0, deviation 1.

    finest: cells a side of the finest octave. Sums and products only, which IEEE makes the same
    everywhere.
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
    return (total / np.sqrt((total * total).mean())).astype(np.float32)


@cache
def cloud_tile() -> NDArray[np.uint8]:
    """Cloud thickness, 0..255; twice as tall as the noise, so that any window of it is whole."""
    tile = np.clip(noise(71, 64, 0.55) * 48.0 + 128.0, 0, 255).astype(np.uint8)
    return np.tile(tile, (2, 2))


def paint_sky(brush: Brush, top: Color, bottom: Color, cloud: Color, cover: float, dice: Dice) -> None:
    """Fill the rows above the street: a gradient, and clouds over the share `cover` of it."""
    camera = brush.camera
    rows = min(camera.height, max(1, int(camera.height * camera.horizon) + 2 + camera.height // 20))
    fade = np.linspace(0.0, 1.0, rows, dtype=np.float32)[:, None, None]
    fade = fade * (2.0 - fade)
    sky = np.array(top, np.float32) * (1 - fade) + np.array(bottom, np.float32) * fade
    x, y = dice.count(0, TILE - 1), dice.count(0, TILE - 1)
    tall = dice.count(90, TILE)
    threshold = 205.0 - 170.0 * cover
    softness = dice.between(25.0, 70.0)
    wide = min(TILE, max(16, tall * camera.width // (2 * rows)))
    cut = cloud_tile()[y : y + tall, x : x + wide]
    thick = cv2.resize(cut, (camera.width, rows), interpolation=cv2.INTER_LINEAR_EXACT)
    table = np.clip((np.arange(256, dtype=np.float32) - threshold) / softness, 0.0, 1.0)
    share = table[thick][..., None] * (1 - 0.6 * fade * fade)
    shade = np.float32(1.0) - np.float32(0.10) * table[np.maximum(thick, 40) - 40][..., None]
    sky = sky + share * (np.array(cloud, np.float32) * shade - sky)
    brush.canvas[:rows, :, :3] = np.clip(sky + np.float32(0.5), 0, 255)
    brush.canvas[:rows, :, 3] = Label.Sky


def paint_skyline(brush: Brush, far: float, built: float, dice: Dice) -> None:
    """Roofs and tree tops at the distance `far`; `built` is the share of roofs."""
    x = -far * 1.4
    while x < far * 1.4:
        wide, tall = dice.between(6.0, 26.0), dice.between(3.0, 13.0)
        roof = dice.chance(built)
        if roof:
            tall *= dice.pick((0.8, 1.0, 1.8))
            outline = [(0, -3), (0, tall), (wide, tall), (wide, -3)]
            if dice.chance(0.5):
                outline.insert(2, (wide / 2, tall + wide * dice.between(0.15, 0.4)))
            color = dice.pick(((140, 118, 104), (150, 145, 138), (120, 100, 92), (165, 150, 130)))
        else:
            bumps = dice.many(9) * 0.5 + 0.6
            steps = np.linspace(-0.1, 1.1, 9)
            outline = [(-0.1 * wide, -3), *zip(steps * wide, bumps * tall * 0.8, strict=True)]
            outline.append((1.1 * wide, -3))
            color = dice.pick(((62, 84, 50), (74, 92, 58), (55, 70, 48)))
        ink = brush.ink(color, Label.Building if roof else Label.Tree, far * 0.8, dice.unit())
        brush.polygon(brush.spot(x, far).pixels(outline), ink)
        x += wide * dice.between(0.6, 1.1)
