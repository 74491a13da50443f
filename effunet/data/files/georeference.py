"""The georeference of a GeoTIFF: read from its header, written with what was made of its pixels.

Where the pixels lie on the earth stands in a few tags (GeoTIFF 1.1, OGC 19-008r4), which are
carried over byte by byte. "No data" is GDAL's word for pixels that nothing was measured at.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

import cv2
import numpy as np
from jaxtyping import Bool, Float16, Shaped, UInt8

from effunet.data.files.opening import MAX_PIXELS, access, bits_a_channel, opened, read_bytes
from effunet.errors import DataError
from effunet.labels import IGNORE

PLACE = {
    33550: "ModelPixelScale",
    33922: "ModelTiepoint",
    34264: "ModelTransformation",
    34735: "GeoKeyDirectory",
    34736: "GeoDoubleParams",
    34737: "GeoAsciiParams",
    50844: "RPCCoefficient",
}
"""The tags that are carried over; any of them makes a TIFF a GeoTIFF."""

LONGEST = 2**20
"""Bytes of one such tag; real ones have tens to thousands, so a longer one means harm."""

ALPHA = (1, 2)
"""Kinds of a TIFF's extra channel that are its alpha."""

_ORIENTATION, _EXTRA, _METADATA, _NODATA = 274, 338, 42112, 42113
_TEXT = 2  # the type of a tag
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF, both orders of bytes


@dataclass(frozen=True)
class Tag:
    """A tag as it is stored; data is in the byte order of its file."""

    code: int
    type: int
    count: int
    data: bytes


@dataclass(frozen=True)
class Georeference:
    """Where a GeoTIFF's pixels lie, and how it marks those that hold nothing."""

    tags: tuple[Tag, ...]
    byte_order: Literal["<", ">"]
    nodata: float | None = None  # the value of a pixel that holds nothing, in every channel
    alpha: int | None = None  # the channel that is 0 where a pixel holds nothing

    @property
    def has_gaps(self) -> bool:
        """Whether the file can tell pixels that hold nothing."""
        return self.nodata is not None or self.alpha is not None


def read_georeference(path: Path) -> Georeference | None:
    """What the header of a GeoTIFF says; None for every other file.

    Raises:
        DataError: the tags are damaged, or contradict an orientation.
    """
    with access(path), path.open("rb") as stream:
        if stream.read(4) not in _MAGIC:
            return None
        # Imported here, for only a TIFF needs it.
        import tifffile

        stream.seek(0)
        try:
            with tifffile.TiffFile(stream) as file:
                page: Any = file.pages.first
                tags = tuple(_read(file, page.tags[code]) for code in PLACE if code in page.tags)
                orientation = page.tags.valueof(_ORIENTATION, 1)
                found = Georeference(tags, file.byteorder, _nodata(page), _alpha(page))
        except Exception as fault:  # whatever a damaged header makes tifffile raise
            raise DataError(
                f"{path} has a damaged TIFF header ({fault}): restore it, or write it anew with "
                "gdal_translate"
            ) from None
    if not tags:
        return None
    if orientation != 1:
        raise DataError(
            f"{path} is a GeoTIFF with orientation {orientation}, so its pixels are turned and its "
            "georeference is not: write it upright, with gdal_translate"
        )
    return found


def gaps(path: Path, place: Georeference) -> Bool[np.ndarray, "H W"] | None:
    """Where the file says that a pixel holds nothing; None if it has no way to say so.

    A pixel holds nothing where its alpha is 0, or where every other channel is the no-data value,
    as stored and not as scaled to 8 bit.
    """
    if not place.has_gaps:
        return None
    empty, clear = None, None
    for index, channel in enumerate(_channels(path)):
        if index == place.alpha:
            clear = channel == 0
        elif place.nodata is not None:
            missing = np.isnan(channel) if np.isnan(place.nodata) else channel == place.nodata
            empty = missing if empty is None else empty & missing
    found = [pixels for pixels in (empty, clear) if pixels is not None]
    return np.logical_or.reduce(found)


