"""The pavements: lamps, poles, street trees, signs, bollards, guard rails and people who walk."""

from effunet.data.street.brush import Thing
from effunet.data.street.dice import Dice
from effunet.data.street.fences import Fence
from effunet.data.street.ground import Road
from effunet.data.street.people import Pedestrian
from effunet.data.street.plants import GREENS, Tree
from effunet.data.street.plots import METALS
from effunet.data.street.posts import STEEL, Lamp, Post
from effunet.data.street.signs import Sign


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
    if dice.chance(0.15):
        side, z, x = dice.sign(), dice.between(8.0, 20.0), road.half + 1.2
        for k in range(4):
            things.append(Post(side * x, z + 26.0 * k, dice.between(7, 9), 0.11, (104, 84, 66)))
    if dice.chance(avenue):
        pace, shape, green = (
            dice.between(7.0, 14.0),
            dice.pick(("round", "round", "tall")),
            dice.pick(GREENS),
        )
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
        side, kind = (
            dice.sign(),
            dice.pick(("ban", "order", "warn", "park", "guide", "ban", "warn")),
        )
        size = dice.between(0.7, 1.15) * (1.3 if kind == "guide" else 1.0)
        x = side * (road.half + dice.between(0.35, 0.8))
        things.append(
            Sign(x, dice.between(6.0, 34.0), kind, size, dice.between(1.9, 2.7), dice.fork())
        )
    stop = road.crossing[0] - 0.6 if road.crossing else road.zebra
    if stop is not None and stop > 4 and dice.chance(0.6):
        for side in (-1, 1):
            things.append(Sign(side * (road.half + 0.5), stop, "signal", 0.95, 2.3, dice.fork()))
        if dice.chance(0.5) and road.crossing:
            over = road.crossing[1] + 1.0
            things.append(
                Sign(road.drive * (road.half + 0.5), over, "signal", 0.95, 2.4, dice.fork())
            )
    if dice.chance(0.3):
        side, z = dice.sign(), dice.between(4.0, 14.0)
        for k in range(dice.count(3, 8)):
            things.append(
                Post(side * (road.half + 0.4), z + 1.8 * k, 1.0, 0.08, dice.pick(STEEL[:3]))
            )
    if dice.chance(0.3):
        side, z, long = dice.sign(), dice.between(1.0, 16.0), dice.between(6.0, 18.0)
        kind, x = dice.pick(("railings", "rail", "railings")), side * (road.half + 0.35)
        things.append(Fence(x, z, x, z + long, 1.05, kind, dice.pick(METALS)))
    return things


def in_view(x: float, eye: float) -> float:
    """About the least distance at which a place x is seen by an eye at `eye`."""
    return 4.5 + 1.9 * max(0.0, abs(x - eye) - 1.5)


def walkers(road: Road, eye: float, crowd: float, dice: Dice) -> list[Thing]:
    """People on the pavements, alone or in pairs, and some who cross."""
    things: list[Thing] = []

    def person(x: float, z: float, way: int) -> Pedestrian:
        tall = dice.between(1.05, 1.4) if dice.chance(0.1) else dice.between(1.55, 1.9)
        return Pedestrian(x, z, tall, way, dice.fork())

    for _ in range(int(crowd * dice.between(0.0, 8.0))):
        side = dice.sign()
        wide = road.pavement[side > 0]
        x = side * (road.half + dice.between(0.5, max(0.7, wide - 0.3)))
        z = in_view(x, eye) + 35.0 * dice.unit() * dice.unit()
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
