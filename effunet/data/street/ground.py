"""The ground plane: road, kerbs, pavements, markings, a crossing street, and shadows on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from effunet.data.street.brush import Brush, Color, Ink, Label, toned
from effunet.data.street.camera import NEAR, Camera, Points
from effunet.data.street.dice import Dice

CAST, BLOCKED, CONTACT = 1, 2, 3  # shade of small things, of buildings, and right under cars
FAR = 140.0  # metres: where the street ends
STATIONS = (1.2, 2.0, 3.5, 6.0, 10.0, 15.0, 21.0, 28.0, 36.0, 46.0, 58.0, 72.0, 90.0, 115.0)


@dataclass(frozen=True)
class Road:
    """The street's cross-section and colours; x in metres from the middle of the road."""

    half: float  # half the carriageway
    pavement: tuple[float, float]  # widths at left and right
    lanes: int
    parking: bool  # a strip of 2 m for parked cars at both kerbs
    drive: int  # side that traffic keeps to: -1 left, 1 right
    asphalt: Color
    paving: Color
    verge: tuple[Color | None, Color | None]  # grass behind the pavements; None is paved
    crossing: tuple[float, float] | None  # a street across, from z to z
    zebra: float | None  # z of a zebra crossing
    paint: Color

    def edge(self, side: int) -> float:
        """X where the pavement of a side ends and the plots begin."""
        return side * (self.half + self.pavement[side > 0])


def far_row(camera: Camera) -> int:
    """The row where the plane begins, under the sky: 0 to the image's height."""
    return min(max(int(camera.project((0.0, 0.0, FAR))[1]), 0), camera.height)


def flat(color: Color, label: Label) -> Ink:
    """A surface's own colour; what lies on the plane is lit later, all at once."""
    return (*color, int(label))


def band(inner: float, outer: float, start: float = NEAR, end: float = FAR) -> Points:
    """A strip along the road between two x, as ground quads (M, 4, 2) that follow the bend."""
    z = [start, *(station for station in STATIONS if start < station < end), end]
    return np.array([((inner, a), (inner, b), (outer, b), (outer, a)) for a, b in pairwise(z)])


def rectangles(x: Sequence[tuple[float, float]], z: Sequence[tuple[float, float]]) -> Points:
    """Ground rectangles (M, 4, 2); those behind the eye are left out, those half behind are cut."""
    quads = [
        ((a, max(c, NEAR)), (b, max(c, NEAR)), (b, d), (a, d))
        for (a, b), (c, d) in zip(x, z, strict=True)
        if d > NEAR
    ]
    return np.array(quads, np.float64).reshape(-1, 4, 2)


def paint_ground(
    brush: Brush, road: Road, shadows: Sequence[tuple[int, Sequence[Points]]], dice: Dice
) -> NDArray[np.uint8]:
    """Paint the plane, then light it row by row.

    shadows: kinds of shade with the outlines (N, 2) of where they lie, later ones over earlier
    ones; the returned layer (height, width) holds the kind, 0 where nothing keeps the light off.
    """
    camera, canvas = brush.camera, brush.canvas
    start = far_row(camera)
    canvas[start:, :, :3] = road.paving
    canvas[start:, :, 3] = Label.Pavement

    def lay(shape: Points, color: Color, label: Label) -> None:
        brush.polygons(camera.ground(shape), flat(color, label))

    for side, grass in zip((-1, 1), road.verge, strict=True):
        if grass is not None:
            lay(band(road.edge(side), side * 90.0), grass, Label.Tree)
    if road.crossing is not None:
        lay(rectangles([(-90, 90)], [road.crossing]), road.asphalt, Label.Road)
    paint_paving(brush, road, dice)
    lay(band(-road.half, road.half), road.asphalt, Label.Road)
    paint_wear(brush, road, dice)
    paint_kerbs(brush, road)
    paint_markings(brush, road, dice)

    shade = np.zeros((camera.height, camera.width), np.uint8)
    for kind, outlines in shadows:
        for outline in outlines:
            cv2.fillConvexPoly(shade, camera.ground(outline), kind)
    light_ground(brush, shade, start)
    return shade


def light_ground(brush: Brush, shade: NDArray[np.uint8], start: int) -> None:
    """Turn the plane's own colours from row `start` on into lit ones behind air."""
    light = brush.light
    region = brush.canvas[start:]
    if not region.size:
        return
    clear = np.exp(-light.haze * brush.camera.row_distance()[start:])[:, None]
    shaded, close = shade[start:] > 0, shade[start:] == CONTACT
    for channel in range(3):
        ambient, direct = light.ambient[channel], light.direct[channel] * light.sun[1]
        sunny = ((ambient + direct) * clear).astype(np.float32)
        air = (light.air[channel] * (1.0 - clear) + 0.5).astype(np.float32)
        plane = region[..., channel].astype(np.float32)
        plane[shaded] *= np.float32(ambient / (ambient + direct))
        plane[close] *= np.float32(0.5)
        plane *= sunny
        plane += air
        region[..., channel] = np.minimum(plane, 255, out=plane)


