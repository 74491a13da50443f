"""A whole street: laid out side by side, then painted from far to near."""

from collections.abc import Sequence

from effunet.data.street.brush import Brush, Thing
from effunet.data.street.camera import Points
from effunet.data.street.cars import Car
from effunet.data.street.dice import Dice
from effunet.data.street.ground import BLOCKED, CAST, CONTACT, Road, paint_ground, reflect
from effunet.data.street.kerbside import kerbside, walkers
from effunet.data.street.plots import DISTRICTS, District, plots
from effunet.data.street.traffic import traffic


def paint_street(brush: Brush, dice: Dice) -> None:
    """Lay the street out, paint the ground with its shadows, then the things from far to near."""
    districts = (dice.pick(DISTRICTS), dice.pick(DISTRICTS))
    if dice.chance(0.5):
        districts = (districts[0], districts[0])
    road = lay_out_road(dice.fork(), districts, 1 if brush.camera.offset > 0 else -1)
    built = [
        *plots(-1, districts[0], road, dice.fork()),
        *plots(1, districts[1], road, dice.fork()),
    ]
    eye = brush.camera.offset
    small = [
        *kerbside(road, dice.fork()),
        *traffic(road, eye, dice.fork()),
        *walkers(road, eye, dice.fork()),
    ]
    small = without_collisions(small)
    sun = brush.light.sun
    shadows: list[tuple[int, list[Points]]] = []
    if brush.light.casts:
        shadows = [(CAST, [thing.shadow(sun) for thing in small])]
        shadows.append((BLOCKED, [thing.shadow(sun) for thing in built]))
    shadows.append((CONTACT, [thing.footprint() for thing in small if isinstance(thing, Car)]))
    shade = paint_ground(brush, road, shadows, dice.fork())
    height, width = shade.shape
    for thing in sorted([*built, *small], key=lambda thing: -thing.far):
        spot = brush.camera.spot(thing.x, thing.z)
        column, row = int(spot.column), int(spot.row)
        inside = 0 <= column < width and 0 <= row < height
        thing.paint(brush, 0.1 if inside and shade[row, column] == BLOCKED else 1.0)
    if brush.light.wet:
        reflect(brush)


def without_collisions(things: list[Thing]) -> list[Thing]:
    """Leave out whoever stands inside a vehicle that was there before; vehicles come first."""
    taken: list[tuple[float, float, float, float]] = []
    kept: list[Thing] = []
    for thing in sorted(things, key=lambda thing: not isinstance(thing, Car)):
        wide, long = thing.room if isinstance(thing, Car) else (0.3, 0.4)
        if any(abs(thing.x - x) < wide + a and abs(thing.z - z) < long + b for x, z, a, b in taken):
            continue
        kept.append(thing)
        if isinstance(thing, Car):
            taken.append((thing.x, thing.z, wide, long))
    return kept


def lay_out_road(dice: Dice, districts: Sequence[District], drive: int) -> Road:
    """Draw the cross-section: lanes, pavements, a crossing street, a zebra."""
    lanes = dice.pick((1, 2, 2, 2, 2, 2, 3, 4))
    parking = dice.chance(0.6 if lanes == 1 else 0.35)
    half = (
        lanes * dice.between(1.35, 1.65)
        + (0.4 if lanes == 1 else 0.0)
        + (2.0 if parking else dice.between(0.0, 0.5))
    )
    crossing = None
    if dice.chance(0.45):
        start = dice.between(12.0, 60.0)
        crossing = (start, start + dice.between(6.0, 11.0))
    zebra = None
    if dice.chance(0.35):
        zebra = crossing[0] - 5.0 if crossing is not None else dice.between(7.0, 35.0)
    grey, warm = dice.between(82, 142), dice.between(-4, 6)
    pave, tint = dice.between(84, 190), dice.between(-4, 14)
    white = dice.between(196, 236)
    greens = [dice.pick(((104, 118, 62), (88, 108, 56), (122, 124, 74))) for _ in range(2)]
    verge = tuple(
        g if dice.chance(d.grass) else None for g, d in zip(greens, districts, strict=True)
    )
    return Road(
        half=half,
        pavement=(dice.between(1.6, 4.6), dice.between(1.6, 4.6)),
        lanes=lanes,
        drive=drive,
        parking=parking,
        asphalt=(int(grey + warm), int(grey + warm / 2), int(grey)),
        paving=(int(pave + tint / 2), int(pave), int(pave - tint)),
        verge=(verge[0], verge[1]),
        crossing=crossing,
        zebra=zebra,
        paint=(int(white), int(white), int(white * 0.96)),
    )
