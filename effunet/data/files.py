"""Image and mask files -> arrays; the one place where a file of the user's is decoded.

Every rule here is there because a library does otherwise without a word: a truncated JPEG becomes a
grey area, a palette mask becomes colours, 16 bit are cut to 8, an orientation is dropped.

    images  EXIF orientation applied; 16 bit scaled by 1/257; grey, palette, CMYK, YCbCr and 1 bit
            converted; alpha dropped; floating point, 32 bit and several pages refused
    masks   never turned by EXIF; grey, palette, 16 and 32 bit are indices, 1 bit is 0 and 1;
            colours need a map of colours; formats that may lose pixels are refused
"""

import io
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, UnidentifiedImageError

from effunet.data.damage import lacks_end_mark, refuse_broken
from effunet.errors import DataError, EffunetError, ResourceError
from effunet.labels import Color, IndexMask, LabelMap, RawMask, UnknownValues

MAX_PIXELS = 500_000_000
"""Pixels of the largest image that is opened, unless a caller says otherwise."""

LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF")
"""Formats that may change the pixels that they store: a mask in them cannot be trusted."""

Pixels = UInt8[np.ndarray, "H W C"]
AnyPixels = Shaped[np.ndarray, "H W"] | Shaped[np.ndarray, "H W S"]

_MASK_MODES = ("L", "P", "1", "I", "I;16", "I;16L", "I;16B", "LA", "PA", "RGB", "RGBA")

_ORIENTATION, _BITS, _COMPRESSION = 274, 258, 259  # tags of EXIF and TIFF

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
    data = _read(path)
    with _opened(path, io.BytesIO(data), max_pixels) as image:
        refuse_broken(image.format, data)
        pixels = _deep_color(data) if _is_deep_color(image, data) else _plain_pixels(path, image)
        # Pillow and OpenCV turn a TIFF by themselves, and nothing else.
        orientation = image.getexif().get(_ORIENTATION) if image.format != "TIFF" else None
    if orientation in _UPRIGHT:
        pixels = np.ascontiguousarray(_UPRIGHT[orientation](pixels))
    return _with_channels(pixels, channels)


def read_mask(path: Path, labels: LabelMap, max_pixels: int = MAX_PIXELS) -> IndexMask:
    """The mask as class indices.

    Raises:
        UnknownValues: the map does not know a value; the message names the file.
        DataError: as for read_image, or a kind of file that cannot hold a mask of this map.
    """
    raw = read_raw_mask(path, as_colors=not labels.knows_integers, max_pixels=max_pixels)
    if raw.ndim == 3 and not labels.knows_colors:
        raise DataError(
            f"{path} is a mask of mode RGB, but the label map lists integers: write the colours of "
            "each class in dataset.yaml, `values: [[r, g, b]]`, or save the mask as grey or palette"
        )
    try:
        return labels.encode(raw)
    except UnknownValues as fault:
        raise UnknownValues(f"{path}: {fault}", fault.counts) from None


def read_raw_mask(path: Path, as_colors: bool = False, max_pixels: int = MAX_PIXELS) -> RawMask:
    """The values that a mask file holds; as_colors gives colours for grey and palette files too.

    16 and 32 bit are integers in any case: as colours they would be cut to white.

    Raises:
        DataError: the file is missing, damaged, or of a kind that cannot hold exact values.
    """
    data = _read(path)
    with _opened(path, io.BytesIO(data), max_pixels) as image:
        jpeg_inside = _tag(image, _COMPRESSION) in (6, 7)
        if image.format in LOSSY or jpeg_inside:
            raise DataError(
                f"{path} is a {image.format} mask, a format that may change the values it stores: "
                "save the masks as PNG"
            )
        if image.mode not in _MASK_MODES or _is_deep_color(image, data):
            raise DataError(
                f"{path} is a mask of mode {image.mode} with {_bits(image, data)} bit a channel: "
                "save it as grey, 16 bit grey, palette or 8 bit RGB PNG"
            )
        refuse_broken(image.format, data)
        if image.mode in ("RGB", "RGBA") or (as_colors and not image.mode.startswith("I")):
            return np.array(image.convert("RGB"))
        values = np.array(image)
        if image.mode in ("LA", "PA"):
            return values[..., 0]
        if image.mode == "L" and (bits := _bits(image, data)) < 8:
            # Pillow spreads grey of 2 and 4 bit over 0..255; the file holds 0..3 and 0..15.
            return values // (255 // (2**bits - 1))
        # 1 bit comes as bool, 16 bit of some files with the bytes of another machine.
        return values.astype(np.uint8 if image.mode == "1" else values.dtype.newbyteorder("="))


