"""The bytes of an image file -> the damage that decoders overlook: a lost end, a changed chunk.

Sources: JPEG is ITU-T T.81, annex B; PNG is the W3C recommendation, chapters 5 and 11.
"""

import re
import zlib

_END_OF_JPEG, _END_OF_PNG = b"\xff\xd9", b"IEND\xaeB`\x82"

# What starts a JPEG segment. Within a scan FF 00 is a data byte, and FF D0..D7 only restart.
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")


def refuse_broken(format: str | None, data: bytes) -> None:
    """Raise ValueError, saying what is wrong, if a whole file of Pillow's format is not sound."""
    if format in ("JPEG", "MPO") and not _jpeg_ends(data):
        raise ValueError("the end of the JPEG is missing")
    if format == "PNG":
        _check_png(data)


def lacks_end_mark(start: bytes, end: bytes) -> bool:
    """Whether the end of a file lacks the mark that its start, JPEG or PNG, promises."""
    mark = {b"\xff\xd8\xff": _END_OF_JPEG, b"\x89PN": _END_OF_PNG}.get(start[:3], b"")
    return mark not in end


def _jpeg_ends(data: bytes) -> bool:
    """Whether the picture itself ends: not its thumbnail, nor the film behind a motion photo."""
    place = 2
    while segment := _MARKER.search(data, place):
        if segment[1] == _END_OF_JPEG[1:]:
            return True
        place = segment.end() + int.from_bytes(data[segment.end() : segment.end() + 2])
    return False


def _check_png(data: bytes) -> None:
    """Walk over the chunks to the last one; every one carries a checksum."""
    place, kind = 8, b""
    while kind != b"IEND":
        length = int.from_bytes(data[place : place + 4])
        kind, end = data[place + 4 : place + 8], place + 8 + length
        if end + 4 > len(data):
            raise ValueError("the end of the PNG is missing")
        if zlib.crc32(memoryview(data)[place + 4 : end]) != int.from_bytes(data[end : end + 4]):
            raise ValueError(f"the checksum of PNG chunk {kind!r} is wrong")
        place = end + 4
