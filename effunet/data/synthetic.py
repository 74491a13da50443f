"""The embedded default dataset: procedural street scenes with pixel-exact labels, from two numbers.

A scene is a function of (seed, index) alone: camera, street, light and weather are drawn at random, so
a network meets more variation than a camera would bring home (domain randomisation). The classes are
CamVid's eleven in SegNet's order. Sizes are relative: the same scene can be had at any size.
"""

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from effunet.data.street.brush import Brush, Camera, Color, Label, Light
from effunet.data.street.dice import Dice
from effunet.data.street.ground import FAR
from effunet.data.street.layout import paint_street
from effunet.data.street.sky import TILE, noise, paint_sky, paint_skyline

CLASSES: tuple[str, ...] = tuple(label.name for label in Label)
PALETTE: tuple[Color, ...] = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip

GRAIN = (0.0, 0.07, 0.03, 0.10, 0.07, 0.20, 0.0, 0.10, 0.03, 0.07, 0.04)  # texture of each class


def render(
    seed: int, index: int, height: int = 256, width: int = 256
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image (height, width, 3) RGB and mask (height, width) of class indices 0..10, both uint8.

    seed, index: 0 to 2**64 - 1; every pair is another scene, and the same scene at every size, on every
    machine (labels exactly, images within one grey level). height, width: pixels, from 1 up.
    """
    if not (0 <= seed < 2**64 and 0 <= index < 2**64):
        raise ValueError(f"seed and index must lie in [0, 2**64), got {seed} and {index}")
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be at least 1 pixel, got {height} x {width}")
    dice = Dice.of(seed, index)
    camera = draw_camera(dice.fork(), height, width)
    weather = dice.pick(("clear", "clear", "clear", "overcast", "overcast", "fog", "rain", "dusk"))
    sky_dice, light_dice = dice.fork(), dice.fork()
    light, sky = draw_light(weather, light_dice)
    canvas = np.empty((height, width, 4), np.uint8)
    brush = Brush(camera, light, canvas)
    paint_sky(brush, *sky, sky_dice)
    paint_skyline(brush, FAR, dice.unit(), dice.fork())
    paint_street(brush, dice.fork())
    mask = np.ascontiguousarray(canvas[..., 3])
    return develop(canvas, mask, camera, weather, dice.fork()), mask


def draw_camera(dice: Dice, height: int, width: int) -> Camera:
    """A camera behind a windscreen, somewhere in its lane, on a road that may bend and climb."""
    return Camera(
        height=height,
        width=width,
        focal=dice.between(0.75, 1.15),
        horizon=dice.between(0.38, 0.54),
        eye=dice.between(1.25, 2.1),
        offset=dice.between(-2.2, 2.2),
        heading=dice.between(-0.08, 0.08),
        bend=dice.between(-1.0, 1.0) ** 3 * 0.0016,
        slope=dice.between(-0.00006, 0.00022),
    )


def draw_light(weather: str, dice: Dice) -> tuple[Light, tuple[Color, Color, Color, float]]:
    """The light of a weather, and its sky: colour at the top, at the horizon, of clouds, their share."""
    x, z, y = dice.between(-1.0, 1.0), dice.between(-1.0, 0.8), dice.between(0.35, 1.1)
    norm = math.sqrt(x * x + y * y + z * z)
    sun = (x / norm, y / norm, z / norm)
    t = dice.unit()
    if weather == "clear":
        light = Light((0.52, 0.56, 0.64), (0.66, 0.60, 0.50), sun, (196, 208, 222), 0.002 + 0.003 * t)
        return light, ((62 + int(50 * t), 112 + int(40 * t), 190), (178, 204, 228), (244, 244, 246), 0.55 * dice.unit())
    if weather == "dusk":
        light = Light((0.36, 0.34, 0.42), (0.16, 0.10, 0.06), sun, (150, 128, 130), 0.003 + 0.003 * t, lamps=True)
        return light, ((52, 62, 104), (222, 158, 112), (150, 112, 116), 0.3 + 0.4 * t)
    if weather == "fog":
        grey = int(176 + 40 * t)
        light = Light((0.74, 0.75, 0.76), (0.0, 0.0, 0.0), sun, (grey, grey, grey + 4), 0.012 + 0.022 * t)
        return light, ((grey - 8, grey - 6, grey), (grey, grey, grey + 4), (grey, grey, grey), 0.2)
    if weather == "rain":
        grey = int(120 + 50 * t)
        light = Light((0.62, 0.63, 0.66), (0.0, 0.0, 0.0), sun, (grey, grey + 2, grey + 6), 0.006 + 0.006 * t, wet=True)
        return light, ((grey - 20, grey - 16, grey - 8), (grey + 20, grey + 22, grey + 26), (grey - 30, grey - 28, grey - 22), 0.7)
    grey = int(170 + 50 * t)
    light = Light((0.80, 0.81, 0.83), (0.06, 0.06, 0.05), sun, (grey, grey + 2, grey + 5), 0.003 + 0.004 * t)
    return light, ((grey - 24, grey - 18, grey - 8), (grey + 20, grey + 22, grey + 24), (grey + 18, grey + 18, grey + 18), 0.7)


@lru_cache(maxsize=8)
def vignette(height: int, width: int) -> NDArray[np.float32]:
    """Squared distance from the image's middle: 0 there, 1 in the corners."""
    y = (np.arange(height) + 0.5) * 2 / height - 1
    x = (np.arange(width) + 0.5) * 2 / width - 1
    return ((y * y)[:, None] * 0.5 + (x * x) * 0.5).astype(np.float32)[..., None]


def window(tile: NDArray[np.float32], height: int, width: int, dice: Dice) -> NDArray[np.float32]:
    """A height x width cut of an endless tiling, from anywhere in it."""
    y, x = dice.count(0, TILE - 1), dice.count(0, TILE - 1)
    rows, columns = (y + np.arange(height)) % TILE, (x + np.arange(width)) % TILE
    return tile[rows[:, None], columns]


def develop(
    canvas: NDArray[np.uint8], mask: NDArray[np.uint8], camera: Camera, weather: str, dice: Dice
) -> NDArray[np.uint8]:
    """Give surfaces their grain, then what a camera does: exposure, blur, vignette and noise."""
    height, width = mask.shape
    exposure, contrast = dice.between(0.78, 1.22), dice.between(0.85, 1.2)
    gains = [exposure * dice.between(0.92, 1.08) for _ in range(3)]
    gamma = dice.between(0.85, 1.2)
    level = np.arange(256) / 255.0
    curve = 255.0 * ((level**gamma - 0.45) * contrast + 0.45)
    table = np.stack([curve * gain for gain in gains], -1).astype(np.float32)[None]
    image = cv2.LUT(cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB), table)

    grain = np.array(GRAIN, np.float32)[mask]
    texture = 1.0 + grain * window(noise(5, 128, 0.8), height, width, dice)
    image *= texture[..., None]
    blur = dice.between(0.25, 0.9) * max(1.0, math.sqrt(height * width) / 400.0)
    if blur > 0.35:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    image *= 1.0 - np.float32(dice.between(0.0, 0.35)) * vignette(height, width)
    sigma = dice.between(0.5, 7.0)
    image += np.float32(sigma) * window(white(), height, width, dice)
    return np.clip(image + np.float32(0.5), 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def white() -> NDArray[np.float32]:
    """A tile of sensor noise, three channels, deviation 1: sums of four uniform bytes."""
    words = np.random.Philox(key=np.array([9, 9], np.uint64)).random_raw(TILE * TILE * 3 // 2)
    total = words.view(np.uint8).reshape(4, TILE, TILE, 3).astype(np.float32).sum(0)
    return (total - 510.0) / 147.8
