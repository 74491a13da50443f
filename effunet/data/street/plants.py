"""Trees, bushes and hedges, cut from a few crowns that are grown once from noise."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from effunet.data.street.brush import Brush, Color, Ink, Label, toned
from effunet.data.street.camera import NEAR, Points
from effunet.data.street.dice import Dice
from effunet.data.street.noise import TILE, noise

GREENS: tuple[Color, ...] = (
    (74, 104, 46), (92, 118, 58), (58, 88, 44), (110, 122, 56), (64, 96, 62), (140, 112, 48),
    (86, 92, 52),
)  # fmt: skip
BARK: tuple[Color, ...] = ((92, 74, 58), (110, 98, 84), (70, 60, 50), (128, 116, 100))
SIDE = 128  # pixels of a crown
SHAPES = ("round", "tall", "cone", "bush", "bare")
TURNS = ((0.96, 0.28), (0.8, 0.6), (0.6, 0.8))
"""Cosine and sine of a twig's bend: written down, as machines differ in the last bit of sin."""


@cache
def crowns(shape: str, sunny: int) -> tuple[NDArray[np.uint8], ...]:
    """Crowns of a shape as squares of two bytes: how surely leaves are there (> 127), their light.

    In the place of light a bare crown has how much of what lies behind its twigs hide.

    sunny: the bright side, -1 left or 1 right.
    """
    if shape == "bare":
        return tuple(_bare(number) for number in range(6))
    y, x = np.mgrid[:SIDE, :SIDE] * 2.0 / SIDE - 1.0 + 1.0 / SIDE
    bodies = {
        "round": 1.0 - np.sqrt(x * x + y * y * np.where(y > 0, 1.35, 1.0)),
        "tall": 1.0 - np.sqrt((x * x) * (1.0 + 0.7 * np.abs(y)) + y * y),
        "cone": 0.62 * (1.0 + y) - 1.25 * np.abs(x) + np.where(y > 0.9, -3.0 * (y - 0.9), 0.0),
        "bush": 1.0 - np.maximum(np.sqrt(x * x + np.minimum(y, 0.0) ** 2), np.abs(x) * 1.05),
    }
    grown: list[NDArray[np.uint8]] = []
    for number in range(4):
        cut = noise(100 + number, 64, 0.8)[:SIDE, :SIDE] * 0.10
        leaves = noise(200 + number, 128, 0.85)[:SIDE, :SIDE]
        body = bodies[shape] * 1.1 - 0.16 + cut + 0.05 * leaves
        light = 0.46 + 0.20 * sunny * x - 0.22 * y + 0.30 * cut * 5.0 + 0.13 * leaves
        fields = np.stack([128.0 + 400.0 * body, 255.0 * light], -1)
        grown.append(np.clip(np.floor(fields), 0, 255).astype(np.uint8))
    return tuple(grown)


def _bare(number: int) -> NDArray[np.uint8]:
    """A crown in winter: boughs that fork six times, in a haze of twigs."""
    side, dice = 2 * SIDE, Dice.of(31, number)
    twigs = np.zeros((side, side), np.uint8)
    tips = [((side / 2, side - 1.0), (0.0, -1.0), 0.26 * side)]
    for depth in range(7):
        grown: list[tuple[tuple[float, float], tuple[float, float], float]] = []
        for (x, y), (right, down), long in tips:
            end = x + right * long, y + down * long
            for beside in range(max(1, 5 - depth)):
                a, b = (int(x) + beside, int(y)), (int(end[0]) + beside, int(end[1]))
                cv2.line(twigs, a, b, (255, 250, 240, 225, 205, 185, 165)[depth])
            for way in (-1, 1) if depth else (-1, 0, 1):
                cos, sin = dice.pick(TURNS[: 2 + (depth > 1)]) if way else (1.0, 0.0)
                turned = right * cos - way * down * sin, way * right * sin + down * cos
                grown.append((end, turned, long * dice.between(0.62, 0.88)))
        tips = grown
    y, x = np.mgrid[:side, :side] * 2.0 / side - 1.0 + 1.0 / side
    ragged = noise(300 + number, 128, 0.8)
    body = 1.0 - np.sqrt(x * x + y * y * np.where(y > 0, 1.1, 1.0)) - 0.08 + 0.09 * ragged
    haze = np.clip(90.0 + 34.0 * noise(400 + number, 128, 0.95), 0, 255).astype(np.uint8)
    surely = np.clip(np.floor(128.0 + 400.0 * body), 0, 255).astype(np.uint8)
    return np.stack([surely, np.maximum(twigs, haze)], -1)


TONES = np.linspace(0.3, 1.25, 16)