def reflect(brush: Brush) -> None:
    """A wet road mirrors a fourth of what stands above its far end."""
    camera, canvas = brush.camera, brush.canvas
    start = far_row(camera)
    rows = np.arange(start, camera.height)
    mirrored = canvas[np.maximum(2 * start - 1 - rows, 0), :, :3].astype(np.uint16)
    plane = canvas[start:, :, :3]
    mixed = ((plane * np.uint16(3) + mirrored) >> 2).astype(np.uint8)
    np.copyto(plane, mixed, where=canvas[start:, :, 3:] == Label.Road)


def paint_paving(brush: Brush, road: Road, dice: Dice) -> None:
    """Joints between the slabs of the near pavement."""
    pace = dice.pick((0.9, 1.5, 2.4))
    joint = toned(road.paving, 0.8)
    near = np.arange(1.0, 16.0, pace)
    for side in (-1, 1):
        inner, outer = side * road.half, road.edge(side)
        x = [(inner, outer)] * len(near)
        z = [(a, a + 0.05) for a in near]
        brush.polygons(brush.camera.ground(rectangles(x, z)), flat(joint, Label.Pavement))
        middle = (inner + outer) / 2
        brush.polygons(
            brush.camera.ground(band(middle, middle + 0.04, NEAR, 18.0)),
            flat(joint, Label.Pavement),
        )


def paint_wear(brush: Brush, road: Road, dice: Dice) -> None:
    """Repaired patches, a manhole and wheel tracks: all road, in other greys."""
    for _ in range(dice.count(0, 5)):
        x, z = dice.between(-road.half, road.half * 0.7), dice.between(2.0, 45.0)
        wide, long = dice.between(0.6, road.half * 0.6), dice.between(1.0, 9.0)
        tone = dice.between(0.78, 1.18)
        color = toned(road.asphalt, tone)
        quad = rectangles([(x, min(x + wide, road.half))], [(z, z + long)])
        brush.polygons(brush.camera.ground(quad), flat(color, Label.Road))
    for _ in range(dice.count(0, 1)):
        spot = brush.camera.spot(dice.between(-road.half, road.half) * 0.8, dice.between(4.0, 18.0))
        squash = brush.camera.eye * spot.scale / brush.camera.reach
        axes = (max(1, int(spot.scale * 0.32)), max(1, int(spot.scale * 0.32 * squash)))
        tone = toned(road.asphalt, 0.55)
        center = (int(spot.column), int(spot.row))
        cv2.ellipse(brush.canvas, center, axes, 0, 0, 360, flat(tone, Label.Road), -1)


def paint_kerbs(brush: Brush, road: Road) -> None:
    """A light stone edge, broken where a street crosses; gutters are darker road."""
    spans = [(NEAR, FAR)]
    if road.crossing is not None:
        spans = [(NEAR, road.crossing[0]), (road.crossing[1], FAR)]
    stone = toned(road.paving, 1.22)
    gutter = toned(road.asphalt, 0.82)
    for side in (-1, 1):
        for start, end in spans:
            if end <= start:
                continue
            edge = side * road.half
            ground = brush.camera.ground
            brush.polygons(
                ground(band(edge - side * 0.25, edge, start, end)), flat(gutter, Label.Road)
            )
            brush.polygons(
                ground(band(edge, edge + side * 0.28, start, end)), flat(stone, Label.Pavement)
            )


def paint_markings(brush: Brush, road: Road, dice: Dice) -> None:
    """Lane lines, edge lines, a zebra, a stop line: road, in the colour of road paint."""
    ink = flat(road.paint, Label.Road)
    ground = brush.camera.ground
    dash, gap = dice.pick(((2.0, 4.0), (3.0, 3.0), (4.0, 2.0), (3.0, 6.0)))
    phase = dice.between(-dash - gap, 0.0)
    starts = np.arange(phase, 110.0, dash + gap)
    stop = road.crossing
    free = [s for s in starts if stop is None or s + dash < stop[0] - 2 or s > stop[1] + 1]
    middle_solid = dice.chance(0.2)
    for lane in range(1, road.lanes):
        x = -road.half + 2 * road.half * lane / road.lanes
        if middle_solid and 2 * lane == road.lanes:
            for at in (x - 0.16, x + 0.10):
                brush.polygons(ground(band(at, at + 0.12)), ink)
        else:
            z = [(s, s + dash) for s in free]
            brush.polygons(ground(rectangles([(x - 0.07, x + 0.07)] * len(z), z)), ink)
    if dice.chance(0.45):
        yellow: Color = (205, 170, 60) if dice.chance(0.5) else road.paint
        for side in (-1, 1):
            x = side * (road.half - 0.45)
            brush.polygons(ground(band(x - 0.06, x + 0.06)), flat(yellow, Label.Road))
    if road.zebra is not None:
        stripes = np.arange(-road.half + 0.4, road.half - 0.5, 1.0)
        z = [(road.zebra, road.zebra + 2.8)] * len(stripes)
        brush.polygons(ground(rectangles([(x, x + 0.5) for x in stripes], z)), ink)
    if stop is not None and stop[0] > 4:
        lane = sorted((0.15 * road.drive, road.drive * (road.half - 0.3)))
        line = rectangles([(lane[0], lane[1])], [(stop[0] - 1.4, stop[0] - 1.0)])
        brush.polygons(ground(line), ink)
