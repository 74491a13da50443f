"""Image files -> the channels of a dataset, and the range of numbers that have none."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from effunet.data.files.bands import is_tiff

LOOKED_AT = 16
"""Images, spread evenly."""

_GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")


def read_channels(images: Sequence[Path]) -> tuple[int, tuple[float, float] | None]:
    """Channels of most images, and the range of those whose numbers are neither 8 nor 16 bit.

    3 where nothing can be read: the check says why.
    """
    count = len(images)
    chosen = [images[place * count // LOOKED_AT] for place in range(min(LOOKED_AT, count))]
    seen: list[int] = []
    ends: list[tuple[float, float]] = []
    for file in dict.fromkeys(chosen):
        try:
            channels, end = _look(file)
        except Exception:  # whatever a decoder raises over a damaged file
            continue
        seen.append(channels)
        ends += [end] if end is not None else []
    most = max(seen, key=seen.count) if seen else 3
    if not ends:
        return most, None
    return most, (min(low for low, _ in ends), max(high for _, high in ends))


def _look(file: Path) -> tuple[int, tuple[float, float] | None]:
    with file.open("rb") as stream:
        if is_tiff(stream.read(4)):
            return _look_at_bands(file)
    with Image.open(file) as image:
        return (1 if image.mode in _GREY else 3), None


def _look_at_bands(file: Path) -> tuple[int, tuple[float, float] | None]:
    with tifffile.TiffFile(file) as tiff:
        first = tiff.pages.first
        pages = [page for page in map(_aspage, tiff.pages) if not page.is_reduced]
        bands = int(first.samplesperpixel) if len(pages) == 1 else len(pages)
        # Alpha is no band of a photograph.
        channels = 3 if bands == 4 and first.photometric == tifffile.PHOTOMETRIC.RGB else bands
        if first.dtype is None or first.dtype.name in ("uint8", "uint16"):
            return channels, None
        values = np.asarray(tiff.series[0].asarray(), np.float64)
        finite = values[np.isfinite(values)]
        return channels, (float(finite.min()), float(finite.max())) if finite.size else None


def _aspage(page: tifffile.TiffPage | tifffile.TiffFrame) -> tifffile.TiffPage:
    return page.aspage()
