"""The bytes of a plain PNG -> its pixels, at half the cost of Pillow; None for every other file.

Three quarters of a PNG's cost is inflating. ISA-L does that at twice the speed of zlib, but decodes
no PNG; so the inflated rows are wrapped up once more, stored and not compressed, for OpenCV to undo
the filters of the rows. Nothing is lost: a PNG has one set of pixels, whoever decodes it.

What is not sound and plain to the last byte (a wrong checksum, a lost end, EXIF, other bits than
8, interlacing, alpha, animation) is left to Pillow and the rules round it, which say what is wrong.
Source: the W3C recommendation, chapters 5 to 11; RFC 1950 and 1951 of stored blocks.
"""

import struct
import zlib
from typing import cast

import cv2
import numpy as np
from jaxtyping import UInt8

try:
    from isal import isal_zlib as inflater
except ImportError:  # no wheel for this machine: as fast as Pillow
    inflater = zlib

_UNSOUND = (zlib.error, cast("type[Exception]", inflater.error))

SIGNATURE = b"\x89PNG\r\n\x1a\n"

PNG_GREY, PNG_RGB, PNG_PALETTE = 0, 2, 3
"""Kinds of colour, as IHDR numbers them."""

_SAMPLES = {PNG_GREY: 1, PNG_RGB: 3, PNG_PALETTE: 1}

# Beside these only text that is not EXIF or XMP, which may turn a picture.
_HARMLESS = (
    *(b"PLTE", b"tRNS", b"bKGD", b"hIST", b"sBIT"),
    *(b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"pHYs", b"tIME", b"IEND"),
)
_TEXT = (b"tEXt", b"zTXt", b"iTXt")

_STORED = 65535
"""Bytes of the longest stored block."""


def read_plain_png(
    data: bytes, max_pixels: int, kinds: tuple[int, ...]
) -> UInt8[np.ndarray, "H W"] | UInt8[np.ndarray, "H W 3"] | None:
    """Grey values or palette indices (H W) or RGB (H W 3) of a PNG of one of the kinds.

    None where the file is anything else than a sound PNG of 8 bit with no more than max_pixels.
    """
    if data[:16] != SIGNATURE + b"\0\0\0\rIHDR" or len(data) < 33:
        return None
    head = data[16:29]
    width, height = int.from_bytes(head[:4]), int.from_bytes(head[4:8])
    bits, kind, *methods = head[8:]
    if bits != 8 or kind not in kinds or any(methods):  # interlaced, or of no known method
        return None
    if not 0 < width * height <= max_pixels:
        return None
    stream = _stream(data)
    row = 1 + width * _SAMPLES[kind]
    rows = _inflated(stream, row * height)
    if rows is None or max(rows[::row]) > 4:  # a filter that there is not
        return None
    # To OpenCV a palette's indices are greys: it would show the colours otherwise.
    plain = head[:9] + bytes([PNG_GREY if kind == PNG_PALETTE else kind]) + head[10:]
    wrapped = np.frombuffer(_wrapped(plain, rows, stream[-4:]), np.uint8)
    flag = cv2.IMREAD_COLOR_RGB if kind == PNG_RGB else cv2.IMREAD_GRAYSCALE
    try:
        return cv2.imdecode(wrapped, flag)
    except cv2.error:  # more pixels than it is built for
        return None


def _stream(data: bytes) -> bytes:
    """What the IDAT chunks hold together; nothing, if a chunk is not sound or may matter."""
    view, parts, place, name = memoryview(data), list[memoryview](), 8, b""
    while name != b"IEND":
        length, before = int.from_bytes(data[place : place + 4]), name
        name, end = data[place + 4 : place + 8], place + 8 + length
        if inflater.crc32(view[place + 4 : end]) != int.from_bytes(data[end : end + 4]):
            return b""  # as at the end of a file that is cut
        if name == b"IDAT" and (before == b"IDAT" or not parts):
            parts.append(view[place + 8 : end])
        elif not (
            name in _HARMLESS
            or (name == b"IHDR" and place == 8)
            or _is_a_note(name, data[place + 8 : min(end, place + 88)])
        ):
            return b""
        place = end + 4
    return b"".join(parts)


def _is_a_note(name: bytes, start: bytes) -> bool:
    """Whether a chunk is text, and neither EXIF nor XMP, by its keyword of up to 79 bytes."""
    keyword = start.partition(b"\0")[0].lower()
    return name in _TEXT and not any(word in keyword for word in (b"xmp", b"exif", b"profile"))


def _inflated(stream: bytes, size: int) -> bytes | None:
    """What the stream holds, if that is sound and of this size; never takes more memory."""
    engine = inflater.decompressobj()
    try:
        rows = engine.decompress(stream, size)
        # What is left to read is the checksum.
        ends = not engine.decompress(engine.unconsumed_tail, 1) and engine.eof
    except _UNSOUND:
        return None
    return rows if ends and len(rows) == size and not engine.unused_data else None


def _wrapped(head: bytes, rows: bytes, checksum: bytes) -> bytes:
    """A PNG whose rows are stored and not compressed; the rows are copied once."""
    view = memoryview(rows)
    stream: list[bytes | memoryview] = [b"\x78\x01"]
    for first in range(0, len(rows), _STORED):
        part = view[first : first + _STORED]
        length, last = len(part), first + _STORED >= len(rows)
        stream += [struct.pack("<BHH", last, length, length ^ 0xFFFF), part]
    stream.append(checksum)
    pieces = _chunk(b"IHDR", [head]) + _chunk(b"IDAT", stream) + _chunk(b"IEND", [])
    return b"".join([SIGNATURE, *pieces])


def _chunk(name: bytes, parts: list[bytes | memoryview]) -> list[bytes | memoryview]:
    checksum = inflater.crc32(name)
    for part in parts:
        checksum = inflater.crc32(part, checksum)
    return [sum(map(len, parts)).to_bytes(4), name, *parts, checksum.to_bytes(4)]
