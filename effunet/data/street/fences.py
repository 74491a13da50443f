"""Fences and guard rails between two points on the ground.

What is seen between bars is labelled Fence, as annotators of street datasets do it.
"""

import math
from dataclasses import dataclass

import numpy as np

from effunet.data.street.brush import Brush, Color, Label
from effunet.data.street.camera import NEAR, Pixels, Points

STONE: Color = (140, 130, 112)


@dataclass(frozen=True)
class Fence:
    """A straight fence between two ground points.

    kind: boards, pickets, railings, walled (railings on a low wall) or rail (a guard rail).
    """

    x: float
    z: float
    turn: float  # x of the far end
    end: float  # z of the far end
    tall: float
    kind: str
    color: Color

    @property
    def far(self) -> float:
        """Distance that decides when it is painted."""
        return self.end

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """The strip beside it."""
        dx, dz = -sun[0] / sun[1] * self.tall, -sun[2] / sun[1] * self.tall
        a, b, c, d = self.x, self.z, self.turn, self.end
        return np.maximum(
            np.array([(a, b), (c, d), (c + dx, d + dz), (a + dx, b + dz)]), (-1e9, NEAR)
        )

    def paint(self, brush: Brush, lit: float) -> None:
        """Rails and uprights; where these melt into each other, one panel."""
        xa, za, xb, zb = self.x, self.z, self.turn, self.end
        if zb <= NEAR:
            return
        length = math.sqrt((xb - xa) * (xb - xa) + (zb - za) * (zb - za))
        middle = (max(za, NEAR) + zb) / 2
        along = zb - za > abs(xb - xa)
        side = 1.0 if xa > 0 else -1.0
        sun = lit * (brush.facing(-side, 0.0, 0.0) if along else brush.facing(0.0, 0.0, -1.0))

        def panels(starts: Points, wide: float, low: float, high: float) -> Pixels:
            t = np.stack([starts, starts, starts + wide, starts + wide], 1) / length
            quads = np.empty((len(starts), 4, 3))
            quads[..., 0] = xa + (xb - xa) * t
            quads[..., 1] = np.array([low, high, high, low])
            quads[..., 2] = za + (zb - za) * t
            return brush.camera.project(quads[quads[:, 2, 2] > NEAR])

        whole = np.zeros(1)
        ink = brush.ink(self.color, Label.Fence, middle, sun)
        dark = brush.ink([c * 0.7 for c in self.color], Label.Fence, middle, sun)
        tall = self.tall
        if self.kind == "boards":
            brush.polygons(panels(whole, length, 0.0, tall), ink)
            brush.polygons(panels(np.arange(0, length, 0.45), 0.05, 0.0, tall), dark)
            brush.polygons(panels(whole, length, tall - 0.1, tall), dark)
        elif self.kind == "rail":
            brush.polygons(panels(np.arange(0.2, length, 2.0), 0.12, 0.0, tall), dark)
            brush.polygons(panels(whole, length, tall * 0.5, tall), ink)
            brush.polygons(panels(whole, length, tall * 0.72, tall * 0.78), dark)
        elif middle * 2.2 > brush.camera.reach * 0.12:
            brush.polygons(panels(whole, length, 0.0, tall), dark)
        else:
            bar, gap = (0.12, 0.20) if self.kind == "pickets" else (0.05, 0.16)
            brush.label(panels(whole, length, 0.05, tall), Label.Fence)
            brush.polygons(panels(whole, length, tall * 0.12, tall * 0.2), dark)
            brush.polygons(panels(whole, length, tall * 0.8, tall * 0.9), dark)
            brush.polygons(panels(np.arange(0, length - bar, gap), bar, 0.05, tall), ink)
        if self.kind == "walled":
            stone = brush.ink(STONE, Label.Fence, middle, sun)
            brush.polygons(panels(whole, length, 0.0, tall * 0.4), stone)
            brush.polygons(panels(whole, length, tall * 0.4, tall * 0.45), dark)
