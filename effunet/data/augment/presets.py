"""The augmentation presets as data: what may happen to a training sample, how often, how strongly.

augment.py carries them out; docs/augmentation.md is made from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from effunet.data.augment.colour import Colour
from effunet.labels import IGNORE

GREY = 114
"""Value of new image pixels in every channel: near the mean of photographs, so no edge to learn."""


@dataclass(frozen=True)
class Step:
    """One transform of albumentations on the finished crop."""

    name: str  # its class in albumentations
    chance: float  # probability that it happens at all
    why: str
    arguments: Mapping[str, Any]
    rgb: bool = False  # needs red, green and blue: left out for other numbers of channels


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Ranges of the geometry, then of the colours, then the steps on the crop, in their order."""

    about: str
    scale: tuple[float, float] = (1.0, 1.0)  # size of the image, 1 = its own; uniform
    flip: float = 0.0  # probability of a left-right mirror
    rotation: float = 0.0  # degrees either way; uniform
    colour: Colour | None = None  # of RGB images; others keep their values
    steps: tuple[Step, ...] = ()


def _colour(chance: float, strength: float, hue: float) -> Colour:
    span = (round(1 - strength, 2), round(1 + strength, 2))
    return Colour(chance, brightness=span, contrast=span, saturation=span, hue=(-hue, hue))


def _blur(chance: float, sigma: float) -> Step:
    # blur_limit 0: the kernel's size follows from sigma.
    arguments = {"blur_limit": 0, "sigma_limit": (0.3, sigma)}
    return Step("GaussianBlur", chance, "out of focus; sigma in pixels", arguments)


def _noise(chance: float, deviation: float) -> Step:
    return Step(
        "GaussNoise",
        chance,
        "sensor noise; deviation as a share of 255",
        {"std_range": (0.01, deviation)},
    )


PRESETS: dict[str, Preset] = {
    "none": Preset(about="Only the crop, at a random place; without a crop the image as it is."),
    "light": Preset(
        about="For a first try, for small differences, and where colour carries the meaning.",
        scale=(0.75, 1.5),
        flip=0.5,
        steps=(
            Step(
                "RandomBrightnessContrast",
                0.5,
                "exposure",
                {"brightness_limit": (-0.15, 0.15), "contrast_limit": (-0.15, 0.15)},
            ),
        ),
    ),
    "street": Preset(
        about="For road scenes and most photographs; up stays up.",
        scale=(0.5, 2.0),
        flip=0.5,
        colour=_colour(0.8, 0.3, hue=0.03),
        steps=(_blur(0.05, sigma=1.2), _noise(0.05, deviation=0.04)),
    ),
    "strong": Preset(
        about="For few images, long trainings, or a target that looks unlike the training images.",
        scale=(0.5, 2.0),
        flip=0.5,
        rotation=10.0,
        colour=_colour(0.9, 0.4, hue=0.06),
        steps=(
            Step("RandomToneCurve", 0.2, "camera response", {"scale": 0.15}),
            Step("ToGray", 0.05, "shape without colour", {}, rgb=True),
            Step(
                "RandomShadow",
                0.15,
                "shadows on the lower part",
                {
                    "shadow_roi": (0.0, 0.4, 1.0, 1.0),
                    "num_shadows_limit": (1, 2),
                    "shadow_intensity_range": (0.3, 0.6),
                },
            ),
            _blur(0.1, sigma=1.6),
            # A shifted kernel would move the picture, but not its mask.
            Step(
                "MotionBlur",
                0.1,
                "a moving camera; kernel in pixels",
                {"blur_limit": (3, 7), "allow_shifted": False},
            ),
            _noise(0.1, deviation=0.06),
            Step(
                "ImageCompression",
                0.2,
                "JPEG of that quality",
                {"compression_type": "jpeg", "quality_range": (30, 90)},
                rgb=True,
            ),
            Step(
                "CoarseDropout",
                0.3,
                "something in the way; shares of the crop, hidden pixels are not asked for",
                {
                    "num_holes_range": (1, 4),
                    "hole_height_range": (0.05, 0.15),
                    "hole_width_range": (0.05, 0.15),
                    "fill": GREY,
                    "fill_mask": IGNORE,
                },
            ),
        ),
    ),
}


def markdown() -> str:
    """docs/augmentation.md: `python -m effunet.data.augment.presets > docs/augmentation.md`."""
    return "\n".join([_HEAD, *(_section(name, preset) for name, preset in PRESETS.items())])


_HEAD = f"""\
# Augmentation

Made from `PRESETS` by `python -m effunet.data.augment.presets`; do not edit.

Every draw is a function of (seed, epoch, index of the image): the same for any number of workers
and processes, and after a resume.

First the geometry, as one affine map from the crop into the image: scale, place, rotation, mirror;
bilinear for the image, nearest for the mask. Pixels from outside the image are grey ({GREY}, until
the colour steps) and their label is ignore ({IGNORE}), never a class. The crop lies anywhere inside
the scaled image; where that is smaller than the crop, the image lies anywhere inside the crop.
Nothing is smoothed before, so scales below 0.5 alias. Without a rotation, the window that the crop
shows is moved to whole pixels and resized, which costs a quarter of a warp: its place differs from
the drawn one by up to half a pixel, its scale by up to half a pixel over its length, and nothing
from outside the window is blended into its edges.

Then the colours, as one 3 x 4 matrix on red, green and blue: brightness, then contrast about the
crop's mean grey, then saturation, then hue. The hue turns about the grey axis and not in HSV, so
that greys stay grey and red + green + blue stays the same. One pass instead of four.

Then the steps of the table, on the crop only, in this order, each with its own chance, by
albumentations on uint8 pixels. Colours and the steps marked RGB are left out for images that do not
have three channels. Ranges are uniform.

albumentations' fog is not used: it takes 20 ms on a crop of 288 x 288, and the colours 0.05.
"""


def _section(name: str, preset: Preset) -> str:
    rows = [
        ("scale", "", "size of the image", f"{preset.scale[0]:g} to {preset.scale[1]:g}"),
        ("place", "", "of the crop", "anywhere"),
        ("mirror", f"{preset.flip:.0%}", "left to right", ""),
        ("rotation", "", "about the crop's middle", f"{preset.rotation:g} degrees either way"),
    ]
    if (colour := preset.colour) is not None:
        facts = {key: getattr(colour, key) for key in ("brightness", "contrast", "saturation")}
        ranges = "; ".join(f"{key} {_range(value)}" for key, value in facts.items())
        ranges += f"; hue {_range(colour.hue)} turns about the grey axis"
        why = "time of day, white balance, camera"
        rows.append(("fused colour (RGB)", f"{colour.chance:.0%}", why, ranges))
    for step in preset.steps:
        ranges = "; ".join(f"{key} {_range(value)}" for key, value in step.arguments.items())
        title = step.name + (" (RGB)" if step.rgb else "")
        rows.append((title, f"{step.chance:.0%}", step.why, ranges))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    head = "| step | chance | what | range |\n|---|---|---|---|"
    return f"## {name}\n\n{preset.about}\n\n{head}\n{table}\n"


def _range(value: Any) -> str:
    return " to ".join(f"{bound:g}" for bound in value) if len(np.shape(value)) else str(value)


if __name__ == "__main__":
    print(markdown(), end="")
