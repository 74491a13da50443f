"""Street lamps, poles and bollards."""

from dataclasses import dataclass

import cv2

from effunet.data.street.brush import Brush, Color, Label
from effunet.data.street.camera import Points, Spot
from effunet.data.street.shapes import streak

STEEL: tuple[Color, ...] = (
    (120, 122, 120),
    (88, 92, 92),
    (60, 66, 62),
    (150, 150, 146),
    (44, 56, 50),
)


def post(
    brush: Brush, spot: Spot, z: float, tall: float, half: float, color: Color, lit: float
) -> None:
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
        spot = brush.camera.spot(self.x, self.z)
        post(brush, spot, self.z, self.tall, self.half, self.color, lit)
        thick = self.half * 1.3
        tip, top = self.arm, self.tall
        arm = [(0, top - thick), (0, top), (tip, top + 0.35), (tip, top + 0.35 - thick)]
        brush.convex(spot.pixels(arm), brush.ink(self.color, Label.Pole, self.z, lit))
        a, b = sorted((tip, tip + (0.7 if tip > 0 else -0.7)))
        head = spot.pixels([(a, top + 0.2), (a, top + 0.4), (b, top + 0.4), (b, top + 0.2)])
        on = brush.light.lamps
        brush.convex(
            head, brush.ink((255, 226, 160) if on else self.color, Label.Pole, self.z, lit, on)
        )


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
        spot = brush.camera.spot(self.x, self.z)
        post(brush, spot, self.z, self.tall, self.half, self.color, lit)
        if self.tall < 1.5:
            h = self.half
            band = spot.pixels([(-h, 0.7), (-h, 0.85), (h, 0.85), (h, 0.7)])
            brush.convex(band, brush.ink((232, 232, 228), Label.Pole, self.z, lit))
