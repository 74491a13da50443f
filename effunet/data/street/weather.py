"""The weathers of a scene: what light falls, what lies in the air, what the sky looks like."""

import math
from dataclasses import dataclass

from effunet.data.street.brush import Color, Light
from effunet.data.street.dice import Dice

Factors = tuple[float, float, float]


@dataclass(frozen=True)
class Weather:
    """Pairs are limits; a scene lies somewhere between them, at the same place in each pair."""

    ambient: Factors  # light of the sky on surfaces, red green blue
    direct: Factors  # light of the sun
    air: tuple[Color, Color]  # what distance fades to
    haze: tuple[float, float]  # 1/m
    top: tuple[Color, Color]  # of the sky
    bottom: tuple[Color, Color]
    cloud: tuple[Color, Color]
    cover: tuple[float, float]  # share of clouds
    casts: bool = False
    lamps: bool = False
    wet: bool = False


@dataclass(frozen=True)
class Sky:
    """Colours of the sky above a scene, and the share of it that clouds cover."""

    top: Color
    bottom: Color
    cloud: Color
    cover: float


CLEAR = Weather(
    ambient=(0.52, 0.56, 0.64),
    direct=(0.66, 0.60, 0.50),
    air=((190, 204, 222), (204, 212, 222)),
    haze=(0.002, 0.005),
    top=((62, 112, 188), (116, 152, 196)),
    bottom=((172, 202, 230), (192, 210, 226)),
    cloud=((244, 244, 246), (240, 240, 242)),
    cover=(0.0, 0.6),
    casts=True,
)
OVERCAST = Weather(
    ambient=(0.80, 0.81, 0.83),
    direct=(0.06, 0.06, 0.05),
    air=((170, 172, 175), (220, 222, 225)),
    haze=(0.003, 0.007),
    top=((146, 152, 162), (196, 202, 212)),
    bottom=((190, 192, 194), (240, 242, 244)),
    cloud=((188, 188, 188), (238, 238, 238)),
    cover=(0.6, 0.8),
)
FOG = Weather(
    ambient=(0.74, 0.75, 0.76),
    direct=(0.0, 0.0, 0.0),
    air=((176, 176, 180), (216, 216, 220)),
    haze=(0.012, 0.034),
    top=((168, 170, 176), (208, 210, 216)),
    bottom=((176, 176, 180), (216, 216, 220)),
    cloud=((176, 176, 176), (216, 216, 216)),
    cover=(0.2, 0.2),
)
RAIN = Weather(
    ambient=(0.62, 0.63, 0.66),
    direct=(0.0, 0.0, 0.0),
    air=((120, 122, 126), (170, 172, 176)),
    haze=(0.006, 0.012),
    top=((100, 104, 112), (150, 154, 162)),
    bottom=((140, 142, 146), (190, 192, 196)),
    cloud=((90, 92, 98), (140, 142, 148)),
    cover=(0.7, 0.7),
    wet=True,
)
DUSK = Weather(
    ambient=(0.42, 0.40, 0.48),
    direct=(0.18, 0.12, 0.07),
    air=((160, 132, 124), (140, 124, 136)),
    haze=(0.003, 0.006),
    top=((52, 62, 104), (76, 84, 120)),
    bottom=((222, 158, 112), (196, 150, 140)),
    cloud=((150, 112, 116), (120, 104, 122)),
    cover=(0.3, 0.7),
    lamps=True,
)
GLARE = Weather(  # a camera that looks at the street, not at the clouds: they burn out
    ambient=(0.92, 0.91, 0.90),
    direct=(0.0, 0.0, 0.0),
    air=((224, 224, 224), (255, 255, 255)),
    haze=(0.002, 0.006),
    top=((240, 244, 250), (255, 255, 255)),
    bottom=((252, 252, 252), (255, 255, 255)),
    cloud=((246, 246, 248), (255, 255, 255)),
    cover=(0.3, 0.8),
)
GLOOM = Weather(  # the other way round: clouds with all their tones over a dark street
    ambient=(0.26, 0.27, 0.29),
    direct=(0.0, 0.0, 0.0),
    air=((60, 64, 68), (104, 108, 112)),
    haze=(0.002, 0.005),
    top=((92, 100, 112), (150, 158, 170)),
    bottom=((150, 154, 158), (216, 220, 224)),
    cloud=((104, 108, 114), (176, 180, 184)),
    cover=(0.4, 0.8),
)
WEATHERS = (CLEAR, CLEAR, CLEAR, OVERCAST, OVERCAST, FOG, RAIN, DUSK, GLARE, GLARE, GLOOM)
"""As often as they stand here."""


def draw_weather(dice: Dice) -> tuple[Light, Sky]:
    """A weather with its sun somewhere in the sky, never behind the end of the street."""
    weather, t = dice.pick(WEATHERS), dice.unit()
    x, y, z = dice.between(-1.0, 1.0), dice.between(0.35, 1.1), dice.between(-1.0, 0.8)
    norm = math.sqrt(x * x + y * y + z * z)

    def color(pair: tuple[Color, Color]) -> Color:
        red, green, blue = (int(a + (b - a) * t) for a, b in zip(*pair, strict=True))
        return red, green, blue

    light = Light(
        ambient=weather.ambient,
        direct=weather.direct,
        sun=(x / norm, y / norm, z / norm),
        air=color(weather.air),
        haze=weather.haze[0] + (weather.haze[1] - weather.haze[0]) * t,
        casts=weather.casts,
        lamps=weather.lamps,
        wet=weather.wet,
    )
    cover = dice.between(*weather.cover)
    return light, Sky(color(weather.top), color(weather.bottom), color(weather.cloud), cover)
