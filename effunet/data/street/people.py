"""Pedestrians and bicyclists: figures of limbs that face the eye."""

import math
from dataclasses import dataclass

import cv2

from effunet.data.street.brush import Brush, Color, Label, toned
from effunet.data.street.camera import Points, Spot
from effunet.data.street.dice import Dice
from effunet.data.street.shapes import disc, streak

OVAL = [(float(c), float(s)) for c, s in disc(1.0, 8)]

SKIN: tuple[Color, ...] = ((224, 182, 152), (198, 150, 120), (150, 104, 78), (104, 70, 52))
HAIR: tuple[Color, ...] = (
    (40, 32, 28),
    (84, 58, 40),
    (150, 120, 78),
    (130, 128, 124),
    (24, 24, 26),
)
TOPS: tuple[Color, ...] = (
    (50, 56, 70), (36, 36, 40), (150, 44, 46), (62, 92, 140), (198, 196, 188), (96, 110, 76),
    (170, 140, 100), (120, 60, 110), (210, 170, 60), (70, 72, 78), (30, 60, 60), (220, 120, 60),
)  # fmt: skip
LEGS: tuple[Color, ...] = ((44, 50, 68), (34, 34, 38), (92, 84, 72), (66, 70, 78), (120, 112, 100))
FRAMES: tuple[Color, ...] = (
    (40, 40, 44),
    (150, 40, 40),
    (40, 80, 140),
    (190, 190, 188),
    (60, 120, 80),
)


Outline = list[tuple[float, float]]  # metres right of and above the feet