def read_palette(path: Path, max_pixels: int = MAX_PIXELS) -> list[Color]:
    """The colours of a palette file in index order; none for other files."""
    with _access(path), path.open("rb") as file, _opened(path, file, max_pixels) as image:
        flat = image.getpalette() if image.mode == "P" else None
    triples = np.array(flat or [], int).reshape(-1, 3).tolist()
    return [(red, green, blue) for red, green, blue in triples]


def read_size(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width as the header says them, before any EXIF orientation.

    Raises:
        DataError: the header cannot be read, or claims more than max_pixels.
    """
    with _access(path), path.open("rb") as file, _opened(path, file, max_pixels) as image:
        return image.height, image.width


def seems_cut(path: Path) -> bool:
    """Whether the file's last bytes lack the mark that ends a JPEG or PNG; what follows it may."""
    with _access(path), path.open("rb") as file:
        start = file.read(8)
        file.seek(max(0, path.stat().st_size - 4096))
        return lacks_end_mark(start, file.read())


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


def _tag(image: Image.Image, number: int) -> Any:
    """A tag of a TIFF; None for other formats."""
    return getattr(image, "tag_v2", {}).get(number)


def _bits(image: Image.Image, data: bytes) -> int:
    """Bits of one channel as stored."""
    if image.format == "PNG":
        return data[24]  # in IHDR, which is the first chunk
    bits = _tag(image, _BITS) or (8,)
    return max(bits) if isinstance(bits, tuple) else bits


def _is_deep_color(image: Image.Image, data: bytes) -> bool:
    return image.mode in ("RGB", "RGBA", "LA") and _bits(image, data) == 16


@contextmanager
def _opened(
    path: Path, file: io.BytesIO | io.BufferedReader, max_pixels: int
) -> Generator[Image.Image]:
    """An image whose header has passed; what goes wrong while it is open becomes a DataError."""
    start = file.read(16)
    file.seek(0)
    if not start:
        raise DataError(f"{path} is empty (0 bytes): restore it, or remove it and its partner")
    try:
        with _pillow_limit_lifted, Image.open(file) as image:
            if image.width * image.height > max_pixels:
                raise DataError(
                    f"{path} claims {image.width} x {image.height} pixels, more than the limit of "
                    f"{max_pixels}: cut it into tiles"
                )
            # A phone's MPO holds the photo first and its depth or preview behind it.
            pages = getattr(image, "n_frames", 1)
            if pages > 1 and image.format != "MPO":
                raise DataError(f"{path} has {pages} pages or frames: save each as a file")
            yield image
    except EffunetError:
        raise
    except MemoryError:
        raise ResourceError(f"not enough memory to open {path}: cut it into tiles") from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path} is no image of a known format (it starts with {start!r}): restore it, or "
            "remove it and its partner"
        ) from None
    except Exception as fault:
        # Whatever a decoder raises over a damaged file (OSError, SyntaxError, struct.error, ...).
        raise DataError(
            f"{path} is damaged ({fault}): restore it, or remove it and its partner"
        ) from None


@contextmanager
def _access(path: Path) -> Generator[None]:
    try:
        yield
    except PermissionError:
        raise ResourceError(f"{path} may not be read: give yourself permission to it") from None
    except OSError as fault:
        raise DataError(f"{path} cannot be read: {fault.strerror or fault}") from None


def _read(path: Path) -> bytes:
    with _access(path):
        return path.read_bytes()


class _LiftedLimit:
    """Pillow's own pixel limit, a global of that library, is off while one of our reads is open.

    Ours is checked instead, from the same header; reads in several threads may overlap.
    """

    def __init__(self) -> None:
        self.lock, self.readers, self.limit = threading.Lock(), 0, Image.MAX_IMAGE_PIXELS

    def __enter__(self) -> None:
        with self.lock:
            if self.readers == 0:
                self.limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self.readers += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.readers -= 1
            if self.readers == 0:
                Image.MAX_IMAGE_PIXELS = self.limit


_pillow_limit_lifted = _LiftedLimit()
