"""What lies behind the street: sky with clouds, and a skyline at the far end."""

from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from effunet.data.street.brush import Brush, Label
from effunet.data.street.dice import Dice
from effunet.data.street.ground import FAR, far_row
from effunet.data.street.noise import TILE, noise
from effunet.data.street.weather import Sky


@cache
def cloud_tile() -> NDArray[np.uint8]:
    """Cloud thickness, 0..255; twice as tall as the noise, so that any window of it is whole."""
    tile = np.clip(noise(71, 64, 0.55) * 48.0 + 128.0, 0, 255).astype(np.uint8)
    return np.tile(tile, (2, 2))


def paint_sky(brush: Brush, sky: Sky, dice: Dice) -> None:
    """Fill the rows above the street: a gradient, and clouds over it."""
    camera = brush.camera
    rows = max(1, far_row(camera))
    fade = np.linspace(0.0, 1.0, rows)[:, None, None]
    fade = fade * (2.0 - fade)
    blue = np.array(sky.top) * (1.0 - fade) + np.array(sky.bottom) * fade
    start, softness = 205.0 - 170.0 * sky.cover, dice.between(25.0, 70.0)
    thickness = np.arange(0.0, 256.0, 4.0)[:, None]
    share = np.clip((thickness - start) / softness, 0.0, 1.0) * (1.0 - 0.6 * fade * fade)
    shade = 1.0 - 0.12 * np.clip((thickness - start - 40.0) / softness, 0.0, 1.0)
    table = np.full((rows, 64, 4), int(Label.Sky), np.uint8)
    table[..., :3] = blue + share * (np.array(sky.cloud) * shade - blue) + 0.5

    x, y, tall = dice.count(0, TILE - 1), dice.count(0, TILE - 1), dice.count(60, 150)
    wide = min(TILE, max(16, 3 * tall * camera.width // (4 * rows)))
    cut = cloud_tile()[y : y + tall, x : x + wide]
    thick = cv2.resize(cut, (camera.width, rows), interpolation=cv2.INTER_LINEAR_EXACT)
    place = thick // 4 + np.arange(0, 64 * rows, 64, dtype=np.int32)[:, None]
    brush.canvas[:rows] = (
        table.view(np.uint32).reshape(-1)[place].view(np.uint8).reshape(rows, -1, 4)
    )


def paint_skyline(brush: Brush, dice: Dice) -> None:
    """Roofs and tree tops at the end of the street, in a share that is drawn too."""
    far, built = FAR, dice.unit()
    x = -far * 1.4
    while x < far * 1.4:
        wide, tall = dice.between(6.0, 26.0), dice.between(3.0, 13.0)
        roof = dice.chance(built)
        if roof:
            tall *= dice.pick((0.8, 1.0, 1.8))
            outline = [(0, -3), (0, tall), (wide, tall), (wide, -3)]
            if dice.chance(0.5):
                outline.insert(2, (wide / 2, tall + wide * dice.between(0.15, 0.4)))
            shapes = [outline]
            color = dice.pick(((140, 118, 104), (150, 145, 138), (120, 100, 92), (165, 150, 130)))
        else:
            tops = [(wide * (0.15 * k - 0.1), tall * dice.between(0.45, 0.9)) for k in range(9)]
            shapes = [[(a, -3), (a, b), (c, d), (c, -3)] for (a, b), (c, d) in pairwise(tops)]
            color = dice.pick(((62, 84, 50), (74, 92, 58), (55, 70, 48)))
        tone, left = dice.unit(), x
        x += wide * dice.between(0.6, 1.1)
        if not brush.sees(left + wide / 2, far, wide):
            continue
        ink = brush.ink(color, Label.Building if roof else Label.Tree, far * 0.8, tone)
        brush.polygons(brush.camera.spot(left, far).pixels(shapes), ink)
