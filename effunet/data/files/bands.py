"""TIFF files of any number of bands and any number type; what Pillow cannot read of them.

Bands may lie side by side in a pixel, one behind the other, or each on a page of its own.
"""

import io
import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Shaped, UInt8
from numpy import ndarray

from effunet.data.files.pixels import Pixels
from effunet.errors import DataError, EffunetError, ResourceError

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF

UNREADABLE = TIFF_STARTS[3]
"""What Pillow does not know: a BigTIFF whose bytes stand high before low."""

_TOLD = logging.getLogger("tifffile")


def is_tiff(start: bytes) -> bool:
    """Whether a file that starts so is a TIFF."""
    return start[:4] in TIFF_STARTS


def bands_size(file: Path | io.BytesIO, path: Path, max_pixels: int) -> tuple[int, int]:
    """Height and width as the header says them."""
    with _opened(file, path) as tiff:
        return _checked_size(tiff, path, max_pixels)


def read_bands(data: bytes, path: Path, pixels: Pixels, max_pixels: int) -> UInt8[ndarray, "H W C"]:
    """All bands as bytes.

    Raises:
        DataError: damaged, too large, of another number of bands, or of numbers without a range.
    """
    with _opened(io.BytesIO(data), path) as tiff:
        height, width = _checked_size(tiff, path, max_pixels)
        series = tiff.series[0]
        if series.size > max_pixels * pixels.channels:
            raise DataError(f"{path} claims {series.size} numbers, more than the limit: tile it")
        raw = _last_axis(np.asarray(series.asarray()), (height, width), path)
    if raw.shape[2] != pixels.channels:
        raise DataError(
            f"{path} has {raw.shape[2]} bands, and its dataset {pixels.channels} channels: write "
            f"`channels: {raw.shape[2]}` in dataset.yaml, or mend the file"
        )
    if raw.dtype.name not in ("uint8", "uint16") and not pixels.ranges:
        raise DataError(
            f"{path} has {raw.dtype.name} pixels, which have no agreed range: write the values "
            "that become 0 and 255, `value_range: [low, high]`, in dataset.yaml"
        )
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise DataError(
            f"{path} has pixels that are no finite number (NaN): fill them, and mark them as "
            "ignored in the mask"
        )
    return np.ascontiguousarray(pixels.to_bytes(raw))


def full_pages(file: io.BytesIO | io.BufferedReader) -> int:
    """The pages that are no smaller copy of another one and no mask of it; 1 if it cannot tell."""
    place = file.tell()
    _TOLD.setLevel(logging.CRITICAL)
    try:
        file.seek(0)  # where tifffile takes the file to begin
        with tifffile.TiffFile(file) as tiff:
            return len(_full_pages(tiff))
    except Exception:
        return 1  # the damage is told when the pixels are read
    finally:
        file.seek(place)


def _last_axis(
    raw: Shaped[ndarray, "..."], size: tuple[int, int], path: Path
) -> Shaped[ndarray, "H W C"]:
    """The bands moved behind height and width, wherever the file has them."""
    axes = [axis for axis, length in enumerate(raw.shape) if length > 1 or raw.ndim <= 3]
    raw = raw.reshape([raw.shape[axis] for axis in axes])
    if raw.ndim == 2 and raw.shape == size:
        return raw[..., None]
    if raw.ndim == 3 and raw.shape[:2] == size:
        return raw
    if raw.ndim == 3 and raw.shape[1:] == size:
        return np.moveaxis(raw, 0, 2)
    raise DataError(f"{path} holds numbers of shape {raw.shape}, which is no image of bands")


def _checked_size(tiff: tifffile.TiffFile, path: Path, max_pixels: int) -> tuple[int, int]:
    page = tiff.pages.first
    height, width = int(page.imagelength), int(page.imagewidth)
    if height * width > max_pixels:
        raise DataError(
            f"{path} claims {width} x {height} pixels, more than the limit of {max_pixels}: cut it "
            "into tiles"
        )
    sizes = {(page.imagelength, page.imagewidth) for page in _full_pages(tiff)}
    if sizes - {(height, width)}:
        raise DataError(f"{path} has pages of several sizes: save each as a file")
    return height, width


def _full_pages(tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    pages = [page.aspage() for page in tiff.pages]
    return [page for page in pages if not page.is_reduced and not page.is_mask]


@contextmanager
def _opened(file: Path | io.BytesIO, path: Path) -> Generator[tifffile.TiffFile]:
    """The file, whose faults become one line; tifffile's own log is for its developers."""
    _TOLD.setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(file) as tiff:
            yield tiff
    except EffunetError:
        raise
    except MemoryError:
        raise ResourceError(f"not enough memory to open {path}: cut it into tiles") from None
    except PermissionError:
        raise ResourceError(f"{path} may not be read: give yourself permission to it") from None
    except Exception as fault:
        # Whatever a decoder raises over a damaged file.
        raise DataError(
            f"{path} is damaged ({fault}): restore it, or remove it and its partner"
        ) from None
