"""Houses along the street: a facade with storeys of windows, a front wall towards us, a roof."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from effunet.data.street.brush import Brush, Color, Label
from effunet.data.street.camera import NEAR, Points
from effunet.data.street.dice import Dice

GLASS: tuple[Color, ...] = ((52, 60, 70), (70, 84, 98), (38, 42, 48), (92, 108, 122))
LIT = (250, 214, 140)
SHOPS: tuple[Color, ...] = (
    (40, 90, 60), (150, 40, 40), (40, 60, 120), (60, 55, 52), (190, 150, 50), (210, 205, 195)
)  # fmt: skip


@dataclass(frozen=True)
class House:
    """A block from z to end on one side of the street; its facade stands at x."""

    side: int
    x: float
    z: float  # nearer end
    end: float  # farther end: the painter's key
    tall: float  # to the eaves
    deep: float
    rise: float  # of a gable roof over the eaves; 0 is a flat roof
    storeys: int
    wall: Color
    trim: Color
    roof: Color
    shop: bool
    banded: bool
    dice: Dice

    @property
    def far(self) -> float:
        """Distance that decides when it is painted."""
        return self.end

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """Ground that its facade keeps the sun off, as x, z."""
        tall = self.tall + 0.5 * self.rise
        dx, dz = -sun[0] / sun[1] * tall, -sun[2] / sun[1] * tall
        near, end = max(self.z, NEAR), max(self.end, NEAR)
        outline = [(self.x, near), (self.x, end), (self.x + dx, max(end + dz, NEAR))]
        return np.array([*outline, (self.x + dx, max(near + dz, NEAR))])

    def paint(self, brush: Brush, lit: float) -> None:
        """Roof first, then the facade with its openings, then the wall that looks at us."""
        near = max(self.z, NEAR)
        ends = [brush.camera.spot(self.x - self.side * 0.4, z).column for z in (near, self.end)]
        outside = min(ends) > brush.camera.width if self.side > 0 else max(ends) < 0
        if self.end <= near or outside:
            return
        back = self.x + self.side * self.deep
        ridge = (self.x + back) / 2
        top = self.tall
        project = brush.camera.project
        if self.rise:
            slope = brush.facing(-self.side * 0.5, 0.85, 0.0)
            eave = self.x - self.side * 0.35
            quad = [(eave, top - 0.2, near), (eave, top - 0.2, self.end)]
            quad += [(ridge, top + self.rise, self.end), (ridge, top + self.rise, near)]
            brush.convex(project(quad), brush.ink(self.roof, Label.Building, near, slope))
            self._chimneys(brush, near, ridge, top + self.rise)
        self._facade(brush, near)
        if self.z > NEAR:
            self._front(brush, back, ridge)

    def _facade(self, brush: Brush, near: float) -> None:
        middle = min((near + self.end) / 2, near + 12.0)
        sun = brush.facing(-self.side, 0.0, 0.0)
        dice, top, floor = self.dice, self.tall, self.tall / self.storeys

        def strips(*bands: tuple[float, float, Sequence[float]]) -> None:
            quads = np.empty((len(bands), 4, 3))
            quads[..., 0] = self.x
            quads[..., 1] = [(low, high, high, low) for low, high, _ in bands]
            quads[..., 2] = (near, near, self.end, self.end)
            brush.faces(
                quads, [brush.ink(color, Label.Building, middle, sun) for _, _, color in bands]
            )

        if middle > 75:
            strips((0.0, top, self.wall))
            return
        base = [c * 0.78 for c in self.wall]
        front = (0.0, floor * 0.95, dice.pick(SHOPS)) if self.shop else (0.0, 0.5, base)
        bands = [(0.0, top, self.wall), front, (top - 0.35, top, self.trim)]
        if self.banded:
            bands += [(floor * k - 0.1, floor * k + 0.1, self.trim) for k in range(1, self.storeys)]
        strips(*bands)

        length = self.end - self.z
        columns = max(1, int(length / dice.between(2.2, 3.6)))
        wide = length / columns
        at = self.z + (np.arange(columns) + 0.5) * wide
        at = at[at > NEAR + 0.4 * wide]
        levels = floor * (np.arange(int(self.shop), self.storeys) + dice.between(0.2, 0.3))
        half, rise = wide * dice.between(0.2, 0.36), floor * dice.between(0.42, 0.6)
        evening = brush.light.lamps
        self._openings(brush, at, levels, half, rise, middle, sun, 0.4 if evening else 0.0)
        if self.shop:
            low, high = np.array([0.35]), floor * 0.58
            self._openings(brush, at, low, wide * 0.42, high, middle, sun, 0.8 if evening else 0.1)
            strips((floor * 0.76, floor * 0.95, dice.pick(SHOPS)))
        elif len(at):
            door = wall_quads(
                self.x, at[:1] + 0.5 * wide, np.array([0.05]), 0.5, min(2.1, floor * 0.8)
            )
            ink = brush.ink(dice.pick(SHOPS), Label.Building, middle, sun)
            brush.polygons(brush.camera.project(door), ink)

    def _chimneys(self, brush: Brush, near: float, ridge: float, top: float) -> None:
        """One on the ridge at the near end, or two, or none."""
        for z in (self.end, self.z + 0.8)[: self.dice.count(0, 2)]:
            if z - 0.8 > near:
                a, b, side = ridge - 0.35, ridge + 0.35, ridge - self.side * 0.35
                low, high = top - 0.5, top + 1.1
                face = [
                    (a, low, z - 0.8),
                    (a, high, z - 0.8),
                    (b, high, z - 0.8),
                    (b, low, z - 0.8),
                ]
                flank = [
                    (side, low, z - 0.8),
                    (side, high, z - 0.8),
                    (side, high, z),
                    (side, low, z),
                ]
                suns = (brush.facing(-self.side, 0.0, 0.0), brush.facing(0.0, 0.0, -1.0))
                color = [c * 0.85 for c in self.wall]
                inks = [brush.ink(color, Label.Building, z, sun) for sun in suns]
                brush.faces([flank, face], inks)

    def _openings(
        self,
        brush: Brush,
        at: Points,
        levels: Points,
        half: float,
        rise: float,
        z: float,
        sun: float,
        lamps: float,
    ) -> None:
        """Windows in a grid: frames in the trim's colour, glass inside, some with a light on."""
        if not len(at) or not len(levels):
            return
        panes = wall_quads(self.x, at, levels, half, rise)
        frames = wall_quads(self.x, at, levels - 0.1, half + 0.1, rise + 0.2)
        frame, glass = brush.camera.project(np.stack([frames, panes]))
        if z < 55:
            brush.polygons(frame, brush.ink(self.trim, Label.Building, z, sun))
        kind = self.dice.many(len(glass))
        on = kind < lamps
        pane = self.dice.pick(GLASS)
        brush.polygons(glass[~on & (kind < 0.75)], brush.ink(pane, Label.Building, z, 0.3))
        pale = [0.6 * c + 70 for c in pane]
        brush.polygons(glass[~on & (kind >= 0.75)], brush.ink(pale, Label.Building, z, 0.5))
        brush.polygons(glass[on], brush.ink(LIT, Label.Building, z, glow=True))

    def _front(self, brush: Brush, back: float, ridge: float) -> None:
        """The wall at the near end; seen where the next plot is open or lower."""
        sun = brush.facing(0.0, 0.0, -1.0)
        top, z = self.tall, self.z
        outline = [(self.x, 0.0, z), (self.x, top, z), (back, top, z), (back, 0.0, z)]
        if self.rise:
            outline.insert(2, (ridge, top + self.rise, z))
        ink = brush.ink(self.wall, Label.Building, z, sun)
        brush.convex(brush.camera.project(outline), ink)
        if z > 70:
            return
        rows = (np.arange(self.storeys) + 0.35) * top / self.storeys
        columns = np.arange(2, self.deep - 1, 3.4)
        x = np.tile(self.x + self.side * columns, len(rows))[:, None]
        y = np.repeat(rows, len(columns))[:, None]
        tall = 0.45 * top / self.storeys
        quads = np.empty((len(x), 4, 3))
        quads[..., 0] = x + np.array([-0.55, 0.55, 0.55, -0.55])
        quads[..., 1] = y + np.array([0, 0, tall, tall])
        quads[..., 2] = z
        glass = self.dice.pick(GLASS)
        brush.polygons(
            brush.camera.project(quads[self.dice.many(len(x)) < 0.8]),
            brush.ink(glass, Label.Building, z, 0.4),
        )


def wall_quads(x: float, at: Points, levels: Points, half: float, rise: float) -> Points:
    """Upright rectangles (M, 4, 3) in the plane x: centres `at` along z, feet at `levels`."""
    z, y = np.tile(at, len(levels))[:, None], np.repeat(levels, len(at))[:, None]
    quads = np.empty((len(z), 4, 3))
    quads[..., 0] = x
    quads[..., 1] = y + np.array([0.0, rise, rise, 0.0])
    quads[..., 2] = np.maximum(z + np.array([-half, -half, half, half]), NEAR)
    return quads
