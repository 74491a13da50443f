"""What goes into a segmenter, an image of any kind, and what comes out, a prediction."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image as Pillow
from PIL import ImageOps

from effunet.data.files.images import read_image
from effunet.data.files.pixels import Pixels
from effunet.errors import ModelError
from effunet.labels import LabelMap
from effunet.model.deciding import decided
from effunet.pictures.overlay import overlay

Picture = ndarray | Pillow.Image | str | Path
"""What a person calls an image: an array (H W or H W C, uint8), a Pillow image, or a file."""


@dataclass(frozen=True)
class Prediction:
    """What the network says of one image, at the image's own size."""

    image: UInt8[ndarray, "H W C"]
    probabilities: Float[ndarray, "K H W"]  # of each class; they sum to 1 at every pixel
    labels: LabelMap
    threshold: float | None = None  # of the segmenter's calibration

    @cached_property
    def mask(self) -> UInt8[ndarray, "H W"]:
        """The index of the class that is named, 0..K-1: the most probable, or by the threshold."""
        return decided(torch.from_numpy(self.probabilities), self.threshold)[0].numpy()

    def overlay(self, alpha: float = 0.5) -> UInt8[ndarray, "H W 3"]:
        """The class colours laid over the image, with the colours' share alpha in 0..1."""
        return overlay(self.image, self.mask, self.labels, alpha)


def as_array(image: Picture, pixels: Pixels) -> UInt8[ndarray, "H W C"]:
    """Any kind of image as the array that the network takes; grey becomes RGB if it must.

    Raises:
        DataError: a file that is missing, damaged, or of a kind that we do not read.
        ModelError: a file, and a segmenter of images that are neither grey nor RGB.
        ValueError: an array of another type or number of channels.
    """
    if isinstance(image, str | Path):
        return read_image(Path(image), pixels)
    if isinstance(image, Pillow.Image):
        if pixels.channels not in (1, 3):
            raise ModelError(
                f"this segmenter takes images of {pixels.channels} channels, which Pillow does "
                "not hold: give it an array or a TIFF file"
            )
        image = _pixels(image, pixels.channels)
    if image.dtype != np.uint8:
        raise ValueError(
            f"an image array must be uint8 with values 0..255, got {image.dtype}; "
            "for floats in 0..1: (image * 255).round().astype('uint8')"
        )
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim == 3 and image.shape[2] == 1 and pixels.channels == 3:
        image = np.repeat(image, 3, axis=2)
    if image.ndim != 3 or image.shape[2] != pixels.channels or 0 in image.shape:
        raise ValueError(
            f"an image array must have the shape (height, width, {pixels.channels}), "
            f"got {image.shape}"
        )
    return image


def _pixels(image: Pillow.Image, channels: int) -> UInt8[ndarray, "H W C"]:
    """Upright, RGB or grey; alpha is dropped."""
    if image.mode[:1] in ("I", "F"):
        raise ValueError(
            f"a Pillow image of mode {image.mode} has no common range: give the file itself, "
            "or a uint8 array"
        )
    upright = ImageOps.exif_transpose(image).convert("RGB" if channels == 3 else "L")
    pixels = np.array(upright)
    return pixels if pixels.ndim == 3 else pixels[..., None]
