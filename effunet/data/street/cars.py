"""Cars, vans, lorries and buses: a body lofted over a few cross-sections, seen from any side."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from effunet.data.street.brush import NEAR, Brush, Color, Label, Points
from effunet.data.street.dice import Dice
from effunet.data.street.furniture import disc

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
    0.33, (False, False, True, True, True, False, False), (False, False, True, False, True, False, False),
)  # fmt: skip
ESTATE = Body(
    1.9,
    ((0, 0.95, 0.95), (0.08, 1.08, 1.1), (0.4, 1.08, 1.66), (2.7, 1.08, 1.7), (3.5, 1.04, 1.06),
     (4.4, 0.92, 0.92), (4.6, 0.7, 0.7)),
    0.37, (False, True, True, True, False, False), (False, True, False, True, False, False),
)  # fmt: skip
VAN = Body(
    2.0,
    ((0, 1.1, 2.15), (0.1, 1.1, 2.25), (3.6, 1.1, 2.25), (4.3, 1.1, 1.35), (4.9, 0.95, 0.98), (5.1, 0.6, 0.6)),
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
BODIES = {"hatch": HATCH, "saloon": SALOON, "estate": ESTATE, "van": VAN, "bus": BUS, "lorry": LORRY}

PAINTED, WINDOW, ROOF, FLOOR = range(4)


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
        ring = [
            (PAINTED, (0, 1)), (WINDOW if glass else PAINTED, (1, 2)), (WINDOW if slope else ROOF, (2, 3)),
            (WINDOW if glass else PAINTED, (3, 4)), (PAINTED, (4, 5)), (FLOOR, (5, 0)),
        ]  # fmt: skip
        for material, (p, q) in ring:
            faces.append((a + p, a + q, b + q, b + p))
            materials.append(material)
    last = 6 * (len(body.sections) - 1)
    for base, order in ((0, (0, 5, 4, 1)), (last, (0, 1, 4, 5))):
        faces.append(tuple(base + k for k in order))  # type: ignore[arg-type]
        materials.append(PAINTED)
    for base, order in ((0, (1, 4, 3, 2)), (last, (1, 2, 3, 4))):
        faces.append(tuple(base + k for k in order))  # type: ignore[arg-type]
        materials.append(WINDOW)
    points, index = np.array(corners), np.array(faces)
    normals = np.cross(points[index[:, 2]] - points[index[:, 0]], points[index[:, 3]] - points[index[:, 1]])
    normals /= np.sqrt((normals * normals).sum(1, keepdims=True)) + 1e-12
    return points, index, np.array(materials), normals


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

    def _place(self, local: Points) -> Points:
        """Local points (..., 3) as lateral, up, along to the world."""
        c, s = self.turn
        world = local.copy()
        world[..., 0] = self.x + c * local[..., 0] + s * local[..., 2]
        world[..., 2] = self.z - s * local[..., 0] + c * local[..., 2]
        return world

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """The footprint, drawn out away from the sun."""
        body = BODIES[self.kind]
        half, long = body.wide / 2 + 0.05, body.long / 2 - 0.05
        foot = np.array([(-half, 0, -long), (half, 0, -long), (half, 0, long), (-half, 0, long)])
        world = self._place(foot)[:, ::2]
        reach = 0.8 * body.sections[2][2]
        moved = world + (-sun[0] / sun[1] * reach, -sun[2] / sun[1] * reach)
        both = np.concatenate([world, moved])
        return np.maximum(hull(both), (-1e9, NEAR))

    def paint(self, brush: Brush, lit: float) -> None:
        """Faces that look at us, far ones first; then wheels; then lamps and plates."""
        points, faces, materials, normals = loft(self.kind)
        world = self._place(points)
        if world[:, 2].min() < NEAR:
            return
        self._underside(brush)
        flat = brush.camera.project(world)
        quads = flat[faces].astype(np.int64)
        across = quads[:, 2] - quads[:, 0]
        down = quads[:, 3] - quads[:, 1]
        seen = across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0] > 0
        distance = world[faces, 2].mean(1)
        order = np.argsort(-distance, kind="stable")
        c, s = self.turn
        sun = brush.light.sun
        facing = np.maximum(
            (c * normals[:, 0] + s * normals[:, 2]) * sun[0]
            + normals[:, 1] * sun[1]
            + (-s * normals[:, 0] + c * normals[:, 2]) * sun[2],
            0.0,
        )
        sky = 0.82 + 0.3 * np.maximum(normals[:, 1], 0.0)
        for f in order[seen[order]]:
            tone = float(sky[f])
            color = [v * tone for v in (self.color if materials[f] in (PAINTED, ROOF) else GLASS)]
            if materials[f] == FLOOR:
                continue
            if materials[f] == WINDOW:
                color = [v + 60 * max(0.0, float(normals[f, 1])) for v in color]
            brush.convex(flat[faces[f]], brush.ink(color, Label.Car, self.z, lit * float(facing[f])))
        self._wheels(brush, lit)
        self._end(brush, lit)

    def _underside(self, brush: Brush) -> None:
        """The dark gap between the wheels, which belongs to the car."""
        body = BODIES[self.kind]
        half, long = body.wide / 2 * 0.9, body.long / 2 * 0.9
        low = np.array([(x, y, z) for x in (-half, half) for z in (-long, long) for y in (0.06, 0.4)])
        outline = cv_hull(brush.camera.project(self._place(low)))
        brush.convex(outline, brush.ink((20, 20, 22), Label.Car, self.z, 0.0))

    def _wheels(self, brush: Brush, lit: float) -> None:
        body = BODIES[self.kind]
        c, s = self.turn
        eye = brush.camera.offset - brush.camera.bend * self.z * self.z
        lateral = c * (eye - self.x) - s * (0.0 - self.z)
        side = body.wide / 2 * (1.0 if lateral > 0 else -1.0)
        if abs(lateral) < body.wide / 2:
            return
        for along in (0.19 * body.long, 0.81 * body.long):
            for radius, color in ((body.wheel, TYRE), (body.wheel * 0.62, RIM)):
                ring = np.empty((12, 3))
                ring[:, 0] = side
                ring[:, 1:] = disc(radius) + (body.wheel, along - body.long / 2)
                flat = brush.camera.project(self._place(ring))
                brush.convex(flat, brush.ink(color, Label.Car, self.z, 0.5 * lit))

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
            lamp, plate = (158, 24, 26), (224, 186, 60) if self.dice.chance(0.5) else (226, 226, 220)
        else:
            low, high, inner = belt - 0.1, belt + 0.06, 0.55
            lamp, plate = (214, 216, 210), (228, 228, 222)
        on = brush.light.lamps and not self.parked
        if on:
            lamp = (255, 60, 50) if rear else (255, 246, 214)
        grille = (-0.5 * half, belt - 0.2, 0.5 * half, belt - 0.06)
        parts: list[tuple[tuple[float, float, float, float], Color, bool]] = [
            ((-half, 0.02, -0.72 * half, 0.34), TYRE, False),
            ((0.72 * half, 0.02, half, 0.34), TYRE, False),
            ((-half, 0.24, half, 0.42), tuple(int(v * 0.55) for v in self.color), False),  # type: ignore[list-item]
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
        for flat, (_, color, glow) in zip(brush.camera.project(self._place(quads)), parts, strict=True):
            brush.convex(flat, brush.ink(color, Label.Car, self.z, sun, glow))


def hull(points: Points) -> Points:
    """Convex hull of ground points, to the millimetre."""
    import cv2

    whole = np.round(points * 1000.0).astype(np.int32)
    return cv2.convexHull(whole)[:, 0].astype(np.float64) / 1000.0


def cv_hull(pixels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Convex hull of pixels."""
    import cv2

    return cv2.convexHull(pixels)[:, 0]
