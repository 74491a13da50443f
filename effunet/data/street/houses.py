"""Houses along the street: a facade with storeys of windows, a front wall towards us, a roof."""

from dataclasses import dataclass

import numpy as np

from effunet.data.street.brush import NEAR, Brush, Color, Label, Points
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
        if self.end <= near:
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
        self._facade(brush, near)
        if self.z > NEAR:
            self._front(brush, back, ridge)

    def _facade(self, brush: Brush, near: float) -> None:
        project = brush.camera.project
        middle = min((near + self.end) / 2, near + 12.0)
        sun = brush.facing(-self.side, 0.0, 0.0)
        x, top = self.x, self.tall

        def strip(low: float, high: float, color: Color, shade: float = 1.0) -> None:
            quad = [(x, low, near), (x, high, near), (x, high, self.end), (x, low, self.end)]
            ink = brush.ink([c * shade for c in color], Label.Building, middle, sun)
            brush.convex(project(quad), ink)

        strip(0.0, top, self.wall)
        if middle > 90:
            return
        floor = self.tall / self.storeys
        first = self.dice.between(0.2, 0.3)
        if self.shop:
            strip(0.0, floor * 0.95, self.dice.pick(SHOPS))
        else:
            strip(0.0, 0.5, self.wall, 0.75)
        length = self.end - self.z
        columns = max(1, int(length / self.dice.between(2.2, 3.6)))
        wide = length / columns
        at = self.z + (np.arange(columns) + 0.5) * wide
        at = at[at > NEAR + 0.4 * wide]
        low = int(self.shop)
        levels = floor * (np.arange(low, self.storeys) + first)
        half, rise = wide * self.dice.between(0.2, 0.36), floor * self.dice.between(0.42, 0.6)
        bright = brush.light.lamps
        self._openings(brush, at, levels, half, rise, middle, sun, 0.4 if bright else 0.0)
        if self.shop:
            self._openings(
                brush, at, np.array([0.35]), wide * 0.42, floor * 0.58, middle, sun, 0.8 if bright else 0.1
            )
            strip(floor * 0.76, floor * 0.95, self.dice.pick(SHOPS), 1.1)
        else:
            door = at[self.dice.count(0, len(at)) :][:1] + 0.5 * wide
            color = self.dice.pick(SHOPS)
            quads = wall_quads(x, door, np.array([0.05]), 0.5, min(2.1, floor * 0.8))
            brush.polygons(project(quads), brush.ink(color, Label.Building, middle, sun))
        strip(top - 0.35, top, self.trim)

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
        project = brush.camera.project
        if z < 55:
            frames = wall_quads(self.x, at, levels - 0.1, half + 0.1, rise + 0.2)
            brush.polygons(project(frames), brush.ink(self.trim, Label.Building, z, sun))
        glass = project(wall_quads(self.x, at, levels, half, rise))
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
        brush.polygon(brush.camera.project(outline), ink)
        if z > 70:
            return
        rows = (np.arange(self.storeys) + 0.35) * top / self.storeys
        columns = np.arange(2, self.deep - 1, 3.4)
        y, x = (m.reshape(-1, 1) for m in np.meshgrid(rows, self.x + self.side * columns))
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
    z, y = (m.reshape(-1, 1) for m in np.meshgrid(at, levels))
    quads = np.empty((len(z), 4, 3))
    quads[..., 0] = x
    quads[..., 1] = y + np.array([0.0, rise, rise, 0.0])
    quads[..., 2] = np.maximum(z + np.array([-half, -half, half, half]), NEAR)
    return quads
