"""From metres to labelled pixels: a pinhole camera over a bent road, light and air, and a canvas.

The canvas has four channels, red, green, blue and the class index, and every drawing call writes all
four at once: an image edge without its label edge cannot be drawn. Coordinates are rounded to whole
pixels before drawing and nothing is antialiased, so labels are the same on every machine.

World: x to the right of the road's centre line, y up, z ahead, in metres. The frame follows the road:
its bend and its slope happen in the projection, so everything else thinks of a straight, flat street.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Color = tuple[int, int, int]
Pixels = NDArray[np.int32]
Points = NDArray[np.float64]

NEAR = 0.8  # metres: nothing is drawn nearer to the eye


class Label(IntEnum):
    """CamVid's eleven classes in SegNet's order."""

    Sky = 0
    Building = 1
    Pole = 2
    Road = 3
    Pavement = 4
    Tree = 5
    SignSymbol = 6
    Fence = 7
    Car = 8
    Pedestrian = 9
    Bicyclist = 10


@dataclass(frozen=True)
class Camera:
    """Where the eye is and what it sees; `focal` and the horizon are shares of the image's size."""

    height: int  # pixels
    width: int  # pixels
    focal: float = 0.95  # of the geometric mean of the sides
    horizon: float = 0.45  # of the height, from the top
    eye: float = 1.5  # metres above the road
    offset: float = 0.0  # metres to the right of the centre line
    heading: float = 0.0  # drift of the road to the right, metres per metre
    bend: float = 0.0  # 1/m: the road goes right by bend * z * z
    slope: float = 0.0  # 1/m: the road climbs by slope * z * z

    @cached_property
    def reach(self) -> float:
        """Pixels that one metre takes at a distance of one metre."""
        return self.focal * math.sqrt(self.height * self.width)

    def project(self, points: ArrayLike) -> Pixels:
        """World points (..., 3) to whole pixels (..., 2) as column, row."""
        world = np.asarray(points, np.float64)
        x, y, z = world[..., 0], world[..., 1], np.maximum(world[..., 2], NEAR)
        pixels = np.empty((*world.shape[:-1], 2))
        pixels[..., 0] = (x - self.offset) / z + self.bend * z
        pixels[..., 1] = (self.eye - y) / z - self.slope * z
        pixels *= self.reach
        pixels += (
            (0.5 + self.heading * self.focal) * self.width + 0.5,
            self.horizon * self.height + 0.5,
        )
        return np.floor(pixels).astype(np.int32)

    def ground(self, points: ArrayLike) -> Pixels:
        """Ground points (..., 2) as x, z to whole pixels."""
        flat = np.asarray(points, np.float64)
        world = np.zeros((*flat.shape[:-1], 3))
        world[..., 0] = flat[..., 0]
        world[..., 2] = flat[..., 1]
        return self.project(world)

    def row_distance(self) -> Points:
        """Distance in metres of the ground in each pixel row, as far as 400 m (and above)."""
        below = np.arange(self.height) + 0.5 - self.horizon * self.height
        return np.minimum(self.reach * self.eye / np.maximum(below, 1e-3), 400.0)


@dataclass(frozen=True)
class Light:
    """What falls on surfaces and what lies between them and the eye."""

    ambient: tuple[float, float, float]  # factor of the sky's light, red green blue
    direct: tuple[float, float, float]  # factor of the sun's light; zero under clouds
    sun: tuple[float, float, float]  # unit vector towards the sun (y > 0)
    air: Color  # what distance fades to
    haze: float  # 1/m: share of the air's colour is 1 - exp(-haze * z)
    lamps: bool = False  # dusk: windows, street lamps and cars are lit
    wet: bool = False  # rain: dark, glossy road


class Brush:
    """Paints world shapes on the canvas in the light of the scene."""

    def __init__(self, camera: Camera, light: Light, canvas: NDArray[np.uint8]):
        self.camera = camera
        self.light = light
        self.canvas = canvas

    def ink(
        self, color: Sequence[float], label: Label, z: float, lit: float = 0.5, glow: bool = False
    ) -> tuple[int, int, int, int]:
        """The four channels of a surface: lit from 0 (shadow) to 1 (facing the sun), or glowing."""
        clear = math.exp(-self.light.haze * z)
        red, green, blue = (
            min(
                255.0,
                (c if glow else c * (ambient + lit * direct)) * clear + air * (1.0 - clear) + 0.5,
            )
            for c, ambient, direct, air in zip(
                color, self.light.ambient, self.light.direct, self.light.air, strict=True
            )
        )
        return int(red), int(green), int(blue), int(label)

    def facing(self, x: float, y: float, z: float) -> float:
        """How much sun a surface with this normal catches, 0 to 1."""
        sun = self.light.sun
        return max(0.0, x * sun[0] + y * sun[1] + z * sun[2])

    def polygon(self, pixels: Pixels, ink: tuple[int, int, int, int]) -> None:
        """Any one polygon (N, 2)."""
        cv2.fillPoly(self.canvas, [pixels], ink)

    def convex(self, pixels: Pixels, ink: tuple[int, int, int, int]) -> None:
        """One convex polygon (N, 2); the cheapest call."""
        cv2.fillConvexPoly(self.canvas, pixels, ink)

    def polygons(self, pixels: Pixels, ink: tuple[int, int, int, int]) -> None:
        """Polygons (M, N, 2) that do not overlap, in one call."""
        if len(pixels):
            cv2.fillPoly(self.canvas, list(pixels), ink)

    def spot(self, x: float, z: float, y: float = 0.0) -> "Spot":
        """A place to stand at."""
        camera = self.camera
        z = max(z, NEAR)
        scale = camera.reach / z
        return Spot(
            (0.5 + camera.heading * camera.focal) * camera.width
            + scale * (x - camera.offset)
            + camera.reach * camera.bend * z,
            camera.horizon * camera.height + scale * (camera.eye - y) - camera.reach * camera.slope * z,
            scale,
        )


@dataclass(frozen=True)
class Spot:
    """Where a thing that faces the eye stands, in pixels, and how large a metre is there."""

    column: float
    row: float
    scale: float  # pixels per metre

    def pixels(self, local: ArrayLike) -> Pixels:
        """Local points (..., 2), metres right of and above the spot, to whole pixels."""
        flat = np.asarray(local, np.float64) * (self.scale, -self.scale)
        flat += (self.column + 0.5, self.row + 0.5)
        return np.floor(flat).astype(np.int32)
