"""The embedded default dataset: procedural street scenes with pixel-exact labels, from two numbers.

A scene is a function of (seed, index) alone: camera, street, light and weather are drawn at random,
so that a network meets more variation than one camera brings home (domain randomisation). The
classes are CamVid's eleven in SegNet's order; as there, trunks, hedges and grass count as Tree,
traffic lights as SignSymbol, lorries and buses as Car, bollards as Pole, and a bicycle with its
rider as Bicyclist; what is seen between the bars of a fence is Fence, between bare twigs Tree.
"""

import numpy as np
from numpy.typing import NDArray

from effunet.data.street.brush import Brush, Color, Label
from effunet.data.street.camera import Camera
from effunet.data.street.develop import develop
from effunet.data.street.dice import Dice
from effunet.data.street.layout import paint_street
from effunet.data.street.sky import paint_sky, paint_skyline
from effunet.data.street.weather import draw_weather

CLASSES: tuple[str, ...] = tuple(label.name for label in Label)
PALETTE: tuple[Color, ...] = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
"""SegNet's colours of the classes, red green blue."""


def render(
    seed: int, index: int, height: int = 256, width: int = 256
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image (height, width, 3) RGB and mask (height, width) of class indices 0..10, both uint8.

    seed, index: 0 to 2**64 - 1; every pair is another scene. The same pair shows the same scene at
    every size, and on every machine the same labels and an image within one grey level.
    height, width: pixels, from 1 up.
    """
    if not (0 <= seed < 2**64 and 0 <= index < 2**64):
        raise ValueError(f"seed and index must lie in [0, 2**64), got {seed} and {index}")
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be at least 1 pixel, got {height} x {width}")
    dice = Dice.of(seed, index)
    camera = draw_camera(dice.fork(), height, width)
    light, sky = draw_weather(dice.fork())
    brush = Brush(camera, light, np.empty((height, width, 4), np.uint8))
    paint_sky(brush, sky, dice.fork())
    paint_skyline(brush, dice.fork())
    paint_street(brush, dice.fork())
    image = develop(brush.canvas, camera, light, dice.fork())
    return image, np.ascontiguousarray(brush.canvas[..., 3])


def draw_camera(dice: Dice, height: int, width: int) -> Camera:
    """A camera behind a windscreen, in its lane; the road mostly goes straight ahead."""
    turn, bend, up = (dice.between(-1.0, 1.0) for _ in range(3))
    return Camera(
        height=height,
        width=width,
        focal=dice.between(0.8, 1.3),
        horizon=dice.between(0.42, 0.6),
        eye=1.7 + 0.7 * up * up * up,
        offset=dice.between(0.9, 2.0) * dice.sign(),
        heading=0.3 * turn * turn * turn,
        bend=0.0018 * bend * bend * bend,
        slope=dice.between(-0.00006, 0.00022),
    )
