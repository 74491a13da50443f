"""Street furniture: lamps, posts, bollards, signs, traffic lights and fences."""

from dataclasses import dataclass

import cv2
import numpy as np

from effunet.data.street.brush import NEAR, Brush, Color, Label, Points, Spot
from effunet.data.street.dice import Dice

STEEL: tuple[Color, ...] = ((120, 122, 120), (88, 92, 92), (60, 66, 62), (150, 150, 146), (44, 56, 50))
WHITE, RED, BLUE = (232, 232, 228), (190, 36, 38), (34, 74, 160)
YELLOW, BLACK, GREEN = (232, 190, 44), (28, 28, 30), (30, 110, 70)


def streak(x: float, z: float, tall: float, half: float, sun: tuple[float, float, float]) -> Points:
    """The shadow of something thin."""
    dx, dz = -sun[0] / sun[1] * tall, -sun[2] / sun[1] * tall
    end = max(z + dz, NEAR)
    return np.array([(x - half, z), (x + half, z), (x + dx + half, end), (x + dx - half, end)])


def post(brush: Brush, spot: Spot, z: float, tall: float, half: float, color: Color, lit: float) -> None:
    """An upright post with a sunny and a shady half; at least two pixels wide when near."""
    shady = brush.ink([c * 0.75 for c in color], Label.Pole, z, 0.4 * lit)
    left, top = spot.pixels((-half, tall)).tolist()
    right, foot = spot.pixels((half, 0.0)).tolist()
    cv2.rectangle(brush.canvas, (left, top), (right, foot), shady)
    if right > left:
        sunny = brush.ink(color, Label.Pole, z, lit)
        middle = (left + right + 1) // 2
        a, b = (middle, right) if brush.light.sun[0] > 0 else (left, middle)
        cv2.rectangle(brush.canvas, (left, top), (right, foot), shady, -1)
        cv2.rectangle(brush.canvas, (a, top), (b, foot), sunny, -1)


@dataclass(frozen=True)
class Lamp:
    """A street lamp: a post, an arm over the road and a head."""

    x: float
    z: float
    tall: float
    arm: float  # metres over the road, signed
    half: float
    color: Color

    @property
    def far(self) -> float:
        """Distance that decides when it is painted."""
        return self.z

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """A streak."""
        return streak(self.x, self.z, self.tall, self.half, sun)

    def paint(self, brush: Brush, lit: float) -> None:
        """Post, arm, head; the head glows when lamps are lit."""
        spot = brush.spot(self.x, self.z)
        post(brush, spot, self.z, self.tall, self.half, self.color, lit)
        thick = self.half * 1.3
        tip, top = self.arm, self.tall
        arm = [(0, top - thick), (0, top), (tip, top + 0.35), (tip, top + 0.35 - thick)]
        brush.convex(spot.pixels(arm), brush.ink(self.color, Label.Pole, self.z, lit))
        a, b = sorted((tip, tip + (0.8 if tip > 0 else -0.8)))
        head = spot.pixels([(a, top + 0.12), (a, top + 0.42), (b, top + 0.42), (b, top + 0.12)])
        on = brush.light.lamps
        brush.convex(head, brush.ink((255, 226, 160) if on else self.color, Label.Pole, self.z, lit, on))


@dataclass(frozen=True)
class Post:
    """A bare post: bollard, flag pole or utility pole."""

    x: float
    z: float
    tall: float
    half: float
    color: Color

    @property
    def far(self) -> float:
        """Distance that decides when it is painted."""
        return self.z

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """A streak."""
        return streak(self.x, self.z, self.tall, self.half, sun)

    def paint(self, brush: Brush, lit: float) -> None:
        """One post; a bollard carries a light band."""
        spot = brush.spot(self.x, self.z)
        post(brush, spot, self.z, self.tall, self.half, self.color, lit)
        if self.tall < 1.5:
            h = self.half
            band = spot.pixels([(-h, 0.7), (-h, 0.85), (h, 0.85), (h, 0.7)])
            brush.convex(band, brush.ink(WHITE, Label.Pole, self.z, lit))


def disc(radius: float, corners: int = 12) -> Points:
    """A regular polygon (corners, 2), rounded so that no machine's sine decides a pixel."""
    angle = (np.arange(corners) + 0.5) * (2 * np.pi / corners)
    return np.round(np.stack([np.cos(angle), np.sin(angle)], 1), 4) * radius


@dataclass(frozen=True)
class Sign:
    """A traffic sign or signal on its post."""

    x: float
    z: float
    kind: str
    size: float  # metres across
    foot: float  # height of its lower edge
    dice: Dice

    @property
    def far(self) -> float:
        """Distance that decides when it is painted."""
        return self.z

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """A streak."""
        return streak(self.x, self.z, self.foot + self.size, 0.06, sun)

    def paint(self, brush: Brush, lit: float) -> None:
        """The post, then the board from its rim inwards."""
        spot = brush.spot(self.x, self.z)
        steel = self.dice.pick(STEEL)
        post(brush, spot, self.z, self.foot + 0.5 * self.size, 0.05, steel, lit)
        middle = self.foot + self.size / 2
        for shape, color, glow in BOARDS[self.kind](self.dice):
            flat = spot.pixels(shape * self.size / 2 + (0.0, middle))
            shown = brush.ink(color, Label.SignSymbol, self.z, 0.25 + 0.6 * lit, glow)
            brush.convex(flat, shown)


