"""Traffic signs and signals: boards of a few convex parts on a post."""

from dataclasses import dataclass

import numpy as np

from effunet.data.street.brush import Brush, Color, Label
from effunet.data.street.camera import Points
from effunet.data.street.dice import Dice
from effunet.data.street.posts import STEEL, post
from effunet.data.street.shapes import disc, streak

WHITE, RED, BLUE = (232, 232, 228), (190, 36, 38), (34, 74, 160)
YELLOW, BLACK, GREEN = (232, 190, 44), (28, 28, 30), (30, 110, 70)


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
        spot = brush.camera.spot(self.x, self.z)
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
    return [
        (disc(1.0), BLUE, False),
        (arrow, WHITE, False),
        (_box(-0.18, -0.6, 0.18, 0.1), WHITE, False),
    ]


def _warn(dice: Dice) -> Board:
    triangle = np.array([(0.0, 1.0), (1.0, -0.8), (-1.0, -0.8)])
    inner = triangle * 0.66 - (0.0, 0.06)
    inside = dice.pick((WHITE, YELLOW))
    return [
        (triangle, RED, False),
        (inner, inside, False),
        (_box(-0.1, -0.45, 0.1, 0.2), BLACK, False),
    ]


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
    rows: Board = [
        (_box(-1.5, -0.8, 1.5, 0.8), text, False),
        (_box(-1.43, -0.73, 1.43, 0.73), color, False),
    ]
    for low in (0.25, -0.2, -0.6):
        rows.append((_box(-1.2, low, dice.between(-0.2, 0.9), low + 0.2), text, False))
    return rows


def _signal(dice: Dice) -> Board:
    on = dice.count(0, 2)
    parts: Board = [(_box(-0.45, -1.1, 0.45, 1.1), BLACK, False)]
    for lamp, color in enumerate(((250, 50, 40), (250, 180, 50), (60, 240, 130))):
        bulb = np.add(disc(0.27), (0.0, 0.7 - 0.7 * lamp))
        parts.append((bulb, color if lamp == on else (54, 50, 46), lamp == on))
    return parts


BOARDS = {
    "ban": _ban, "order": _order, "warn": _warn, "park": _park, "guide": _guide, "signal": _signal
}  # fmt: skip
