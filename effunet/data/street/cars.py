"""Cars, vans, lorries and buses: a body lofted over a few cross-sections, seen from any side."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from effunet.data.street.brush import Brush, Color, Label, toned
from effunet.data.street.camera import NEAR, Pixels, Points
from effunet.data.street.dice import Dice
from effunet.data.street.shapes import disc

PAINTS: tuple[Color, ...] = (
    (206, 208, 210), (158, 162, 166), (96, 100, 106), (34, 36, 40), (40, 62, 118), (142, 30, 32),
    (36, 74, 58), (176, 164, 138), (222, 222, 216), (72, 96, 132), (196, 158, 40), (58, 58, 62),
)  # fmt: skip
TYRE, RIM, GLASS = (24, 24, 26), (128, 130, 132), (44, 52, 60)


@dataclass(frozen=True)
class Body:
    """A kind of car. Sections from tail to nose: place along, belt height, roof height (metres)."""

    wide: float
    sections: tuple[tuple[float, float, float], ...]
    wheel: float  # radius
    glass: tuple[bool, ...]  # by segment: is the upper side a window
    slopes: tuple[bool, ...]  # by segment: is the upper face a window (windscreen, rear window)

    @property
    def long(self) -> float:
        """Metres from tail to nose."""
        return self.sections[-1][0]


HATCH = Body(
    1.76,
    ((0, 0.84, 0.84), (0.06, 0.96, 0.98), (0.5, 0.96, 1.42), (2.1, 0.95, 1.47), (3.0, 0.93, 0.94),
     (3.85, 0.78, 0.78), (4.0, 0.6, 0.6)),
    0.32, (False, True, True, True, False, False), (False, True, False, True, False, False),
)  # fmt: skip
SALOON = Body(
    1.8,
    ((0, 0.8, 0.8), (0.1, 0.94, 0.95), (0.75, 0.96, 0.98), (1.4, 0.95, 1.4), (2.6, 0.94, 1.42),
     (3.4, 0.92, 0.93), (4.45, 0.76, 0.76), (4.6, 0.58, 0.58)),
    0.33, (False, False, True, True, True, False, False),
    (False, False, True, False, True, False, False),
)  # fmt: skip
ESTATE = Body(
    1.9,
    ((0, 0.95, 0.95), (0.08, 1.08, 1.1), (0.4, 1.08, 1.66), (2.7, 1.08, 1.7), (3.5, 1.04, 1.06),
     (4.4, 0.92, 0.92), (4.6, 0.7, 0.7)),
    0.37, (False, True, True, True, False, False), (False, True, False, True, False, False),
)  # fmt: skip
VAN = Body(
    2.0,
    ((0, 1.1, 2.15), (0.1, 1.1, 2.25), (3.6, 1.1, 2.25), (4.3, 1.1, 1.35), (4.9, 0.95, 0.98),
     (5.1, 0.6, 0.6)),
    0.36, (False, False, True, False, False), (False, False, True, False, False),
)  # fmt: skip
BUS = Body(
    2.5,
    ((0, 1.2, 2.9), (0.1, 1.2, 3.0), (10.8, 1.2, 3.0), (11.0, 1.1, 2.9)),
    0.5, (False, True, False), (False, False, False),
)  # fmt: skip
LORRY = Body(
    2.4,
    ((0, 1.2, 3.2), (5.4, 1.2, 3.2), (5.45, 1.2, 2.5), (6.9, 1.2, 2.5), (7.2, 1.1, 1.3)),
    0.48, (False, False, True, True), (False, False, False, True),
)  # fmt: skip
BODIES = {
    "hatch": HATCH,
    "saloon": SALOON,
    "estate": ESTATE,
    "van": VAN,
    "bus": BUS,
    "lorry": LORRY,
}

PAINTED, GLAZED, FLOOR = range(3)


@cache
def loft(kind: str) -> tuple[Points, NDArray[np.intp], NDArray[np.intp], Points]:
    """Corners (N, 3) as lateral, up, along; faces (F, 4), their materials, their unit normals."""
    body = BODIES[kind]
    floor = 0.2 if body.wheel < 0.45 else 0.35
    corners: list[tuple[float, float, float]] = []
    for along, belt, top in body.sections:
        half = body.wide / 2
        pinch = half * (0.93 if along in (0.0, body.long) else 1.0)
        upper = pinch if top - belt < 0.1 else pinch * (0.97 if body.wheel > 0.45 else 0.84)
        z = along - body.long / 2
        corners += [(-pinch, floor, z), (-pinch, belt, z), (-upper, top, z)]
        corners += [(upper, top, z), (pinch, belt, z), (pinch, floor, z)]
    faces: list[tuple[int, int, int, int]] = []
    materials: list[int] = []
    for i, (glass, slope) in enumerate(zip(body.glass, body.slopes, strict=True)):
        a, b = 6 * i, 6 * i + 6
        flank, lid = GLAZED if glass else PAINTED, GLAZED if slope else PAINTED
        ring = [
            (PAINTED, (0, 1)), (flank, (1, 2)), (lid, (2, 3)),
            (flank, (3, 4)), (PAINTED, (4, 5)), (FLOOR, (5, 0)),
        ]  # fmt: skip
        for material, (p, q) in ring:
            faces.append((a + p, a + q, b + q, b + p))
            materials.append(material)
    for end in (0, 6 * (len(body.sections) - 1)):
        faces += [(end, end + 5, end + 4, end + 1), (end + 1, end + 4, end + 3, end + 2)]
        materials += [PAINTED, GLAZED]
    points, index = np.array(corners), np.array(faces)
    normals = np.cross(
        points[index[:, 2]] - points[index[:, 0]], points[index[:, 3]] - points[index[:, 1]]
    )
    normals /= np.sqrt((normals * normals).sum(1, keepdims=True)) + 1e-12
    inward = (normals * (points[index].mean(1) - points.mean(0))).sum(1) < 0
    index[inward], normals[inward] = index[inward, ::-1], -normals[inward]
    return points, index, np.array(materials), normals


@cache
def underside(kind: str) -> Points:
    """Corners (8, 3) of the dark gap between the wheels, which belongs to the car."""
    body = BODIES[kind]
    half, long = body.wide / 2 * 0.9, body.long / 2 * 0.9
    return np.array([(x, y, z) for x in (-half, half) for z in (-long, long) for y in (0.06, 0.4)])


@dataclass(frozen=True)
class Car:
    """One vehicle; (cosine, sine) turn it: (1, 0) drives away from us, (-1, 0) towards us."""

    x: float
    z: float  # middle
    turn: tuple[float, float]
    kind: str
    color: Color
    dice: Dice
    parked: bool = False

    @property
    def far(self) -> float:
        """Distance that decides when it is painted: just before its middle."""
        return self.z - 0.3

    @property
    def room(self) -> tuple[float, float]:
        """Half of what it takes of the street in x and in z."""
        body = BODIES[self.kind]
        half, long = body.wide / 2, body.long / 2
        return (half, long) if abs(self.turn[0]) > abs(self.turn[1]) else (long, half)

    def _place(self, local: Points) -> Points:
        """Local points (..., 3) as lateral, up, along to the world."""
        c, s = self.turn
        world = local.copy()
        world[..., 0] = self.x + c * local[..., 0] + s * local[..., 2]
        world[..., 2] = self.z - s * local[..., 0] + c * local[..., 2]
        return world

    def footprint(self) -> Points:
        """Ground (4, 2) that it covers, where even an overcast sky leaves a shade."""
        body = BODIES[self.kind]
        half, long = body.wide / 2 + 0.06, body.long / 2 + 0.08
        foot = np.array([(-half, 0, -long), (half, 0, -long), (half, 0, long), (-half, 0, long)])
        return np.maximum(self._place(foot)[:, ::2], (-1e9, NEAR))

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """The footprint, drawn out away from the sun."""
        world = self.footprint()
        reach = 0.8 * BODIES[self.kind].sections[2][2]
        moved = np.add(world, (-sun[0] / sun[1] * reach, -sun[2] / sun[1] * reach))
        both = np.round(np.concatenate([world, moved]) * 1000.0).astype(np.int32)  # millimetres
        return np.maximum(cv2.convexHull(both)[:, 0] / 1000.0, (-1e9, NEAR))

    def paint(self, brush: Brush, lit: float) -> None:
        """The dark underside, faces that look at us (far ones first), wheels, lamps and plate."""
        body = BODIES[self.kind]
        if self.z - body.long / 2 < NEAR or not brush.sees(self.x, self.z, body.long):
            return
        points, faces, materials, normals = loft(self.kind)
        world = self._place(points)
        flat = brush.camera.project(world)
        under = cv2.convexHull(brush.camera.project(self._place(underside(self.kind))))
        brush.convex(
            np.asarray(under, np.int32)[:, 0], brush.ink((20, 20, 22), Label.Car, self.z, 0.0)
        )

        outlines: Pixels = flat[faces]
        quads = outlines.astype(np.int64)
        one, two = quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1]
        seen = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] > 0
        order = np.argsort(-world[faces, 2].sum(1), kind="stable")
        (c, s), sun = self.turn, brush.light.sun
        across, along = c * sun[0] - s * sun[2], s * sun[0] + c * sun[2]
        facing = lit * np.maximum(normals @ np.array((across, sun[1], along)), 0.0)
        for f in order[seen[order]].tolist():
            material, up = materials[f], float(normals[f, 1])
            if material == FLOOR:
                continue
            tone = 0.86 + 0.2 * up
            if material == GLAZED:
                color = [v + 70.0 * max(0.0, up) for v in GLASS]
            else:
                color = [v * tone for v in self.color]
            brush.convex(outlines[f], brush.ink(color, Label.Car, self.z, float(facing[f])))
        if brush.camera.reach > 5.0 * self.z:  # smaller than that, they are below a pixel
            self._wheels(brush, lit)
            self._end(brush, lit)

    def _wheels(self, brush: Brush, lit: float) -> None:
        """Two wheels on the side that is seen, when one is; and the gap between the doors."""
        body = BODIES[self.kind]
        c, s = self.turn
        eye = brush.camera.offset - (brush.camera.bend * self.z + brush.camera.heading) * self.z
        lateral = c * (eye - self.x) + s * self.z
        if abs(lateral) < body.wide / 2:
            return
        side = body.wide / 2 * (1.0 if lateral > 0 else -1.0)
        rings = np.empty((5, 12, 3))
        rings[..., 0] = side
        for k, along in enumerate((-0.31, 0.31)):
            for m, radius in enumerate((body.wheel, body.wheel * 0.6)):
                rings[2 * k + m, :, 1:] = np.add(disc(radius), (body.wheel, along * body.long))
        rings[4, :, 1] = np.repeat((0.3, 0.93 * body.sections[1][1]), 6)
        rings[4, :, 2] = np.repeat((-0.01, 0.01, -0.01), 4)
        tyre, rim = (brush.ink(color, Label.Car, self.z, 0.5 * lit) for color in (TYRE, RIM))
        seam = brush.ink([v * 0.6 for v in self.color], Label.Car, self.z, 0.3 * lit)
        brush.faces(self._place(rings), (tyre, rim, tyre, rim, seam))

    def _end(self, brush: Brush, lit: float) -> None:
        """Lamps, plate, bumper and tyres of the end that looks at us."""
        c = self.turn[0]
        if abs(c) < 0.3:
            return
        body = BODIES[self.kind]
        rear = c > 0
        along = (-body.long if rear else body.long) / 2 * 1.002
        half = body.wide / 2 * 0.92
        belt = body.sections[0 if rear else -1][1]
        if rear:
            low, high, inner = belt - 0.27, belt - 0.06, 0.62
            lamp = (158, 24, 26)
            plate = (224, 186, 60) if self.dice.chance(0.5) else (226, 226, 220)
        else:
            low, high, inner = belt - 0.1, belt + 0.06, 0.55
            lamp, plate = (112, 118, 126), (228, 228, 222)
        on = brush.light.lamps and not self.parked
        if on:
            lamp = (255, 60, 50) if rear else (255, 246, 214)
        grille = (-0.5 * half, belt - 0.2, 0.5 * half, belt - 0.06)
        parts: list[tuple[tuple[float, float, float, float], Color, bool]] = [
            ((-half, 0.02, -0.72 * half, 0.34), TYRE, False),
            ((0.72 * half, 0.02, half, 0.34), TYRE, False),
            ((-half, 0.24, half, 0.42), toned(self.color, 0.55), False),
            (grille, (40, 42, 44), False),
            ((-half, low, -inner * half, high), lamp, on),
            ((inner * half, low, half, high), lamp, on),
            ((-0.26, 0.36, 0.26, 0.48), plate, False),
        ]
        if rear:
            parts.pop(3)
        boxes = np.array([box for box, _, _ in parts])
        quads = np.full((len(parts), 4, 3), along)
        quads[..., 0] = boxes[:, [0, 0, 2, 2]]
        quads[..., 1] = boxes[:, [1, 3, 3, 1]]
        sun = lit * brush.facing(0.0, 0.0, -1.0)
        inks = [brush.ink(color, Label.Car, self.z, sun, glow) for _, color, glow in parts]
        brush.faces(self._place(quads), inks)
