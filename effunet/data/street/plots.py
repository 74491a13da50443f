"""The two sides of a street: houses, gardens, fences and trees, plot by plot."""

from dataclasses import dataclass

from effunet.data.street.brush import Color, Thing
from effunet.data.street.dice import Dice
from effunet.data.street.fences import Fence
from effunet.data.street.ground import FAR, Road
from effunet.data.street.houses import House
from effunet.data.street.plants import GREENS, Hedge, Tree


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
    District((8, 18), (3, 7), 0.08, (0, 0), (0, 0), 0.2, 0.6, 0.12, 0.2, 0.0),  # town
    District((6, 10), (2, 3), 0.08, (0, 0.5), (0, 3), 0.85, 0.3, 0.4, 0.3, 0.1),  # terraces
    District((8, 13), (1, 2), 0.15, (2, 6), (3, 8), 0.95, 0.0, 0.8, 1.2, 0.7),  # suburb
    District((16, 34), (2, 7), 0.25, (3, 10), (2, 9), 0.05, 0.15, 0.5, 1.0, 0.5),  # blocks
    District((9, 14), (1, 3), 0.85, (4, 10), (4, 10), 0.7, 0.0, 0.7, 2.2, 1.0),  # park
)

WALLS: tuple[Color, ...] = (
    (152, 92, 72), (134, 78, 62), (172, 120, 92), (196, 178, 146), (206, 198, 182),
    (180, 160, 128), (168, 164, 158), (128, 122, 116), (214, 206, 198), (186, 146, 108),
    (150, 132, 110), (120, 92, 80), (196, 190, 160), (140, 150, 158),
)  # fmt: skip
TRIMS: tuple[Color, ...] = (
    (216, 212, 204),
    (190, 184, 172),
    (230, 228, 224),
    (120, 112, 104),
    (84, 80, 76),
)
ROOFS: tuple[Color, ...] = ((112, 66, 52), (86, 84, 88), (140, 82, 60), (70, 66, 66), (100, 92, 84))
WOODS: tuple[Color, ...] = (
    (132, 100, 70),
    (104, 80, 62),
    (190, 186, 178),
    (92, 96, 92),
    (148, 124, 92),
)
METALS: tuple[Color, ...] = (
    (40, 46, 44),
    (60, 64, 66),
    (110, 114, 116),
    (36, 60, 48),
    (140, 144, 146),
)


def plots(side: int, district: District, road: Road, dice: Dice) -> list[Thing]:
    """Houses, gardens, fences and trees of one side, from beside us to the far end."""
    things: list[Thing] = []
    line = road.edge(side)
    z = dice.between(-18.0, 0.0)
    setback = dice.between(*district.setback)
    walls = [dice.pick(WALLS) for _ in range(3)]
    base, green = dice.count(*district.storeys), dice.pick(GREENS)
    trim, kind = dice.pick(TRIMS), dice.pick(("boards", "pickets", "railings", "walled"))
    color = dice.pick(METALS if kind in ("railings", "walled") else WOODS)
    tall = {"boards": 1.7, "pickets": 1.1, "railings": 1.3, "walled": 1.8}[kind] * dice.between(
        0.85, 1.2
    )
    hedged = dice.chance(0.35)
    while z < FAR:
        own = dice.fork()
        length = own.between(*district.length) + own.between(*district.alley)
        if (
            road.crossing is not None
            and z < road.crossing[1] + 2
            and z + length > road.crossing[0] - 2
        ):
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
                    banded=own.chance(0.3),
                    dice=own.fork(),
                )
            )
        if own.chance(district.fence if house else max(district.fence, 0.6)) and (
            setback > 1 or not house
        ):
            if hedged:
                things.append(
                    Hedge(line + side * 0.2, z, end - 0.6, own.between(0.9, 1.8), green, own.fork())
                )
            else:
                things.append(Fence(line, z, line, end, tall, kind, color))
            if not house and own.chance(0.5):
                things.append(Fence(line, end, line + side * 12, end, tall, kind, color))
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
    shape = dice.pick(("round", "round", "bare", "bare", "tall", "cone", "bush"))
    tall = dice.between(3.5, 7.0) if small else dice.between(5.0, 13.0)
    wide = (
        tall
        * {"round": 0.75, "bare": 0.8, "tall": 0.36, "cone": 0.5, "bush": 1.2}[shape]
        * dice.between(0.8, 1.2)
    )
    if shape == "bush":
        tall, wide = tall * 0.25, wide * 0.28
    return Tree(x, z, tall, wide, shape, dice.pick(GREENS), dice.fork())
