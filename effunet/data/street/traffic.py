"""The carriageway: cars that drive, park and cross, and bicyclists."""

from effunet.data.street.brush import Thing
from effunet.data.street.cars import PAINTS, Car
from effunet.data.street.dice import Dice
from effunet.data.street.ground import Road
from effunet.data.street.kerbside import in_view
from effunet.data.street.people import Bicyclist


def traffic(road: Road, eye: float, dice: Dice) -> list[Thing]:
    """All that has wheels; `eye` is the x that it is seen from."""
    cars = [*drivers(road, dice.fork()), *parkers(road, dice.fork())]
    return [*cars, *riders(road, eye, dice.fork())]


def free_half(road: Road) -> float:
    """Half of the carriageway that is left to drive on."""
    return road.half - (2.0 if road.parking else 0.0)


def make(dice: Dice, x: float, z: float, turn: tuple[float, float], parked: bool) -> Car:
    """A car of a kind and colour that are common; buses and lorries do not park."""
    kind = dice.pick(("hatch", "hatch", "hatch", "saloon", "saloon", "estate", "estate", "van"))
    if not parked and dice.chance(0.10):
        kind = dice.pick(("bus", "lorry"))
    return Car(x, z, turn, kind, dice.pick(PAINTS), dice.fork(), parked)


def drivers(road: Road, dice: Dice) -> list[Thing]:
    """Cars in every lane, and perhaps one that comes out of the crossing street."""
    things: list[Thing] = []
    busy = dice.between(0.6, 1.6)
    for k in range(road.lanes):
        x = free_half(road) * ((2 * k + 1) / road.lanes - 1.0)
        way = 1.0 if x * road.drive > 0 or road.lanes == 1 else -1.0
        z = 9.0 + dice.between(0.0, 40.0) / busy
        while z < 100:
            if dice.chance(0.7):
                things.append(make(dice, x, z, (way, dice.between(-0.05, 0.05)), False))
            z += dice.between(9.0, 45.0) / busy
    if road.crossing is not None and dice.chance(0.5):
        z = sum(road.crossing) / 2 + dice.pick((-1.4, 1.4))
        turn = (0.0, float(dice.sign()))
        things.append(make(dice, dice.between(-12.0, 12.0), z, turn, False))
    return things


def parkers(road: Road, dice: Dice) -> list[Thing]:
    """Rows of parked cars: in their strip, or half on the pavement."""
    things: list[Thing] = []
    for side in (-1, 1):
        z, end = dice.between(5.0, 20.0), dice.between(25.0, 90.0)
        if not dice.chance(0.75 if road.parking else 0.15):
            continue
        x = side * (road.half - 1.05 if road.parking else road.half + 0.1)
        while z < end:
            way = 1.0 if (side == road.drive) != dice.chance(0.15) else -1.0
            blocked = road.crossing is not None and road.crossing[0] - 5 < z < road.crossing[1] + 4
            if not blocked and dice.chance(0.8):
                things.append(make(dice, x + dice.between(-0.1, 0.1), z, (way, 0.0), True))
            z += dice.between(5.4, 7.0)
    return things


def riders(road: Road, eye: float, dice: Dice) -> list[Thing]:
    """Bicyclists along the kerbs and across."""
    things: list[Thing] = []
    for _ in range(dice.pick((0, 0, 1, 1, 2))):
        side = dice.pick((road.drive, road.drive, -road.drive))
        x = side * (free_half(road) - dice.between(0.3, 0.9))
        z = in_view(x, eye) + 14.0 * dice.unit() * dice.unit()
        things.append(Bicyclist(x, z, 0, side != road.drive, dice.fork()))
    for _ in range(dice.pick((0, 0, 0, 1, 1))):
        x, near = dice.between(-road.half, road.half) * 1.2, dice.between(6.5, 16.0)
        z = near if road.crossing is None else min(sum(road.crossing) / 2, 25.0)
        things.append(Bicyclist(x, z, dice.sign(), False, dice.fork()))
    return things
