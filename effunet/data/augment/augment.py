"""An image, its mask and a seed in; a crop to learn from out, the same for one seed everywhere.

Geometry comes first and is one affine map from the crop back into the image (scale, place, rotation
and mirror at once), so no pixel outside the crop is ever touched; colours and then albumentations
work on the crop alone. What lies outside the image is grey in the crop and IGNORE in its mask,
never class 0.
"""

import os
import random
from dataclasses import dataclass, field
from importlib import metadata
from math import cos, radians, sin
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from effunet.data.augment.presets import GREY, PRESETS, Preset
from effunet.data.augment.window import show_image, show_mask, spans
from effunet.errors import UsageError
from effunet.labels import IGNORE


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
        self,
        image: UInt8[ndarray, "H W C"],
        mask: UInt8[ndarray, "H W"],
        seed: int,
        pixel: tuple[int, int] | None = None,
    ) -> tuple[UInt8[ndarray, "h w C"], UInt8[ndarray, "h w"]]:
        """Every draw is a function of `seed`, any integer from 0 up.

        `pixel` is (y, x) in the image. The crop then shows it, at one of its pixels and with its
        very label; where, is drawn as evenly as the image's edges allow. Only a step that hides
        pixels (CoarseDropout) may still hide it.
        """
        if image.shape[2] != self.channels:
            raise ValueError(f"made for {self.channels} channels, got an image of {image.shape[2]}")
        draw = np.random.default_rng(seed)
        height, width = self.crop or mask.shape
        to_image = self._draw_map(draw, mask.shape, (height, width), pixel)
        # A window is moved to whole pixels, by which a crop that shrinks could lose its pixel.
        plain = PRESETS[self.preset].rotation == 0 and pixel is None
        show = _window if plain else _turned
        image, mask = show(image, mask, to_image, (height, width))
        colour = PRESETS[self.preset].colour
        if colour is not None and self.channels == 3:
            image = colour(image, draw)
        if len(self._photometric) == 0:
            return image, mask
        # One generator for all steps. Compose.set_random_seed gives each step an own one of the
        # same seed (2.0.8), so that all would draw alike: blurred exactly when also noisy.
        self._photometric.set_random_state(draw, random.Random(seed))
        result = self._photometric(image=image, mask=mask)
        return result["image"], result["mask"]

    def _draw_map(
        self,
        draw: np.random.Generator,
        size: tuple[int, int],
        crop: tuple[int, int],
        pixel: tuple[int, int] | None,
    ) -> Float[ndarray, "2 3"]:
        """Map (x, y, 1) of a crop's pixel to (x, y) in the image."""
        preset = PRESETS[self.preset]
        scale = draw.uniform(*(self.scale or preset.scale))
        shown = [None, None] if pixel is None else [round((at + 0.5) * scale - 0.5) for at in pixel]
        angle = radians(draw.uniform(-preset.rotation, preset.rotation))
        mirror = -1.0 if draw.random() < preset.flip else 1.0
        top, left = (
            _place(draw, round(scale * length), cut, at)
            for length, cut, at in zip(size, crop, shown, strict=True)
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
        to_image = unscale @ put @ turn @ centre
        return to_image if pixel is None else _through(to_image, pixel, crop)


def _place(draw: np.random.Generator, length: int, cut: int, shown: int | None) -> int:
    """Where a cut starts along a line: anywhere inside it, or anywhere round a shorter one.

    With `shown`, a place along the line, only where the cut holds that.
    """
    spare = length - cut
    first, last = min(0, spare), max(0, spare)
    if shown is not None:
        shown = min(max(shown, 0), max(length - 1, 0))
        first, last = max(first, shown - cut + 1), min(last, shown)
    return int(draw.integers(first, last, endpoint=True))


def _through(
    to_image: Float[ndarray, "2 3"], pixel: tuple[int, int], crop: tuple[int, int]
) -> Float[ndarray, "2 3"]:
    """Move a map by less than a pixel of the crop, so that one of them falls on the image's pixel.

    By more only where the rotation has turned the pixel out of the crop's corner.
    """
    at = np.array(pixel[::-1], np.float64)
    seen = np.rint(np.linalg.solve(to_image[:, :2], at - to_image[:, 2]))
    seen = np.clip(seen, 0, np.array(crop[::-1]) - 1)
    return np.column_stack([to_image[:, :2], at - to_image[:, :2] @ seen])


def _window(
    image: ndarray, mask: ndarray, to_image: Float[ndarray, "2 3"], crop: tuple[int, int]
) -> tuple[ndarray, ndarray]:
    """What the crop shows without a rotation."""
    rows, columns = spans(to_image, crop, mask.shape)
    return show_image(image, rows, columns, crop), show_mask(mask, rows, columns, crop)


def _turned(
    image: ndarray, mask: ndarray, to_image: Float[ndarray, "2 3"], crop: tuple[int, int]
) -> tuple[ndarray, ndarray]:
    """What the crop shows under any map."""
    (first_x, last_x), (first_y, last_y) = _reached(to_image, crop, mask.shape)
    to_image[:, 2] -= first_x, first_y
    image, mask = (part[first_y:last_y, first_x:last_x] for part in (image, mask))
    image = _warp(image, to_image, crop, cv2.INTER_LINEAR, GREY)
    mask = _warp(mask, to_image, crop, cv2.INTER_NEAREST, IGNORE)
    return image, mask


def _reached(
    to_image: Float[ndarray, "2 3"], crop: tuple[int, int], size: tuple[int, int]
) -> list[tuple[int, int]]:
    """The part of the image that the crop can see, as (first, last + 1) along x and along y.

    OpenCV 4 warps no image of 32767 pixels or more a side, so it is given no more than this.
    """
    bottom, right = crop[0] - 1, crop[1] - 1
    corners = to_image @ np.array([[0, right, 0, right], [0, 0, bottom, bottom], [1, 1, 1, 1]])
    spans: list[tuple[int, int]] = []
    for seen, length in zip(corners, reversed(size), strict=True):
        # Two pixels for the blending; at least one where the crop has turned away from the image.
        first = min(max(0, int(np.floor(seen.min())) - 2), length - 1)
        spans.append((first, max(first + 1, min(length, int(np.ceil(seen.max())) + 3))))
    return spans


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
