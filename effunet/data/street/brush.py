"""Colour and label in one stroke: the light of a scene, and a canvas of four channels.

Red, green, blue and the class index are written by the same drawing call, so an image edge without
its label edge cannot be drawn; only what is seen between bars and twigs is of their class.
Nothing is antialiased.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from effunet.data.street.camera import Camera, Corners, Pixels, Points

Color = tuple[int, int, int]
Ink = tuple[int, int, int, int]  # red, green, blue, class index


def toned(color: Color, factor: float) -> Color:
    """A lighter or darker tone of a colour."""
    red, green, blue = color
    return min(255, int(red * factor)), min(255, int(green * factor)), min(255, int(blue * factor))


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
class Light:
    """What falls on surfaces and what lies between them and the eye."""

    ambient: tuple[float, float, float]  # factor of the sky's light, red green blue
    direct: tuple[float, float, float]  # factor of the sun's light; zero under clouds
    sun: tuple[float, float, float]  # unit vector towards the sun (y > 0)
    air: Color  # what distance fades to
    haze: float  # 1/m: share of the air's colour is 1 - exp(-haze * z)
    casts: bool = False  # whether the sun draws shadows
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
    ) -> Ink:
        """The four channels of a surface: lit from 0 (shadow) to 1 (facing the sun), or glowing."""
        red, green, blue = color
        light = self.light
        if not glow:
            ambient, direct = light.ambient, light.direct
            red *= ambient[0] + lit * direct[0]
            green *= ambient[1] + lit * direct[1]
            blue *= ambient[2] + lit * direct[2]
        clear = math.exp(-light.haze * z)
        haze, air = 1.0 - clear, light.air
        return (
            min(255, int(red * clear + air[0] * haze + 0.5)),
            min(255, int(green * clear + air[1] * haze + 0.5)),
            min(255, int(blue * clear + air[2] * haze + 0.5)),
            int(label),
        )

    def inks(
        self, color: Color, tones: Points, label: Label, z: float, lit: float
    ) -> NDArray[np.uint8]:
        """Inks (M, 4) of one surface in several tones, factors of its colour."""
        light = self.light
        clear = math.exp(-light.haze * z)
        own = np.array(color) * (np.array(light.ambient) + lit * np.array(light.direct)) * clear
        inks = np.empty((len(tones), 4), np.uint8)
        inks[:, :3] = np.minimum(
            tones[:, None] * own + np.array(light.air) * (1.0 - clear) + 0.5, 255
        )
        inks[:, 3] = label
        return inks

    def sees(self, x: float, z: float, half: float) -> bool:
        """Whether anything within `half` metres left and right of a place can be in the image."""
        spot = self.camera.spot(x, z)
        margin = half * spot.scale + 2.0
        return -margin < spot.column < self.camera.width + margin

    def facing(self, x: float, y: float, z: float) -> float:
        """How much sun a surface with this normal catches, 0 to 1."""
        sun = self.light.sun
        return max(0.0, x * sun[0] + y * sun[1] + z * sun[2])

    def convex(self, pixels: Pixels, ink: Ink) -> None:
        """One convex polygon (N, 2).

        All shapes are made of convex ones: what OpenCV fills of others differs between its versions
        (4.10 and 5.0 disagree on a fillPoly in four), and labels must not.
        """
        cv2.fillConvexPoly(self.canvas, pixels, ink)

    def faces(self, quads: Corners, inks: Sequence[Ink]) -> None:
        """Convex faces (M, N, 3) of the world, one ink each, in their order."""
        for pixels, ink in zip(self.camera.project(quads), inks, strict=True):
            cv2.fillConvexPoly(self.canvas, pixels, ink)

    def polygons(self, pixels: Pixels, ink: Ink) -> None:
        """Convex polygons (M, N, 2) in one ink."""
        for outline in pixels:
            cv2.fillConvexPoly(self.canvas, outline, ink)

    def label(self, pixels: Pixels, label: Label) -> None:
        """Say what is seen through convex polygons (M, N, 2), and leave its colours."""
        for outline in pixels:
            start = np.maximum(outline.min(0), 0)
            left, top = start.tolist()
            right, bottom = (outline.max(0) + 1).tolist()
            named = self.canvas[top : max(bottom, 0), left : max(right, 0), 3]
            if not named.size:  # beside the image
                continue
            inside = np.zeros(named.shape, np.uint8)
            cv2.fillConvexPoly(inside, outline - start, 1)
            named[inside > 0] = label


@runtime_checkable
class Thing(Protocol):
    """Something that stands on the street at x, z."""

    @property
    def x(self) -> float:
        """Metres right of the middle of the road."""
        ...

    @property
    def z(self) -> float:
        """Metres ahead; the near end of what is long."""
        ...

    @property
    def far(self) -> float:
        """Distance that decides when it is painted, metres."""
        ...

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """Ground outline (N, 2), as x and z, that it keeps the sun off."""
        ...

    def paint(self, brush: Brush, lit: float) -> None:
        """Paint it; lit is 1 in the sun and 0 in shade."""
        ...