def stamp(
    brush: Brush,
    shape: str,
    box: tuple[int, int, int, int],
    color: Color,
    z: float,
    lit: float,
    dice: Dice,
) -> None:
    """Grow a crown into the pixel box (left, top, right, bottom), cut at the image's border."""
    crown = dice.pick(crowns(shape, 1 if brush.light.sun[0] > 0 else -1))
    left, top, right, bottom = box
    height, width = brush.canvas.shape[:2]
    wide, tall = right - left, bottom - top
    a, b, c, d = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if wide < 2 or tall < 2 or a >= c or b >= d:
        return
    # Only the part that is seen is enlarged: a tree beside us may be many times the image.
    side = len(crown)
    part = (
        (a - left) * side // wide, (b - top) * side // tall,
        -((left - c) * side // wide), -((top - d) * side // tall),
    )  # fmt: skip
    cut = crown[part[1] : part[3], part[0] : part[2]]
    grown = cv2.resize(cut, (c - a, d - b), interpolation=cv2.INTER_LINEAR_EXACT).view(np.uint8)
    if shape == "bare":
        leafy = _through(
            grown[..., 1], brush.canvas[b:d, a:c], brush.ink(color, Label.Tree, z, lit)
        )
    else:
        inks = brush.inks(color, TONES, Label.Tree, z, lit).view(np.uint32)[:, 0]
        leafy = inks[grown[..., 1] // 16].view(np.uint8).reshape(d - b, c - a, 4)
    cv2.copyTo(leafy, (grown[..., 0] > 127).view(np.uint8), brush.canvas[b:d, a:c])


def _through(hidden: NDArray[np.uint8], behind: NDArray[np.uint8], ink: Ink) -> NDArray[np.uint8]:
    """Twigs over what lies behind them; all of it is Tree, as in the masks of street datasets."""
    share = hidden[..., None].astype(np.uint16)
    seen = ((255 - share) * behind + share * np.array(ink, np.uint16) + 127) // 255
    seen[..., 3] = ink[3]
    return seen.astype(np.uint8)


@dataclass(frozen=True)
class Tree:
    """A trunk and a crown, or, for a bush, the crown alone; all of it is labelled Tree."""

    x: float
    z: float
    tall: float
    wide: float
    shape: str
    color: Color
    dice: Dice

    @property
    def far(self) -> float:
        """Distance that decides when it is painted."""
        return self.z

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """An oval of shade where the crown's shadow falls, and the trunk's streak."""
        lift = 0.0 if self.shape == "bush" else 0.55 * self.tall
        x, z = self.x - sun[0] / sun[1] * lift, self.z - sun[2] / sun[1] * lift
        stretch = 0.4 * self.tall / sun[1] * 0.5 + 0.3 * self.wide
        dx, dz = -sun[0] * stretch, -sun[2] * stretch
        px, pz = dz * 0.6 + 0.1, -dx * 0.6 + 0.1
        corners = [
            (x + dx, z + dz),
            (x + px + dx / 2, z + pz + dz / 2),
            (x + px - dx / 2, z + pz - dz / 2),
        ]
        corners += [
            (x - dx, z - dz),
            (x - px - dx / 2, z - pz - dz / 2),
            (x - px + dx / 2, z - pz + dz / 2),
        ]
        return np.maximum(np.array(corners), (-1e9, NEAR))

    def paint(self, brush: Brush, lit: float) -> None:
        """The trunk with two boughs, then the leaves."""
        half = self.wide / 2
        if not brush.sees(self.x, self.z, half):
            return
        spot = brush.camera.spot(self.x, self.z)
        foot, color = 0.0, self.color
        if self.shape != "bush":
            foot = self.tall * (0.12 if self.shape == "cone" else self.dice.between(0.2, 0.36))
            thick = 0.022 * self.tall + 0.04
            wood = self.dice.pick(BARK)
            if self.shape == "bare":
                color = toned(wood, 0.7)
            bark = brush.ink(wood, Label.Tree, self.z, 0.6 * lit)
            lean = self.dice.between(-0.04, 0.04) * self.tall
            fork, top = foot * 1.1, self.tall * 0.7
            quads = [
                [(-thick, 0), (thick, 0), (thick * 0.6 + lean, top), (-thick * 0.6 + lean, top)],
                [(-thick, fork), (0, fork), (-half * 0.5, top), (-half * 0.6, top)],
                [(0, fork), (thick, fork), (half * 0.6, top), (half * 0.5, top)],
            ]
            for quad in spot.pixels(quads):
                brush.convex(quad, bark)
        (left, top), (right, bottom) = spot.pixels(
            [(-half, self.tall), (half, foot * 0.85)]
        ).tolist()
        stamp(
            brush,
            self.shape,
            (left, top, right + 1, bottom + 1),
            color,
            self.z,
            lit,
            self.dice,
        )


@dataclass(frozen=True)
class Hedge:
    """A clipped hedge along the street, from z to end at x."""

    x: float
    z: float
    end: float
    tall: float
    color: Color
    dice: Dice

    @property
    def far(self) -> float:
        """Distance that decides when it is painted."""
        return self.end

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """A strip beside it."""
        dx = -sun[0] / sun[1] * self.tall
        a, b = max(self.z, NEAR), max(self.end, NEAR)
        return np.array([(self.x, a), (self.x, b), (self.x + dx, b), (self.x + dx, a)])

    def paint(self, brush: Brush, lit: float) -> None:
        """A face with a ragged top edge, and the near end."""
        near = max(self.z, NEAR)
        if self.end <= near:
            return
        side = 1.0 if self.x > 0 else -1.0
        z = np.linspace(near, self.end, 14)
        y = self.tall * (0.92 + 0.16 * self.dice.many(14))
        quads = np.zeros((13, 4, 3))
        quads[..., 0] = self.x
        quads[:, 1, 1], quads[:, 2, 1] = y[:-1], y[1:]
        quads[..., 2] = np.stack([z[:-1], z[:-1], z[1:], z[1:]], 1)
        face = brush.ink(self.color, Label.Tree, near, lit * brush.facing(-side, 0.3, 0.0))
        brush.polygons(brush.camera.project(quads), face)
        back = self.x + side * 1.0
        end = [(self.x, 0, near), (self.x, y[0], near), (back, y[0], near), (back, 0, near)]
        dark = brush.ink([c * 0.8 for c in self.color], Label.Tree, near, lit * 0.3)
        if self.z > NEAR:
            brush.convex(brush.camera.project(end), dark)


assert SIDE <= TILE