Board = list[tuple[Points, Color, bool]]  # outline in half sizes, colour, whether it glows


def _box(left: float, low: float, right: float, high: float) -> Points:
    return np.array([(left, low), (left, high), (right, high), (right, low)])


def _ban(dice: Dice) -> Board:
    parts: Board = [(disc(1.0), RED, False), (disc(0.72), WHITE, False)]
    if dice.chance(0.3):
        return [(disc(1.0), RED, False), (_box(-0.7, -0.18, 0.7, 0.18), WHITE, False)]
    parts.append((_box(-0.42, -0.35, -0.08, 0.35), BLACK, False))
    parts.append((_box(0.08, -0.35, 0.42, 0.35), BLACK, False))
    return parts


def _order(dice: Dice) -> Board:
    arrow = np.array([(0.0, 0.65), (0.55, 0.0), (-0.55, 0.0)])
    return [(disc(1.0), BLUE, False), (arrow, WHITE, False), (_box(-0.18, -0.6, 0.18, 0.1), WHITE, False)]


def _warn(dice: Dice) -> Board:
    triangle = np.array([(0.0, 1.0), (1.0, -0.8), (-1.0, -0.8)])
    inner = triangle * 0.66 - (0.0, 0.06)
    inside = dice.pick((WHITE, YELLOW))
    return [(triangle, RED, False), (inner, inside, False), (_box(-0.1, -0.45, 0.1, 0.2), BLACK, False)]


def _park(dice: Dice) -> Board:
    color = dice.pick((BLUE, BLUE, GREEN))
    return [
        (_box(-0.95, -1.0, 0.95, 1.0), WHITE, False),
        (_box(-0.85, -0.9, 0.85, 0.9), color, False),
        (_box(-0.4, -0.6, -0.12, 0.6), WHITE, False),
        (_box(-0.12, 0.0, 0.4, 0.6), WHITE, False),
    ]


def _guide(dice: Dice) -> Board:
    color = dice.pick((BLUE, GREEN, (212, 208, 196), (96, 60, 44)))
    text = WHITE if sum(color) < 400 else BLACK
    rows: Board = [(_box(-1.5, -0.8, 1.5, 0.8), text, False), (_box(-1.43, -0.73, 1.43, 0.73), color, False)]
    for low in (0.25, -0.2, -0.6):
        rows.append((_box(-1.2, low, dice.between(-0.2, 0.9), low + 0.2), text, False))
    return rows


def _signal(dice: Dice) -> Board:
    on = dice.count(0, 2)
    parts: Board = [(_box(-0.45, -1.1, 0.45, 1.1), BLACK, False)]
    for lamp, color in enumerate(((250, 50, 40), (250, 180, 50), (60, 240, 130))):
        bulb = disc(0.27) + (0.0, 0.7 - 0.7 * lamp)
        parts.append((bulb, color if lamp == on else (54, 50, 46), lamp == on))
    return parts


BOARDS = {
    "ban": _ban, "order": _order, "warn": _warn, "park": _park, "guide": _guide, "signal": _signal
}  # fmt: skip


@dataclass(frozen=True)
class Fence:
    """A straight fence between two ground points: boards, pickets, railings or a guard rail."""

    start: tuple[float, float]  # x, z
    end: tuple[float, float]  # x, z, farther off
    tall: float
    kind: str
    color: Color

    @property
    def far(self) -> float:
        """Distance that decides when it is painted."""
        return max(self.start[1], self.end[1])

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """The strip beside it."""
        dx, dz = -sun[0] / sun[1] * self.tall, -sun[2] / sun[1] * self.tall
        (a, b), (c, d) = self.start, self.end
        return np.maximum(np.array([(a, b), (c, d), (c + dx, d + dz), (a + dx, b + dz)]), (-1e9, NEAR))

    def paint(self, brush: Brush, lit: float) -> None:
        """Rails and uprights; where these melt into each other, one panel."""
        (xa, za), (xb, zb) = self.start, self.end
        if zb <= NEAR:
            return
        length = float(np.hypot(xb - xa, zb - za))
        middle = (max(za, NEAR) + zb) / 2
        along = zb - za > abs(xb - xa)
        side = 1.0 if xa > 0 else -1.0
        sun = lit * (brush.facing(-side, 0.0, 0.0) if along else brush.facing(0.0, 0.0, -1.0))

        def panels(starts: Points, wide: float, low: float, high: float) -> Points:
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
            brush.polygons(panels(whole, length, tall * 0.12, tall * 0.2), dark)
            brush.polygons(panels(whole, length, tall * 0.8, tall * 0.9), dark)
            brush.polygons(panels(np.arange(0, length - bar, gap), bar, 0.05, tall), ink)
