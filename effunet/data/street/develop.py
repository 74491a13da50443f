"""From flat colours to a photograph: the grain of surfaces, then lens, exposure, rain and noise."""

import math
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from effunet.data.street.brush import Label, Light
from effunet.data.street.camera import Camera
from effunet.data.street.dice import Dice
from effunet.data.street.noise import TILE, noise, window


def _by_class(**share: float) -> NDArray[np.float32]:
    table = np.zeros(256, np.float32)
    for name, value in share.items():
        table[Label[name]] = value
    return table


GRAIN = _by_class(
    Building=0.06, Pole=0.03, Tree=0.2, Fence=0.08, Car=0.025, Pedestrian=0.06, Bicyclist=0.03
)
GROUND_GRAIN = _by_class(Road=0.07, Pavement=0.05, Tree=0.08)


@lru_cache(maxsize=8)
def vignette(height: int, width: int) -> NDArray[np.float32]:
    """Squared distance from the image's middle, three channels: 0 there, 1 in the corners."""
    y = (np.arange(height) + 0.5) * 2 / height - 1
    x = (np.arange(width) + 0.5) * 2 / width - 1
    distance = ((y * y)[:, None] + x * x) * 0.5
    return np.repeat(distance.astype(np.float32)[..., None], 3, -1)


@cache
def sensor_noise() -> NDArray[np.float32]:
    """White noise, three channels, mean 0 and deviation 1: sums of four uniform bytes."""
    words = np.random.Philox(key=np.array([9, 9], np.uint64)).random_raw(TILE * TILE * 3 // 2)
    total = words.astype("<u8").view(np.uint8).reshape(4, TILE, TILE, 3).astype(np.float32).sum(0)
    return np.tile((total - np.float32(510.0)) / np.float32(147.8), (2, 2, 1))


@cache
def surface_grain() -> NDArray[np.float32]:
    """Texture of upright surfaces and leaves."""
    return np.tile(noise(5, 128, 0.8), (2, 2))


@cache
def streaks() -> NDArray[np.float32]:
    """Rain: slanted strokes of different brightness, 0 to 1."""
    dice, tile = Dice.of(11, 11), np.zeros((TILE, TILE), np.uint8)
    for _ in range(260):
        x, y, long = dice.count(0, TILE - 1), dice.count(0, TILE - 1), dice.count(8, 26)
        cv2.line(tile, (x, y), (x + long // 6, y + long), dice.count(60, 255))
    return np.tile(tile.astype(np.float32) / np.float32(255.0), (2, 2))


def ground_grain(camera: Camera, start: int, dice: Dice) -> NDArray[np.float32]:
    """Texture of the plane in perspective, for the rows from `start` on; it fades with distance.

    Interpolated by hand, first along z, then along x: OpenCV's warps differ between its versions.
    """
    tile, cells = noise(6, 128, 0.9), dice.between(26.0, 46.0)  # of the tile, a metre
    distance = camera.row_distance()[start:, None]
    along = (distance * cells) % TILE
    low = along.astype(np.int32)[:, 0]
    share = (along - low[:, None]).astype(np.float32)
    rows = tile[low]
    rows += share * (tile[(low + 1) % TILE] - rows)

    pixel = (distance * (cells / camera.reach)).astype(np.float32)  # of the tile
    across = np.arange(camera.width, dtype=np.float32) - np.float32(camera.width // 2)
    across = across * pixel
    left = np.floor(across)
    across -= left
    place = left.astype(np.int32)
    place &= TILE - 1
    place += np.arange(0, TILE * len(rows), TILE, dtype=np.int32)[:, None]
    grain = rows.reshape(-1)[place]
    following = np.roll(rows, -1, axis=1).reshape(-1)[place]
    grain += across * (following - grain)
    grain *= np.minimum(np.float32(1.0), np.float32(2.0) / pixel)
    return grain


def develop(
    canvas: NDArray[np.uint8], camera: Camera, light: Light, dice: Dice
) -> NDArray[np.uint8]:
    """An RGB image (H, W, 3) of the canvas (H, W, 4); no edge moves, at most the whole is blurred.

    Everything after the first table is float32 and rounded once, at the end: machines that multiply
    in another order then differ by one grey level at most.
    """
    height, width = camera.height, camera.width
    mask = np.ascontiguousarray(canvas[..., 3])
    exposure, contrast = dice.between(0.82, 1.18), dice.between(0.9, 1.2)
    gains = [exposure * dice.between(0.93, 1.07) for _ in range(3)]
    gamma = dice.between(0.8, 1.1)
    level = np.arange(256) / 255.0
    curve = 255.0 * ((level**gamma - 0.45) * contrast + 0.45)
    table = np.stack([curve * gain for gain in gains], -1).astype(np.float32)[None]
    image = cv2.LUT(cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB), table)

    texture = cv2.LUT(mask, GRAIN) * window(surface_grain(), height, width, dice)
    start = min(height - 1, int(camera.horizon * height))
    texture[start:] += cv2.LUT(mask[start:], GROUND_GRAIN) * ground_grain(camera, start, dice)
    texture += np.float32(1.0)
    cv2.multiply(image, cv2.merge([texture] * 3), dst=image)
    if light.wet:
        image += (
            np.float32(dice.between(10.0, 40.0)) * window(streaks(), height, width, dice)[..., None]
        )
    blur = dice.between(0.2, 0.85) * max(1.0, math.sqrt(height * width) / 400.0)
    if blur > 0.35:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    shading = 1.0 - np.float32(dice.between(0.0, 0.35)) * vignette(height, width)
    cv2.multiply(image, shading, dst=image)
    sigma = dice.between(0.5, 6.0)
    image = cv2.scaleAdd(window(sensor_noise(), height, width, dice), sigma, image)
    image += np.float32(0.5)
    return np.clip(image, 0, 255, out=image).astype(np.uint8)
