"""An image, its mask and a seed in; a crop to learn from out, the same for one seed everywhere.

Geometry comes first and is one affine map from the crop back into the image (scale, place, rotation
and mirror at once), so no pixel outside the crop is ever touched; albumentations then works on the
crop alone. What lies outside the image is grey in the crop and IGNORE in its mask, never class 0.
"""

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from math import cos, radians, sin
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from effunet.errors import UsageError
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
    """Ranges of the geometry, then the steps on the crop, in their order."""

    about: str
    scale: tuple[float, float] = (1.0, 1.0)  # size of the image, 1 = its own; uniform
    flip: float = 0.0  # probability of a left-right mirror
    rotation: float = 0.0  # degrees either way; uniform
    steps: tuple[Step, ...] = ()


def _colour(chance: float, strength: float, hue: float) -> Step:
    span = (round(1 - strength, 2), round(1 + strength, 2))
    return Step(
        "ColorJitter",
        chance,
        "time of day, white balance, camera",
        {"brightness": span, "contrast": span, "saturation": span, "hue": (-hue, hue)},
        rgb=True,
    )


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
        steps=(_colour(0.8, 0.3, hue=0.03), _blur(0.05, sigma=1.2), _noise(0.05, deviation=0.04)),
    ),
    "strong": Preset(
        about="For few images, long trainings, or a target that looks unlike the training images.",
        scale=(0.5, 2.0),
        flip=0.5,
        rotation=10.0,
        steps=(
            _colour(0.9, 0.4, hue=0.06),
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


@dataclass(frozen=True)
class Augment:
    """Draws a training sample: `augment(image, mask, seed) -> (image, mask)`.

    `crop` is the (height, width) of the result, None for the image's own size. `scale` replaces the
    preset's range. Pixels are uint8 all the way. Two calls with one seed give equal bytes, whatever
    was called before, in whichever process.
    """

    preset: str
    crop: tuple[int, int] | None = None
    scale: tuple[float, float] | None = None
    channels: int = 3
    _photometric: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(
                f"no preset is called {self.preset!r}: use one of {', '.join(PRESETS)}"
            )
        if self.crop is not None and min(self.crop) < 1:
            raise ValueError(f"crop is (height, width) in pixels, at least 1, got {self.crop}")
        low, high = self.scale or PRESETS[self.preset].scale
        if not 0 < low <= high:
            raise ValueError(f"scale is a range (low, high) of positive factors, got {self.scale}")
        object.__setattr__(self, "_photometric", _compose(PRESETS[self.preset], self.channels))

    def __call__(
        self, image: UInt8[ndarray, "H W C"], mask: UInt8[ndarray, "H W"], seed: int
    ) -> tuple[UInt8[ndarray, "h w C"], UInt8[ndarray, "h w"]]:
        """Every draw is a function of `seed`, any integer from 0 up."""
        if image.shape[2] != self.channels:
            raise ValueError(f"made for {self.channels} channels, got an image of {image.shape[2]}")
        draw = np.random.default_rng(seed)
        height, width = self.crop or mask.shape
        to_image = self._draw_map(draw, mask.shape, (height, width))
        image = _warp(image, to_image, (height, width), cv2.INTER_LINEAR, GREY)
        mask = _warp(mask, to_image, (height, width), cv2.INTER_NEAREST, IGNORE)
        # One generator for all steps. Compose.set_random_seed gives each step an own one of the
        # same seed (2.0.8), so that all would draw alike: blurred exactly when also noisy.
        self._photometric.set_random_state(draw, random.Random(seed))
        result = self._photometric(image=image, mask=mask)
        return result["image"], result["mask"]

    def _draw_map(
        self, draw: np.random.Generator, size: tuple[int, int], crop: tuple[int, int]
    ) -> Float[ndarray, "2 3"]:
        """Map (x, y, 1) of a crop's pixel to (x, y) in the image."""
        preset = PRESETS[self.preset]
        scale = draw.uniform(*(self.scale or preset.scale))
        angle = radians(draw.uniform(-preset.rotation, preset.rotation))
        mirror = -1.0 if draw.random() < preset.flip else 1.0
        top, left = (
            _place(draw, round(scale * length), cut) for length, cut in zip(size, crop, strict=True)
        )
        middle_y, middle_x = (crop[0] - 1) / 2, (crop[1] - 1) / 2
        # Mirrored and turned about the crop's middle, placed in the scaled image, then scaled back.
        # A pixel's middle is at + 0.5, which keeps image and mask aligned at every scale.
        centre = np.array([[1, 0, -middle_x], [0, 1, -middle_y], [0, 0, 1]])
        turn = np.array(
            [[mirror * cos(angle), -sin(angle), 0], [mirror * sin(angle), cos(angle), 0], [0, 0, 1]]
        )
        put = np.array([[1, 0, middle_x + left + 0.5], [0, 1, middle_y + top + 0.5], [0, 0, 1]])
        unscale = np.array([[1 / scale, 0, -0.5], [0, 1 / scale, -0.5]])
        return unscale @ put @ turn @ centre


def _place(draw: np.random.Generator, length: int, cut: int) -> int:
    """Where a cut starts along a line: anywhere inside it, or anywhere round a shorter one."""
    spare = length - cut
    return int(draw.integers(min(0, spare), max(0, spare), endpoint=True))


def _warp(
    pixels: ndarray, to_image: ndarray, size: tuple[int, int], interpolation: int, fill: int
) -> ndarray:
    flags = interpolation | cv2.WARP_INVERSE_MAP

    def warp(part: ndarray) -> ndarray:
        warped = cv2.warpAffine(
            part, to_image, size[::-1], flags=flags, borderValue=(float(fill),) * 4
        )
        return warped.reshape(*size, *part.shape[2:])

    if pixels.ndim == 2 or pixels.shape[2] <= 4:
        return warp(pixels)
    # OpenCV fills the border of at most four channels at a time.
    parts = [pixels[:, :, first : first + 4] for first in range(0, pixels.shape[2], 4)]
    return np.concatenate([warp(np.ascontiguousarray(part)) for part in parts], axis=2)


def _compose(preset: Preset, channels: int) -> Any:
    library = _albumentations()
    steps = [
        getattr(library, step.name)(p=step.chance, **step.arguments)
        for step in preset.steps
        if channels == 3 or not step.rgb
    ]
    # strict: a wrong argument name is an error and not a warning that drops the argument.
    return library.Compose(steps, strict=True)


def _albumentations() -> ModuleType:
    """Import it on first use: it takes seconds, and asks the package index unless told not to."""
    if any(metadata.distributions(name="albumentationsx")):
        raise UsageError(
            "albumentationsx is installed and replaces the module albumentations, but is another "
            "library under another licence: pip uninstall albumentationsx, "
            "then pip install --force-reinstall 'albumentations>=2.0.8,<2.1'"
        )
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations

    return albumentations


def markdown() -> str:
    """docs/augmentation.md, made from PRESETS: `python -m effunet.data.augment > that file`."""
    return "\n".join([_HEAD, *(_section(name, preset) for name, preset in PRESETS.items())])


_HEAD = f"""\
# Augmentation

Made from `PRESETS` in effunet/data/augment.py by `python -m effunet.data.augment`; do not edit.

Every draw is a function of (seed, epoch, index of the image): the same for any number of workers
and processes, and after a resume.

First the geometry, as one affine map from the crop into the image: scale, place, rotation, mirror;
bilinear for the image, nearest for the mask. Pixels from outside the image are grey ({GREY}, until
the colour steps) and their label is ignore ({IGNORE}), never a class. The crop lies anywhere inside
the scaled image; where that is smaller than the crop, the image lies anywhere inside the crop.
Nothing is smoothed before, so scales below 0.5 alias.

Then the steps of the table, on the crop only, in this order, each with its own chance, by
albumentations on uint8 pixels. Steps marked RGB are left out for images that do not have three
channels. Ranges are uniform.

albumentations' fog is not used: it takes 20 ms on a crop of 288 x 288, fifty times a colour jitter.
"""


def _section(name: str, preset: Preset) -> str:
    rows = [
        ("scale", "", "size of the image", f"{preset.scale[0]:g} to {preset.scale[1]:g}"),
        ("place", "", "of the crop", "anywhere"),
        ("mirror", f"{preset.flip:.0%}", "left to right", ""),
        ("rotation", "", "about the crop's middle", f"{preset.rotation:g} degrees either way"),
    ]
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