def mask_tiff(
    mask: UInt8[np.ndarray, "H W"], palette: UInt8[np.ndarray, "256 3"], place: Georeference
) -> bytes:
    """A palette GeoTIFF of class indices; 255 is its no-data value where the image has one."""
    nodata = str(IGNORE) if place.has_gaps else None
    # 257, for TIFF's colours have 16 bit: 255 becomes 65535.
    colormap = palette.T.astype(np.uint16) * 257
    return _written(mask, place, nodata, photometric="palette", colormap=colormap)


def probabilities_tiff(
    probabilities: Float16[np.ndarray, "K H W"], names: Sequence[str], place: Georeference
) -> bytes:
    """A GeoTIFF of one float16 channel a class, which carries its name; NaN is no data."""
    items = "".join(
        f'<Item name="DESCRIPTION" sample="{index}" role="description">{escape(name)}</Item>'
        for index, name in enumerate(names)
    )
    described = f"<GDALMetadata>{items}</GDALMetadata>".encode() + b"\0"
    return _written(
        probabilities if len(probabilities) > 1 else probabilities[0],
        place,
        "nan" if place.has_gaps else None,
        [Tag(_METADATA, _TEXT, len(described), described)],
        photometric="minisblack",
        planarconfig="separate" if len(probabilities) > 1 else None,
    )


def _written(
    pixels: Shaped[np.ndarray, "..."],
    place: Georeference,
    nodata: str | None,
    tags: Sequence[Tag] = (),
    **options: Any,
) -> bytes:
    import tifffile

    written = [*place.tags, *tags]
    if nodata is not None:
        written.append(Tag(_NODATA, _TEXT, len(nodata) + 1, nodata.encode() + b"\0"))
    data = io.BytesIO()
    tifffile.imwrite(
        data,
        pixels,
        byteorder=place.byte_order,
        compression="zlib",
        # Higher levels take several times as long and save a tenth.
        compressionargs={"level": 3},
        metadata=None,
        software=False,
        extratags=[(tag.code, tag.type, tag.count, tag.data, True) for tag in written],
        **options,
    )
    return data.getvalue()


def _read(file: Any, tag: Any) -> Tag:
    """The bytes themselves: a value would lose its type, and a text its coding."""
    if tag.valuebytecount > LONGEST:
        raise ValueError(f"tag {tag.code} claims {tag.valuebytecount} bytes")
    file.filehandle.seek(tag.valueoffset)
    data = file.filehandle.read(tag.valuebytecount)
    if len(data) != tag.valuebytecount:
        raise ValueError(f"tag {tag.code} is cut")
    return Tag(tag.code, int(tag.dtype), tag.count, data)


def _nodata(page: Any) -> float | None:
    text = page.tags.valueof(_NODATA)
    try:
        return None if text is None else float(text)
    except (TypeError, ValueError):  # GDAL, whose tag it is, passes over what is no number, too
        return None


def _alpha(page: Any) -> int | None:
    extra = page.tags.valueof(_EXTRA, ())
    kinds = [int(kind) for kind in (extra if isinstance(extra, tuple) else (extra,))]
    first = page.samplesperpixel - len(kinds)
    return next((first + index for index, kind in enumerate(kinds) if kind in ALPHA), None)


def _channels(path: Path) -> Iterator[Shaped[np.ndarray, "H W"]]:
    """The values of a TIFF as they are stored, a channel at a time; alpha keeps its place."""
    import tifffile

    with access(path), path.open("rb") as stream:
        # Of 8 bit Pillow changes nothing, and it knows more compressions than tifffile.
        with suppress(DataError), opened(path, stream, MAX_PIXELS) as image:
            if image.mode in ("L", "LA", "P", "RGB", "RGBA") and bits_a_channel(image, b"") == 8:
                for index in range(len(image.getbands())):
                    yield np.array(image.getchannel(index))
                return
        stream.seek(0)
        try:
            with tifffile.TiffFile(stream) as file:
                page: Any = file.pages.first
                pixels = page.asarray()
                pixels = pixels if page.axes == "SYX" else np.moveaxis(np.atleast_3d(pixels), 2, 0)
        except Exception as fault:
            pixels = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8), cv2.IMREAD_UNCHANGED)
            if pixels is None:
                raise DataError(
                    f"{path}: its pixels without data cannot be found ({fault}): write it with "
                    "another compression, gdal_translate -co COMPRESS=DEFLATE"
                ) from None
            pixels = np.moveaxis(np.atleast_3d(pixels), 2, 0)
        yield from pixels
