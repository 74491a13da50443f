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


def kerbside(road: Road, dice: Dice) -> list[Thing]:
    """All that is fixed beside the kerbs."""
    parts = (lamps, avenue, signs, signals, barriers)
    return [thing for part in parts for thing in part(road, dice.fork())]


def lamps(road: Road, dice: Dice) -> list[Thing]:
    """Street lamps at one side or both, and at times a row of wooden poles."""
    things: list[Thing] = []
    steel, tall, half = dice.pick(STEEL), dice.between(5.5, 9.5), dice.between(0.07, 0.12)
    for side in (-1, 1) if dice.chance(0.5) else (dice.sign(),):
        z, pace = dice.between(5.0, 18.0), dice.between(18.0, 32.0)
        x = side * (road.half + dice.between(0.5, 0.9))
        while z < 110:
            things.append(Lamp(x, z, tall, -side * dice.between(0.8, 2.2), half, steel))
            z += pace
    if dice.chance(0.15):
        side, z, tall = dice.sign(), dice.between(8.0, 20.0), dice.between(7.0, 9.0)
        x = side * (road.half + 1.2)
        things += [Post(x, z + 26.0 * k, tall, 0.11, (104, 84, 66)) for k in range(4)]
    return things if dice.chance(0.9) else []


def avenue(road: Road, dice: Dice) -> list[Thing]:
    """Trees of one kind in a row, in a third of the streets."""
    things: list[Thing] = []
    if not dice.chance(0.35):
        return things
    shape, green = dice.pick(("round", "tall", "bare")), dice.pick(GREENS)
    pace, tall = dice.between(7.0, 14.0), dice.between(4.5, 9.0)
    wide = dice.between(0.3, 0.45) if shape == "tall" else dice.between(0.5, 0.75)
    for side in (-1, 1) if dice.chance(0.6) else (dice.sign(),):
        z = dice.between(6.0, 14.0)
        while z < 100:
            high = tall * dice.between(0.85, 1.15)
            if road.crossing is None or not road.crossing[0] - 1 < z < road.crossing[1] + 1:
                x = side * (road.half + 1.1)
                things.append(Tree(x, z, high, high * wide, shape, green, dice.fork()))
            z += pace * dice.between(0.8, 1.3)
    return things


def signs(road: Road, dice: Dice) -> list[Thing]:
    """Up to four traffic signs."""
    things: list[Thing] = []
    for _ in range(dice.pick((0, 1, 1, 2, 2, 3, 4))):
        kind = dice.pick(("ban", "order", "warn", "park", "guide", "ban", "warn"))
        size = dice.between(0.7, 1.15) * (1.3 if kind == "guide" else 1.0)
        x = dice.sign() * (road.half + dice.between(0.35, 0.8))
        z, foot = dice.between(6.0, 34.0), dice.between(1.9, 2.7)
        things.append(Sign(x, z, kind, size, foot, dice.fork()))
    return things


def signals(road: Road, dice: Dice) -> list[Thing]:
    """Traffic lights before a crossing street or a zebra."""
    stop = road.crossing[0] - 0.6 if road.crossing else road.zebra
    if stop is None or stop < 4 or not dice.chance(0.6):
        return []
    x = road.half + 0.5
    places = [(-x, stop), (x, stop)]
    if road.crossing and dice.chance(0.5):
        places.append((road.drive * x, road.crossing[1] + 1.0))
    return [Sign(x, z, "signal", 0.95, 2.3, dice.fork()) for x, z in places]


def barriers(road: Road, dice: Dice) -> list[Thing]:
    """Bollards, and railings or a guard rail, right at the kerb."""
    things: list[Thing] = []
    if dice.chance(0.3):
        x, z, steel = dice.sign() * (road.half + 0.4), dice.between(4.0, 14.0), dice.pick(STEEL)
        things += [Post(x, z + 1.8 * k, 1.0, 0.08, steel) for k in range(dice.count(3, 8))]
    if dice.chance(0.3):
        x, z, long = dice.sign() * (road.half + 0.35), dice.between(1.0, 16.0), dice.between(6, 18)
        kind, color = dice.pick(("railings", "rail", "railings")), dice.pick(METALS)
        things.append(Fence(x, z, x, z + long, 1.05, kind, color))
    return things


def in_view(x: float, eye: float) -> float:
    """About the least distance at which a place x is seen by an eye at `eye`."""
    return 4.5 + 1.9 * max(0.0, abs(x - eye) - 1.5)


def walkers(road: Road, eye: float, dice: Dice) -> list[Thing]:
    """People on the pavements, alone or in pairs, and some who cross."""
    things: list[Thing] = []

    def person(x: float, z: float, way: int) -> Pedestrian:
        tall = dice.between(1.05, 1.4) if dice.chance(0.1) else dice.between(1.55, 1.9)
        return Pedestrian(x, z, tall, way, dice.fork())

    for _ in range(int(dice.between(0.4, 1.2) * dice.between(0.0, 10.0))):
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
