"""Image files -> arrays; the one place where an image of the user's is decoded.

Every rule here is there because a library does otherwise without a word: a truncated JPEG becomes a
grey area, 16 bit are cut to 8, an orientation is dropped. EXIF orientation is applied; 16 bit is
scaled by 1/257, or by the dataset's own range; grey, palette, CMYK, YCbCr and 1 bit are converted;
alpha is dropped, unless the dataset has four channels. Floating point, 32 bit and other numbers of
bands are read from TIFF alone (effunet/data/files/bands.py).
"""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from effunet.data.files.bands import UNREADABLE, is_tiff, read_bands
from effunet.data.files.damage import refuse_broken
from effunet.data.files.opening import MAX_PIXELS, access, is_deep_color, opened, read_bytes
from effunet.data.files.pixels import RGB, Pixels
from effunet.data.files.png import PNG_GREY, PNG_RGB, read_plain_png
from effunet.errors import DataError

AnyPixels = Shaped[np.ndarray, "H W"] | Shaped[np.ndarray, "H W S"]

LARGE = 2**25
"""Pixels from which on an image is decoded with as few copies as can be, and not as fast."""

_BAND = 256  # rows that are copied at once of a large image
_ORIENTATION = 274  # a tag of EXIF

# EXIF orientation -> how to turn what is stored into what was seen.
_UPRIGHT: dict[int, Callable[[AnyPixels], AnyPixels]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored.swapaxes(0, 1)[::-1, ::-1],
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}


def read_image(
    path: Path, pixels: Pixels = RGB, max_pixels: int = MAX_PIXELS, data: bytes | None = None
) -> UInt8[np.ndarray, "H W C"]:
    """The image as people see it: upright, RGB or grey, or with the bands of its dataset.

    data is the contents of an image that is no file of its own; path then names it in messages.

    Raises:
        DataError: the file is missing, empty, damaged, no image, or of a kind that is refused.
    """
    data = read_bytes(path) if data is None else data
    if is_tiff(data) and (pixels.ranges or pixels.channels not in (1, 3) or data[:4] == UNREADABLE):
        return read_bands(data, path, pixels, max_pixels)
    if pixels.channels not in (1, 3, 4):
        raise DataError(
            f"{path} is no TIFF, which alone has {pixels.channels} channels: mend the file, or "
            "`channels` in dataset.yaml"
        )
    if (
        pixels.channels != 4
        and (raw := read_plain_png(data, min(max_pixels, LARGE), (PNG_GREY, PNG_RGB))) is not None
    ):
        return _with_channels(pixels.to_bytes(raw), pixels.channels, path)
    with opened(path, io.BytesIO(data), max_pixels) as image:
        refuse_broken(image.format, data)
        deep = is_deep_color(image, data)
        raw = _deep_color(data) if deep else _stored(path, image, alpha=pixels.channels == 4)
        # Pillow and OpenCV turn a TIFF by themselves, and nothing else.
        orientation = image.getexif().get(_ORIENTATION) if image.format != "TIFF" else None
    if orientation in _UPRIGHT:
        raw = np.ascontiguousarray(_UPRIGHT[orientation](raw))
    return _with_channels(pixels.to_bytes(raw), pixels.channels, path)


def read_upright_size(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width as read_image gives them, from the header.

    Raises:
        DataError: the header cannot be read, or claims more than max_pixels.
    """
    with access(path), path.open("rb") as file, opened(path, file, max_pixels) as image:
        turned = image.format != "TIFF" and image.getexif().get(_ORIENTATION, 1) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def _stored(path: Path, image: Image.Image, alpha: bool) -> AnyPixels:
    """8 or 16 bit grey (H W), RGB or RGBA (H W S) of an image that Pillow decodes without loss."""
    # PNG and PGM have no 32 bit: there Pillow's "I" holds 0..65535.
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise DataError(
            f"{path} has {'floating point' if image.mode == 'F' else '32 bit'} pixels, which have "
            "no agreed range (and may be NaN): save it with 8 or 16 bit a channel, or as "
            "a TIFF and give its `value_range` in dataset.yaml"
        )
    if image.mode.startswith("I"):
        return np.array(image).astype(np.uint16)
    if image.mode in ("L", "RGB") or (alpha and image.mode == "RGBA"):
        return _array(image)
    return _array(image.convert("L" if image.mode in ("1", "LA") else "RGB"))


def _array(image: Image.Image) -> AnyPixels:
    """np.array(image); of a large one band by band, for the whole is copied twice on its way."""
    width, height = image.size
    if width * height < LARGE:
        return np.array(image)
    image.load()
    bands = image.getbands()
    pixels = np.empty((height, width, len(bands)) if len(bands) > 1 else (height, width), np.uint8)
    for top in range(0, height, _BAND):
        bottom = min(top + _BAND, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def _deep_color(data: bytes) -> AnyPixels:
    """RGB of a file with 16 bit a channel, of which Pillow keeps only the upper 8."""
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.ndim != 3 or stored.dtype != np.uint16:
        raise ValueError("the 16 bit colours cannot be decoded")
    return np.ascontiguousarray(stored[..., 2::-1])  # OpenCV stores blue first


def _with_channels(pixels: AnyPixels, channels: int, path: Path) -> UInt8[np.ndarray, "H W C"]:
    stored = 1 if pixels.ndim == 2 else pixels.shape[2]
    if stored == channels:
        return pixels[..., None] if pixels.ndim == 2 else pixels
    if channels == 4:
        raise DataError(
            f"{path} has {stored} channels, and its dataset 4: save it as RGBA or as a TIFF of 4 "
            "bands"
        )
    if stored == 1:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
