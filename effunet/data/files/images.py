"""Image files -> arrays; the one place where an image of the user's is decoded.

Every rule here is there because a library does otherwise without a word: a truncated JPEG becomes a
grey area, 16 bit are cut to 8, an orientation is dropped. EXIF orientation is applied; 16 bit is
scaled by 1/257; grey, palette, CMYK, YCbCr and 1 bit are converted; alpha is dropped; floating
point, 32 bit and several pages are refused.
"""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from effunet.data.files.damage import refuse_broken
from effunet.data.files.opening import MAX_PIXELS, is_deep_color, opened, read_bytes
from effunet.errors import DataError

Pixels = UInt8[np.ndarray, "H W C"]
AnyPixels = Shaped[np.ndarray, "H W"] | Shaped[np.ndarray, "H W S"]

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


def read_image(path: Path, channels: int = 3, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The image as people see it: upright, RGB (channels 3) or grey (channels 1).

    Raises:
        DataError: the file is missing, empty, damaged, no image, or of a kind that is refused.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 3 (RGB) or 1 (grey), got {channels}")
    data = read_bytes(path)
    with opened(path, io.BytesIO(data), max_pixels) as image:
        refuse_broken(image.format, data)
        pixels = _deep_color(data) if is_deep_color(image, data) else _plain_pixels(path, image)
        # Pillow and OpenCV turn a TIFF by themselves, and nothing else.
        orientation = image.getexif().get(_ORIENTATION) if image.format != "TIFF" else None
    if orientation in _UPRIGHT:
        pixels = np.ascontiguousarray(_UPRIGHT[orientation](pixels))
    return _with_channels(pixels, channels)


def _plain_pixels(path: Path, image: Image.Image) -> AnyPixels:
    """8 bit grey (H W) or RGB (H W 3) of an image that Pillow decodes without loss."""
    # PNG and PGM have no 32 bit: there Pillow's "I" holds 0..65535.
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise DataError(
            f"{path} has {'floating point' if image.mode == 'F' else '32 bit'} pixels, which have "
            "no agreed range (and may be NaN): save it with 8 or 16 bit a channel"
        )
    if image.mode.startswith("I"):
        return _scaled(np.array(image))
    if image.mode in ("L", "RGB"):
        return np.array(image)
    return np.array(image.convert("L" if image.mode in ("1", "LA") else "RGB"))


def _deep_color(data: bytes) -> AnyPixels:
    """RGB of a file with 16 bit a channel, of which Pillow keeps only the upper 8."""
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.ndim != 3 or stored.dtype != np.uint16:
        raise ValueError("the 16 bit colours cannot be decoded")
    return np.ascontiguousarray(_scaled(stored[..., 2::-1]))  # OpenCV stores blue first


def _scaled(deep: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """0..65535 -> 0..255, rounded: 65535 is 257 times 255."""
    return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _with_channels(pixels: AnyPixels, channels: int) -> Pixels:
    if pixels.ndim == 2:
        return pixels[..., None] if channels == 1 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return pixels if channels == 3 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
