"""Mask files -> raw values or class indices; the one place where a mask of the user's is decoded.

Masks are never turned by EXIF; grey, palette, 16 and 32 bit are indices, 1 bit is 0 and 1; colours
need a map of colours; formats that may lose pixels are refused.
"""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from effunet.data.files.damage import refuse_broken
from effunet.data.files.opening import (
    MAX_PIXELS,
    access,
    bits_a_channel,
    is_deep_color,
    opened,
    read_bytes,
    tag,
)
from effunet.data.files.png import PNG_GREY, PNG_PALETTE, PNG_RGB, read_plain_png
from effunet.errors import DataError
from effunet.labels import IndexMask, LabelMap, RawMask
from effunet.values import Color, UnknownValues

LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF")
"""Formats that may change the pixels that they store: a mask in them cannot be trusted."""

MOST_IDS = 2**22
"""Every id of an instance is below."""

_MASK_MODES = ("L", "P", "1", "I", "I;16", "I;16L", "I;16B", "LA", "PA", "RGB", "RGBA")

_COMPRESSION = 259  # a tag of TIFF


def read_mask(
    path: Path,
    labels: LabelMap,
    max_pixels: int = MAX_PIXELS,
    data: bytes | None = None,
    lossy: bool = False,
) -> IndexMask:
    """The mask as class indices.

    data is the contents of a mask that is no file of its own; path then names it in messages.
    lossy allows formats that may change what they store.

    Raises:
        UnknownValues: the map does not know a value; the message names the file.
        DataError: as for read_image, or a kind of file that cannot hold a mask of this map.
    """
    raw = read_mask_values(path, labels, max_pixels, data, lossy)
    try:
        return labels.encode(raw)
    except UnknownValues as fault:
        raise UnknownValues(f"{path}: {fault}", fault.counts) from None


def read_mask_values(
    path: Path,
    labels: LabelMap,
    max_pixels: int = MAX_PIXELS,
    data: bytes | None = None,
    lossy: bool = False,
) -> RawMask:
    """The raw values of a mask, of the kind that the map speaks of: integers or colours.

    Raises:
        DataError: as for read_raw_mask, or colours where the map lists none.
    """
    raw = read_raw_mask(
        path,
        not labels.knows_integers and labels.knows_colors,
        max_pixels,
        lossy,
        data,
    )
    if raw.ndim == 3 and not labels.knows_colors:
        raise DataError(
            f"{path} is a mask of mode RGB, but the label map lists integers: write the colours of "
            "each class in dataset.yaml, `values: [[r, g, b]]`, or save the mask as grey or palette"
        )
    return raw


def read_raw_mask(
    path: Path,
    as_colors: bool = False,
    max_pixels: int = MAX_PIXELS,
    lossy: bool = False,
    data: bytes | None = None,
) -> RawMask:
    """The values that a mask file holds; as_colors gives colours for grey and palette files too.

    16 and 32 bit are integers in any case: as colours they would be cut to white. lossy allows
    formats that may change what they store, for a map whose rest is "nearest".

    Raises:
        DataError: the file is missing, damaged, or of a kind that cannot hold exact values.
    """
    data = read_bytes(path) if data is None else data
    kinds = (PNG_RGB,) if as_colors else (PNG_RGB, PNG_GREY, PNG_PALETTE)
    if (plain := read_plain_png(data, max_pixels, kinds)) is not None:
        return plain
    with opened(path, io.BytesIO(data), max_pixels) as image:
        jpeg_inside = tag(image, _COMPRESSION) in (6, 7)
        if (image.format in LOSSY or jpeg_inside) and not lossy:
            raise DataError(
                f"{path} is a {image.format} mask, a format that may change the values it stores: "
                "save the masks as PNG, or write `rest: nearest` in dataset.yaml to take each "
                "value for the nearest that is listed"
            )
        if image.mode not in _MASK_MODES or is_deep_color(image, data):
            raise DataError(
                f"{path} is a mask of mode {image.mode} with {bits_a_channel(image, data)} bit a "
                "channel: save it as grey, 16 bit grey, palette or 8 bit RGB PNG"
            )
        refuse_broken(image.format, data)
        if image.mode in ("RGB", "RGBA") or (as_colors and not image.mode.startswith("I")):
            return np.array(image.convert("RGB"))
        values = np.array(image)
        if image.mode in ("LA", "PA"):
            return values[..., 0]
        if image.mode == "L" and (bits := bits_a_channel(image, data)) < 8:
            # Pillow spreads grey of 2 and 4 bit over 0..255; the file holds 0..3 and 0..15.
            return values // (255 // (2**bits - 1))
        # 1 bit comes as bool, 16 bit of some files with the bytes of another machine.
        return values.astype(np.uint8 if image.mode == "1" else values.dtype.newbyteorder("="))


def read_instances(path: Path, max_pixels: int = MAX_PIXELS) -> Integer[np.ndarray, "H W"]:
    """The ids of instances in a file of one integer a pixel, mostly a PNG of 16 bit.

    Raises:
        DataError: as for read_raw_mask; colours, or numbers that are no such ids.
    """
    ids = read_raw_mask(path, max_pixels=max_pixels)
    if ids.ndim == 3:
        raise DataError(f"{path} is a file of colours: ids of instances are one integer a pixel")
    if ids.size and (ids.min() < 0 or ids.max() >= MOST_IDS):
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise DataError(
            f"{path} holds {wrong}: an id of an instance is its class's value x 1000 and a number, "
            f"0 to {MOST_IDS - 1}"
        )
    return ids


def read_palette(path: Path, max_pixels: int = MAX_PIXELS) -> list[Color]:
    """The colours of a palette file in index order; none for other files."""
    with access(path), path.open("rb") as file, opened(path, file, max_pixels) as image:
        flat = image.getpalette() if image.mode == "P" else None
    triples = np.array(flat or [], int).reshape(-1, 3).tolist()
    return [(red, green, blue) for red, green, blue in triples]
