"""What stands where: a street is laid out plot by plot, then painted from far to near."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from effunet.data.street.brush import NEAR, Brush, Color, Points
from effunet.data.street.cars import BODIES, PAINTS, Car
from effunet.data.street.dice import Dice
from effunet.data.street.furniture import STEEL, Fence, Lamp, Post, Sign
from effunet.data.street.ground import FAR, Road, paint_ground
from effunet.data.street.houses import House
from effunet.data.street.people import Bicyclist, Pedestrian
from effunet.data.street.plants import GREENS, Hedge, Tree


class Thing(Protocol):
    """Something that stands on the street."""

    @property
    def far(self) -> float:
        """Distance that decides when it is painted, metres."""
        ...

    def shadow(self, sun: tuple[float, float, float]) -> Points:
        """Ground outline (N, 2), as x and z, that it keeps the sun off."""
        ...

    def paint(self, brush: Brush, lit: float) -> None:
        """Paint it; lit is 1 in the sun and 0 in shade."""
        ...


@dataclass(frozen=True)
class District:
    """The character of one side of a street; pairs are limits to draw between."""

    length: tuple[float, float]  # of a house along the street, metres
    storeys: tuple[int, int]
    gap: float  # share of plots without a house
    alley: tuple[float, float]  # between neighbours, metres
    setback: tuple[float, float]  # behind the pavement, metres
    gable: float  # share of gable roofs
    shop: float
    fence: float  # share of plots with something in front: fence or hedge
    trees: float  # trees a plot, in gardens and gaps
    grass: float  # share of green front gardens


DISTRICTS = (
    District((8, 18), (3, 6), 0.08, (0, 0), (0, 0), 0.2, 0.6, 0.12, 0.2, 0.0),  # town
    District((6, 10), (2, 3), 0.08, (0, 0.5), (0, 3), 0.85, 0.3, 0.4, 0.3, 0.1),  # terraces
    District((8, 13), (1, 2), 0.15, (2, 6), (3, 8), 0.95, 0.0, 0.8, 1.2, 0.7),  # suburb
    District((16, 34), (2, 7), 0.25, (3, 10), (2, 9), 0.05, 0.15, 0.5, 1.0, 0.5),  # blocks
    District((9, 14), (1, 3), 0.85, (4, 10), (4, 10), 0.7, 0.0, 0.7, 2.2, 1.0),  # park
)

WALLS: tuple[Color, ...] = (
    (152, 92, 72), (134, 78, 62), (172, 120, 92), (196, 178, 146), (206, 198, 182), (180, 160, 128),
    (168, 164, 158), (128, 122, 116), (214, 206, 198), (186, 146, 108), (150, 132, 110), (120, 92, 80),
    (196, 190, 160), (140, 150, 158),
)  # fmt: skip
TRIMS: tuple[Color, ...] = ((216, 212, 204), (190, 184, 172), (230, 228, 224), (120, 112, 104), (84, 80, 76))
ROOFS: tuple[Color, ...] = ((112, 66, 52), (86, 84, 88), (140, 82, 60), (70, 66, 66), (100, 92, 84))
WOODS: tuple[Color, ...] = ((132, 100, 70), (104, 80, 62), (190, 186, 178), (92, 96, 92), (148, 124, 92))
METALS: tuple[Color, ...] = ((40, 46, 44), (60, 64, 66), (110, 114, 116), (36, 60, 48), (140, 144, 146))


def lay_out_road(dice: Dice, districts: Sequence[District]) -> Road:
    """Draw the cross-section: lanes, pavements, a crossing street, a zebra."""
    lanes = dice.pick((2, 2, 2, 3, 4))
    half = lanes * dice.between(1.5, 1.85) + dice.pick((0.0, 0.6, 2.0))
    crossing = None
    if dice.chance(0.45):
        start = dice.between(12.0, 60.0)
        crossing = (start, start + dice.between(6.0, 11.0))
    zebra = None
    if dice.chance(0.35):
        zebra = crossing[0] - 5.0 if crossing is not None else dice.between(7.0, 35.0)
    grey, warm = dice.between(82, 142), dice.between(-4, 6)
    pave, tint = dice.between(138, 190), dice.between(-4, 14)
    white = dice.between(196, 236)
    greens = [dice.pick(((104, 118, 62), (88, 108, 56), (122, 124, 74))) for _ in range(2)]
    verge = tuple(g if dice.chance(d.grass) else None for g, d in zip(greens, districts, strict=True))
    return Road(
        half=half,
        pavement=(dice.between(1.6, 4.6), dice.between(1.6, 4.6)),
        lanes=lanes,
        drive=dice.sign(),
        asphalt=(int(grey + warm), int(grey + warm / 2), int(grey)),
        paving=(int(pave + tint / 2), int(pave), int(pave - tint)),
        verge=(verge[0], verge[1]),
        crossing=crossing,
        zebra=zebra,
        paint=(int(white), int(white), int(white * 0.96)),
    )


def plots(side: int, district: District, road: Road, dice: Dice) -> list[Thing]:
    """Houses, gardens, fences and trees of one side, from beside us to the far end."""
    things: list[Thing] = []
    line = road.edge(side)
    z = dice.between(-18.0, 0.0)
    setback = dice.between(*district.setback)
    walls = [dice.pick(WALLS) for _ in range(3)]
    base, green = dice.count(*district.storeys), dice.pick(GREENS)
    trim, kind = dice.pick(TRIMS), dice.pick(("boards", "pickets", "railings", "railings"))
    color = dice.pick(METALS if kind == "railings" else WOODS)
    tall = {"boards": 1.7, "pickets": 1.1, "railings": 1.3}[kind] * dice.between(0.85, 1.2)
    hedged = dice.chance(0.35)
    while z < FAR:
        own = dice.fork()
        length = own.between(*district.length) + own.between(*district.alley)
        if road.crossing is not None and z < road.crossing[1] + 2 and z + length > road.crossing[0] - 2:
            if z + 5.0 < road.crossing[0] - 2:
                length = road.crossing[0] - 2 - z
            else:
                z = road.crossing[1] + 2
                continue
        end = z + length
        house = not own.chance(district.gap)
        alley = min(own.between(*district.alley), length * 0.4)
        if house:
            storeys = max(district.storeys[0], base + own.count(-1, 1))
            gable = own.chance(district.gable)
            things.append(
                House(
                    side=side,
                    x=line + side * setback,
                    z=z,
                    end=end - alley,
                    tall=storeys * own.between(2.8, 3.5) + 0.4,
                    deep=own.between(7.0, 12.0),
                    rise=own.between(1.6, 3.6) if gable else 0.0,
                    storeys=storeys,
                    wall=own.pick(walls),
                    trim=trim,
                    roof=own.pick(ROOFS),
                    shop=own.chance(district.shop) and setback < 3,
                    dice=own.fork(),
                )
            )
        if own.chance(district.fence if house else max(district.fence, 0.6)) and (setback > 1 or not house):
            if hedged:
                things.append(Hedge(line + side * 0.2, z, end - 0.6, own.between(0.9, 1.8), green, own.fork()))
            else:
                things.append(Fence((line, z), (line, end), tall, kind, color))
            if not house and own.chance(0.5):
                things.append(Fence((line, end), (line + side * 12, end), tall, kind, color))
        number = int(district.trees * (1.0 if house else 1.6) + own.unit())
        for _ in range(number):
            room = (0.8, max(1.2, setback - 0.5)) if house else (1.5, 12.0)
            if house and setback < 2.5:
                break
            x = line + side * own.between(*room)
            things.append(tree(x, own.between(z, end), house, own))
        z = end
    return things


def tree(x: float, z: float, small: bool, dice: Dice) -> Tree:
    """A tree or bush of any kind."""
    shape = dice.pick(("round", "round", "round", "tall", "cone", "bush"))
    tall = dice.between(3.5, 7.0) if small else dice.between(5.0, 13.0)
    wide = tall * {"round": 0.75, "tall": 0.36, "cone": 0.5, "bush": 1.2}[shape] * dice.between(0.8, 1.2)
    if shape == "bush":
        tall, wide = tall * 0.25, wide * 0.28
    return Tree(x, z, tall, wide, shape, dice.pick(GREENS), dice.fork())


def kerbside(road: Road, avenue: float, dice: Dice) -> list[Thing]:
    """Lamps, street trees, signs, bollards and guard rails on the pavements."""
    things: list[Thing] = []
    steel, tall, half = dice.pick(STEEL), dice.between(5.5, 9.5), dice.between(0.07, 0.12)
    sides = (-1, 1) if dice.chance(0.5) else (dice.sign(),)
    if dice.chance(0.85):
        for side in sides:
            z, pace = dice.between(5.0, 18.0), dice.between(18.0, 32.0)
            x = side * (road.half + dice.between(0.5, 0.9))
            while z < 110:
                things.append(Lamp(x, z, tall, -side * dice.between(0.8, 2.2), half, steel))
                z += pace
    if dice.chance(0.25):
        side, z, x = dice.sign(), dice.between(6.0, 16.0), road.half + 1.0
        for k in range(4):
            things.append(Post(side * x, z + 26.0 * k, dice.between(7, 9), 0.13, (104, 84, 66)))
    if dice.chance(avenue):
        pace, shape, green = dice.between(7.0, 14.0), dice.pick(("round", "round", "tall")), dice.pick(GREENS)
        big, wide = dice.between(4.5, 9.0), dice.between(0.5, 0.75)
        for side in (-1, 1) if dice.chance(0.6) else (dice.sign(),):
            z = dice.between(6.0, 14.0)
            while z < 100:
                if not (road.crossing and road.crossing[0] - 1 < z < road.crossing[1] + 1):
                    high = big * dice.between(0.85, 1.15)
                    x = side * (road.half + 1.1)
                    spread = high * wide * (1.0 if shape == "round" else 0.6)
                    things.append(Tree(x, z, high, spread, shape, green, dice.fork()))
                z += pace * dice.between(0.8, 1.3)
    for _ in range(dice.pick((0, 1, 1, 2, 2, 3, 4))):
        side, kind = dice.sign(), dice.pick(("ban", "order", "warn", "park", "guide", "ban", "warn"))
        size = dice.between(0.7, 1.15) * (1.3 if kind == "guide" else 1.0)
        x = side * (road.half + dice.between(0.35, 0.8))
        things.append(Sign(x, dice.between(6.0, 34.0), kind, size, dice.between(1.9, 2.7), dice.fork()))
    stop = road.crossing[0] - 0.6 if road.crossing else road.zebra
    if stop is not None and stop > 4 and dice.chance(0.6):
        for side in (-1, 1):
            things.append(Sign(side * (road.half + 0.5), stop, "signal", 0.95, 2.3, dice.fork()))
        if dice.chance(0.5) and road.crossing:
            over = road.crossing[1] + 1.0
            things.append(Sign(road.drive * (road.half + 0.5), over, "signal", 0.95, 2.4, dice.fork()))
    if dice.chance(0.3):
        side, z = dice.sign(), dice.between(4.0, 14.0)
        for k in range(dice.count(3, 8)):
            things.append(Post(side * (road.half + 0.4), z + 1.8 * k, 1.0, 0.08, dice.pick(STEEL[:3])))
    if dice.chance(0.3):
        side, z, long = dice.sign(), dice.between(1.0, 16.0), dice.between(6.0, 18.0)
        kind, x = dice.pick(("railings", "rail", "railings")), side * (road.half + 0.35)
        things.append(Fence((x, z), (x, z + long), 1.05, kind, dice.pick(METALS)))
    return things


def traffic(road: Road, busy: float, dice: Dice) -> list[Thing]:
    """Cars that drive and park, bicycles, and one that crosses."""
    things: list[Thing] = []
    lane = 2 * road.half / road.lanes
    middle = [-road.half + lane * (k + 0.5) for k in range(road.lanes)]
    rows_of_parked = road.half / road.lanes > 1.9

    def car(x: float, z: float, turn: tuple[float, float], parked: bool) -> Car:
        kind = dice.pick(("hatch", "hatch", "hatch", "saloon", "saloon", "estate", "estate", "van"))
        if not parked and dice.chance(0.10):
            kind = dice.pick(("bus", "lorry"))
        return Car(x, z, turn, kind, dice.pick(PAINTS), dice.fork(), parked)

    for x in middle:
        away = x * road.drive > 0
        z = dice.between(8.0, 40.0) / busy
        while z < 100:
            if dice.chance(0.7):
                wobble = dice.between(-0.05, 0.05)
                direction = 1.0 if away else -1.0
                shift = road.drive * 0.3 if rows_of_parked else 0.0
                things.append(car(x - shift, z, (direction, wobble), False))
            z += dice.between(9.0, 45.0) / busy
    for side in (-1, 1):
        if not dice.chance(0.5 if rows_of_parked else 0.35):
            continue
        z, end = dice.between(4.0, 12.0), dice.between(25.0, 90.0)
        x = side * (road.half - 1.05) if rows_of_parked else side * (road.half + 0.1)
        while z < end:
            blocked = road.crossing is not None and road.crossing[0] - 5 < z < road.crossing[1] + 4
            direction = 1.0 if (side == road.drive) != dice.chance(0.15) else -1.0
            if not blocked and dice.chance(0.8):
                things.append(car(x + dice.between(-0.1, 0.1), z, (direction, 0.0), True))
            z += dice.between(5.4, 7.0)
    if road.crossing is not None and dice.chance(0.5):
        z = sum(road.crossing) / 2 + dice.pick((-1.4, 1.4))
        things.append(car(dice.between(-12.0, 12.0), z, (0.0, float(dice.sign())), False))
    for _ in range(dice.pick((0, 0, 1, 1, 2))):
        side = dice.sign()
        coming = side != road.drive
        x = side * (road.half - dice.between(0.5, 1.3))
        things.append(Bicyclist(x, dice.between(5.0, 22.0), 0, coming, dice.fork()))
    for _ in range(dice.pick((0, 0, 0, 1, 1))):
        x = dice.between(-road.half, road.half) * 1.2
        z = sum(road.crossing) / 2 if road.crossing else dice.between(7.0, 20.0)
        things.append(Bicyclist(x, z, dice.sign(), False, dice.fork()))
    return things


def walkers(road: Road, crowd: float, dice: Dice) -> list[Thing]:
    """People on the pavements, alone or in pairs, and some who cross."""
    things: list[Thing] = []

    def person(x: float, z: float, way: int) -> Pedestrian:
        tall = dice.between(1.05, 1.4) if dice.chance(0.1) else dice.between(1.55, 1.9)
        return Pedestrian(x, z, tall, way, dice.fork())

    for _ in range(int(crowd * dice.between(0.0, 9.0))):
        side = dice.sign()
        wide = road.pavement[side > 0]
        x = side * (road.half + dice.between(0.5, max(0.7, wide - 0.3)))
        z = 4.5 + 40.0 * dice.unit() * dice.unit()
        way = dice.pick((0, 0, -1, 1))
        things.append(person(x, z, way))
        if dice.chance(0.35):
            things.append(person(x + dice.between(0.45, 0.7), z + dice.between(-0.4, 0.4), way))
    if dice.chance(0.35 if road.zebra is not None else 0.12):
        z = (road.zebra + 1.2) if road.zebra is not None else dice.between(9.0, 25.0)
        for _ in range(dice.count(1, 4)):
            x = dice.between(-road.half, road.half)
            things.append(person(x, max(z, 4.5) + dice.between(-0.9, 0.9), dice.sign()))
    return things


def paint_street(brush: Brush, dice: Dice) -> None:
    """Lay the street out, then paint the ground with its shadows and the things from far to near."""
    districts = (dice.pick(DISTRICTS), dice.pick(DISTRICTS))
    if dice.chance(0.5):
        districts = (districts[0], districts[0])
    road = lay_out_road(dice.fork(), districts)
    built = [*plots(-1, districts[0], road, dice.fork()), *plots(1, districts[1], road, dice.fork())]
    small = kerbside(road, 0.35, dice.fork())
    small += traffic(road, dice.between(0.6, 1.6), dice.fork())
    small += walkers(road, dice.between(0.4, 1.2), dice.fork())
    sun = brush.light.sun
    sunny = sum(brush.light.direct) > 0.3
    shadows = [thing.shadow(sun) for thing in built + small] if sunny else []
    shade = paint_ground(brush, road, shadows, dice.fork())
    height, width = shade.shape
    for thing in sorted(built + small, key=lambda thing: -thing.far):
        thing.paint(brush, 1.0)
