"""The carriageway: cars that drive, park and cross, and bicyclists."""

from effunet.data.street.brush import Thing
from effunet.data.street.cars import PAINTS, Car
from effunet.data.street.dice import Dice
from effunet.data.street.ground import Road
from effunet.data.street.kerbside import in_view
from effunet.data.street.people import Bicyclist


def traffic(road: Road, eye: float, busy: float, dice: Dice) -> list[Thing]:
    """Cars that drive and park, bicycles, and one that crosses."""
    things: list[Thing] = []
    free = road.half - (2.0 if road.parking else 0.0)
    middle = [free * ((2 * k + 1) / road.lanes - 1.0) for k in range(road.lanes)]

    def car(x: float, z: float, turn: tuple[float, float], parked: bool) -> Car:
        kind = dice.pick(("hatch", "hatch", "hatch", "saloon", "saloon", "estate", "estate", "van"))
        if not parked and dice.chance(0.10):
            kind = dice.pick(("bus", "lorry"))
        return Car(x, z, turn, kind, dice.pick(PAINTS), dice.fork(), parked)

    for x in middle:
        away = x * road.drive > 0 or road.lanes == 1
        z = 9.0 + dice.between(0.0, 40.0) / busy
        while z < 100:
            if dice.chance(0.7):
                wobble = dice.between(-0.05, 0.05)
                direction = 1.0 if away else -1.0
                things.append(car(x, z, (direction, wobble), False))
            z += dice.between(9.0, 45.0) / busy
    for side in (-1, 1):
        if not dice.chance(0.75 if road.parking else 0.15):
            continue
        z, end = dice.between(5.0, 20.0), dice.between(25.0, 90.0)
        x = side * (road.half - 1.05) if road.parking else side * (road.half + 0.1)
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
        side = dice.pick((road.drive, road.drive, -road.drive))
        coming = side != road.drive
        x = side * (free - dice.between(0.3, 0.9))
        z = in_view(x, eye) + 14.0 * dice.unit() * dice.unit()
        things.append(Bicyclist(x, z, 0, coming, dice.fork()))
    for _ in range(dice.pick((0, 0, 0, 1, 1))):
        x = dice.between(-road.half, road.half) * 1.2
        z = min(sum(road.crossing) / 2, 25.0) if road.crossing else dice.between(6.5, 16.0)
        things.append(Bicyclist(x, z, dice.sign(), False, dice.fork()))
    return things
