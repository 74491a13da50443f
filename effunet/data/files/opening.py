"""Opening a user's file: what is no image, too large or out of reach ends here as one line."""

import io
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from effunet.data.files.bands import bands_size, full_pages, is_tiff
from effunet.data.files.damage import lacks_end_mark
from effunet.errors import DataError, EffunetError, ResourceError

MAX_PIXELS = 500_000_000
"""Pixels of the largest image that is opened, unless a caller says otherwise."""

_BITS = 258  # a tag of TIFF


def read_size(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width as the header says them, before any EXIF orientation.

    Raises:
        DataError: the header cannot be read, or claims more than max_pixels.
    """
    with access(path), path.open("rb") as file:
        if is_tiff(file.read(4)):
            return bands_size(path, path, max_pixels)
        file.seek(0)
        with opened(path, file, max_pixels) as image:
            return image.height, image.width


def seems_cut(path: Path) -> bool:
    """Whether the file's last bytes lack the mark that ends a JPEG or PNG; what follows it may."""
    with access(path), path.open("rb") as file:
        start = file.read(8)
        file.seek(max(0, path.stat().st_size - 4096))
        return lacks_end_mark(start, file.read())


def tag(image: Image.Image, number: int) -> Any:
    """A tag of a TIFF; None for other formats."""
    return getattr(image, "tag_v2", {}).get(number)


def bits_a_channel(image: Image.Image, data: bytes) -> int:
    """Bits of one channel as stored."""
    if image.format == "PNG":
        return data[24]  # in IHDR, which is the first chunk
    bits = tag(image, _BITS) or (8,)
    return max(bits) if isinstance(bits, tuple) else bits


def is_deep_color(image: Image.Image, data: bytes) -> bool:
    """Whether it is 16 bit colour, of which Pillow keeps 8."""
    return image.mode in ("RGB", "RGBA", "LA") and bits_a_channel(image, data) == 16


@contextmanager
def opened(
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
            pages = full_pages(file) if image.format == "TIFF" else getattr(image, "n_frames", 1)
            if pages > 1 and image.format != "MPO":
                raise DataError(f"{path} has {pages} pages or frames: save each as a file")
            yield image
    except EffunetError:
        raise
    except MemoryError:
        raise ResourceError(f"not enough memory to open {path}: cut it into tiles") from None
    except UnidentifiedImageError:
        if is_tiff(start):
            raise DataError(
                f"{path} is a TIFF of bands or numbers that are no RGB and no grey image: write "
                "its `channels` (and `value_range`) in dataset.yaml"
            ) from None
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
def access(path: Path) -> Generator[None]:
    """Turn a fault of the system over a file into one line."""
    try:
        yield
    except PermissionError:
        raise ResourceError(f"{path} may not be read: give yourself permission to it") from None
    except OSError as fault:
        raise DataError(f"{path} cannot be read: {fault.strerror or fault}") from None


def read_bytes(path: Path) -> bytes:
    """All that the file holds."""
    with access(path):
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