def limb(
    a: tuple[float, float], b: tuple[float, float], wide: float, end: float | None = None
) -> Outline:
    """A bar from a to b, as wide as `wide` at a and `end` at b."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.sqrt(dx * dx + dy * dy) or 1.0
    nx, ny = -dy / length / 2, dx / length / 2
    tip = wide if end is None else end
    return [
        (a[0] + nx * wide, a[1] + ny * wide), (b[0] + nx * tip, b[1] + ny * tip),
        (b[0] - nx * tip, b[1] - ny * tip), (a[0] - nx * wide, a[1] - ny * wide),
    ]  # fmt: skip


def oval(x: float, y: float, half: float, tall: float) -> Outline:
    """Eight corners round a middle."""
    return [(x + half * c, y + tall * s) for c, s in OVAL]


def draw(
    brush: Brush, spot: Spot, parts: list[tuple[Outline, Color]], label: Label, z: float, lit: float
) -> None:
    """Paint convex parts in their order."""
    flat = spot.pixels([point for outline, _ in parts for point in outline])
    start = 0
    for outline, color in parts:
        brush.convex(flat[start : start + len(outline)], brush.ink(color, label, z, lit))
        start += len(outline)


@dataclass(frozen=True)
class Pedestrian:
    """Somebody standing or walking across (`way` -1 or 1), or along the street (0)."""

    x: float
    z: float
    tall: float
    way: int
    dice: Dice

    @property
    def far(self) -> float:
        """Distance that decides when it is painted."""
        return self.z

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """A streak."""
        return streak(self.x, self.z, self.tall, 0.2, sun)

    def paint(self, brush: Brush, lit: float) -> None:
        """Legs, coat, arms, head; sizes are those of a person of 1.75 m."""
        if not brush.sees(self.x, self.z, 1.0):
            return
        dice = self.dice
        top, legs, skin, hair = dice.pick(TOPS), dice.pick(LEGS), dice.pick(SKIN), dice.pick(HAIR)
        dim = toned(top, 0.8)
        dark = toned(legs, 0.8)
        shoe = (30, 28, 28)
        stride = dice.between(0.08, 0.38) if self.way else 0.0
        gap = 0.11
        left, right = (-stride, stride) if self.way else (-gap, gap)
        broad = 0.30 if self.way else 0.42
        swing = dice.between(0.05, 0.3) if self.way else dice.between(0.0, 0.08)
        hip = 0.02 if self.way else gap
        parts: list[tuple[Outline, Color]] = []
        parts.append((limb((-hip, 0.9), (left, 0.06), 0.19, 0.12), dark))
        parts.append((limb((hip, 0.9), (right, 0.06), 0.19, 0.12), legs))
        toe = 0.12 * self.way
        for foot in (left, right):
            parts.append((limb((foot - 0.07, 0.05), (foot + 0.07 + toe, 0.05), 0.11), shoe))
        shoulder = broad / 2 - 0.03
        back = (-shoulder - 0.02, 1.38) if not self.way else (-0.02, 1.38)
        fore = (shoulder + 0.02, 1.38) if not self.way else (0.02, 1.38)
        parts.append((limb(back, (back[0] - swing - 0.05, 0.85), 0.13, 0.09), dim))
        if dice.chance(0.25):
            parts.append((limb((-0.02, 0.92), (0.0, 0.5), 0.42, 0.5), top))
        torso = [
            (-broad * 0.42, 0.82),
            (-broad / 2, 1.25),
            (-broad * 0.42, 1.44),
            (broad * 0.42, 1.44),
        ]
        torso += [(broad / 2, 1.25), (broad * 0.42, 0.82)]
        parts.append((torso, top))
        parts.append((limb(fore, (fore[0] + swing + 0.05, 0.85), 0.13, 0.09), dim))
        hand = fore[0] + swing + 0.05
        parts.append((oval(hand, 0.82, 0.06, 0.06), skin))
        if dice.chance(0.3):
            parts.append((limb((hand, 0.8), (hand, 0.48), 0.28), dice.pick(TOPS)))
        head = 0.04 * self.way
        parts.append((limb((0, 1.4), (head, 1.52), 0.11), skin))
        parts.append((oval(head, 1.62, 0.115, 0.144), hair))
        if dice.chance(0.6):
            parts.append((oval(head + 0.04 * self.way, 1.585, 0.086, 0.105), skin))
        spot = brush.camera.spot(self.x, self.z)
        spot = spot._replace(scale=spot.scale * self.tall / 1.75)
        draw(brush, spot, parts, Label.Pedestrian, self.z, lit)


@dataclass(frozen=True)
class Bicyclist:
    """A rider on a bicycle: seen from the side (`way` -1 or 1), or from behind or ahead (0)."""

    x: float
    z: float
    way: int
    coming: bool
    dice: Dice

    @property
    def far(self) -> float:
        """Distance that decides when it is painted."""
        return self.z

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """A streak."""
        return streak(self.x, self.z, 1.6, 0.25 if not self.way else 0.7, sun)

    def paint(self, brush: Brush, lit: float) -> None:
        """The bicycle, then the rider."""
        if not brush.sees(self.x, self.z, 1.0):
            return
        dice = self.dice
        top, legs, skin = dice.pick(TOPS), dice.pick(LEGS), dice.pick(SKIN)
        frame, helmet = (
            dice.pick(FRAMES),
            dice.pick((*HAIR, *FRAMES, (230, 230, 226), (220, 190, 50))),
        )
        spot = brush.camera.spot(self.x, self.z)
        if self.way:
            self._side(brush, spot, lit, top, legs, skin, frame, helmet)
        else:
            self._end(brush, spot, lit, top, legs, skin, frame, helmet)

    def _side(
        self,
        brush: Brush,
        spot: Spot,
        lit: float,
        top: Color,
        legs: Color,
        skin: Color,
        frame: Color,
        helmet: Color,
    ) -> None:
        w = self.way
        tyre = brush.ink((26, 26, 28), Label.Bicyclist, self.z, lit)
        radius, thick = max(1, round(spot.scale * 0.33)), max(1, round(spot.scale * 0.055))
        for along in (-0.52, 0.52):
            center = spot.pixels((along, 0.34)).tolist()
            cv2.circle(brush.canvas, center, radius, tyre, thick)
        dim = toned(legs, 0.75)
        low = self.dice.between(0.2, 0.45)
        knee, other = (0.22 * w, 0.55 + low * 0.5), (0.2 * w, 1.02 - low * 0.5)
        parts: list[tuple[Outline, Color]] = [
            (limb((-0.12 * w, 0.93), other, 0.17, 0.13), dim),
            (limb(other, (0.02 * w, 0.68 - low), 0.13, 0.09), dim),
            (limb((-0.52 * w, 0.34), (-0.02 * w, 0.32), 0.05), frame),
            (limb((-0.02 * w, 0.32), (-0.16 * w, 0.88), 0.05), frame),
            (limb((-0.52 * w, 0.34), (-0.14 * w, 0.72), 0.04), frame),
            (limb((-0.02 * w, 0.32), (0.36 * w, 0.8), 0.06), frame),
            (limb((-0.14 * w, 0.76), (0.36 * w, 0.8), 0.06), frame),
            (limb((0.52 * w, 0.34), (0.34 * w, 0.95), 0.05), frame),
            (limb((0.28 * w, 0.98), (0.44 * w, 1.0), 0.05), (40, 40, 42)),
            (limb((-0.28 * w, 0.9), (-0.02 * w, 0.9), 0.07), (30, 30, 32)),
            (limb((-0.12 * w, 0.95), knee, 0.18, 0.14), legs),
            (limb(knee, (0.04 * w, low), 0.14, 0.09), legs),
            (limb((-0.02 * w, low), (0.16 * w, low - 0.02), 0.09), (30, 28, 28)),
            (limb((-0.16 * w, 0.92), (0.14 * w, 1.42), 0.30, 0.34), top),
            (limb((0.14 * w, 1.38), (0.40 * w, 1.02), 0.12, 0.09), top),
            (limb((0.16 * w, 1.42), (0.24 * w, 1.56), 0.12), skin),
            (oval(0.25 * w, 1.62, 0.12, 0.12), skin),
            (
                [
                    (0.12 * w, 1.64),
                    (0.14 * w, 1.72),
                    (0.24 * w, 1.78),
                    (0.34 * w, 1.74),
                    (0.38 * w, 1.65),
                ],
                helmet,
            ),
        ]
        draw(brush, spot, parts, Label.Bicyclist, self.z, lit)

    def _end(
        self,
        brush: Brush,
        spot: Spot,
        lit: float,
        top: Color,
        legs: Color,
        skin: Color,
        frame: Color,
        helmet: Color,
    ) -> None:
        lift = self.dice.between(0.0, 0.22)
        face = skin if self.coming else helmet
        parts: list[tuple[Outline, Color]] = [
            (limb((0, 0.0), (0, 0.68), 0.07), (26, 26, 28)),
            (limb((-0.14, 0.95), (-0.15, 0.25 + lift), 0.17, 0.11), legs),
            (limb((0.14, 0.95), (0.15, 0.47 - lift), 0.17, 0.11), legs),
            (limb((-0.2, 0.22 + lift), (-0.1, 0.22 + lift), 0.1), (30, 28, 28)),
            (limb((0.1, 0.44 - lift), (0.2, 0.44 - lift), 0.1), (30, 28, 28)),
            (limb((0, 0.5), (0, 0.95), 0.08), frame),
            (limb((-0.3, 1.02), (0.3, 1.02), 0.06), (40, 40, 42)),
            (
                [(-0.17, 0.84), (-0.22, 1.2), (-0.2, 1.42), (0.2, 1.42), (0.22, 1.2), (0.17, 0.84)],
                top,
            ),
            (limb((-0.2, 1.36), (-0.29, 1.03), 0.12, 0.09), top),
            (limb((0.2, 1.36), (0.29, 1.03), 0.12, 0.09), top),
            (limb((0, 1.4), (0, 1.52), 0.11), skin),
            (oval(0.0, 1.6, 0.108, 0.132), face),
            ([(-0.13, 1.62), (-0.11, 1.73), (0.0, 1.77), (0.11, 1.73), (0.13, 1.62)], helmet),
        ]
        if not self.coming:
            parts.insert(6, (limb((0, 0.58), (0, 0.66), 0.1), (190, 30, 30)))
        draw(brush, spot, parts, Label.Bicyclist, self.z, lit)
