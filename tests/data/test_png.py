"""Our reading of plain PNG: Pillow's very pixels, or a refusal that leaves the file to Pillow."""

import io
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from effunet.data.files import png
from effunet.data.files.png import PNG_GREY, PNG_PALETTE, PNG_RGB, SIGNATURE, read_plain_png

KINDS = (PNG_GREY, PNG_RGB, PNG_PALETTE)
LIMIT = 10**6


@pytest.fixture(params=["isal", "zlib"])
def inflater(request, monkeypatch):
    """Both ways of inflating."""
    module = pytest.importorskip("isal.isal_zlib") if request.param == "isal" else zlib
    monkeypatch.setattr(png, "inflater", module)


def saved(image: Image.Image, **how) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **how)
    return file.getvalue()


def picture(mode="RGB", size=(20, 31), seed=0) -> Image.Image:
    """Noise beside ramps, so that every filter of rows comes to be used."""
    draw = np.random.default_rng(seed)
    shape = (*size, 3) if mode == "RGB" else size
    rows = np.arange(size[0]).reshape(-1, 1, *[1] * (mode == "RGB"))
    pixels = (draw.integers(0, 256, shape) // (1 + rows % 5 * 40) + 2 * rows) % 256
    image = Image.fromarray(pixels.astype(np.uint8))
    if mode == "P":
        image.putpalette(draw.integers(0, 256, 768, dtype=np.uint8).tobytes())
    return image


def chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def made(header: bytes, stream: bytes, *others: bytes) -> bytes:
    return b"".join(
        [SIGNATURE, chunk(b"IHDR", header), *others, chunk(b"IDAT", stream), chunk(b"IEND", b"")]
    )


def header(height=2, width=3, bits=8, kind=PNG_GREY, compression=0, filters=0, interlace=0):
    return struct.pack(">II5B", width, height, bits, kind, compression, filters, interlace)


ROWS = b"\0abc\0def"  # two rows of three greys, unfiltered


@pytest.mark.usefixtures("inflater")
@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("size", [(1, 1), (20, 31), (300, 257), (3, 70_000)])
def test_pixels_are_those_of_pillow(mode, level, size):
    image = picture(mode, size)
    got = read_plain_png(saved(image, compress_level=level), LIMIT, KINDS)
    assert got is not None and got.dtype == np.uint8
    assert np.array_equal(got, np.array(image))


@settings(max_examples=80, deadline=None)
@given(
    mode=st.sampled_from(["L", "P", "RGB"]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    filters=st.integers(0, 4),
)
def test_every_filter_of_rows_is_undone(mode, height, width, seed, filters):
    image = picture(mode, (height, width), seed)
    channels = cv2.cvtColor(np.array(image), cv2.COLOR_RGB2BGR) if mode == "RGB" else image
    done, file = cv2.imencode(
        ".png", np.array(channels), [cv2.IMWRITE_PNG_FILTER, 1 << (filters + 3)]
    )
    assert done
    expected = np.array(Image.open(io.BytesIO(file.tobytes())))
    assert np.array_equal(read_plain_png(file.tobytes(), LIMIT, KINDS), expected)


@settings(max_examples=120, deadline=None)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), mode=st.sampled_from(["L", "P", "RGB"]))
def test_a_changed_bit_anywhere_is_left_to_pillow(place, bit, mode):
    data = bytearray(saved(picture(mode)))
    data[place % len(data)] ^= 1 << bit
    assert read_plain_png(bytes(data), LIMIT, KINDS) is None


@pytest.mark.usefixtures("inflater")
def test_a_file_that_is_cut_anywhere_is_left_to_pillow():
    data = saved(picture())
    for length in range(len(data)):
        assert read_plain_png(data[:length], LIMIT, KINDS) is None


@pytest.mark.usefixtures("inflater")
@pytest.mark.parametrize(
    "changes",
    [
        {"bits": 4},
        {"bits": 16},
        {"kind": 4},
        {"kind": 6},
        {"interlace": 1},
        {"compression": 1},
        {"filters": 1},
        {"height": 0},
        {"width": 0},
        {"height": 3},
        {"width": 2},
        {"height": 1000, "width": 1001},
    ],
)
def test_another_header_than_that_of_a_plain_file_is_left_to_pillow(changes):
    assert read_plain_png(made(header(), zlib.compress(ROWS)), LIMIT, KINDS) is not None
    assert read_plain_png(made(header(**changes), zlib.compress(ROWS)), LIMIT, KINDS) is None


@pytest.mark.usefixtures("inflater")
@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"x",
        zlib.compress(ROWS)[:-1],
        zlib.compress(ROWS) + b"more",
        zlib.compress(ROWS)[:-4] + b"\0\0\0\0",  # a wrong checksum of the rows
        zlib.compress(ROWS[:-1]),
        zlib.compress(ROWS + b"g"),
        zlib.compress(b"\5abc\0def"),  # there are filters 0 to 4
    ],
)
def test_a_stream_that_is_not_exactly_the_rows_is_left_to_pillow(stream):
    assert read_plain_png(made(header(), stream), LIMIT, KINDS) is None


@pytest.mark.usefixtures("inflater")
def test_a_bomb_takes_no_more_memory_than_its_header_claims():
    bomb = made(header(), zlib.compress(bytes(10**8)))
    tracemalloc.start()
    assert read_plain_png(bomb, LIMIT, KINDS) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21


def test_notes_and_colour_profiles_are_no_reason_to_refuse_and_what_may_turn_is():
    whole, notes = picture(), PngImagePlugin.PngInfo()
    notes.add_text("Software", "a camera")
    plain = saved(whole, pnginfo=notes, gamma=0.45, dpi=(72, 72), icc_profile=b"x" * 200)
    assert np.array_equal(read_plain_png(plain, LIMIT, KINDS), np.array(whole))
    exif = Image.Exif()
    exif[274] = 6
    assert read_plain_png(saved(whole, exif=exif), LIMIT, KINDS) is None
    for keyword in ("XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1"):
        notes = PngImagePlugin.PngInfo()
        notes.add_itxt(keyword, "x")
        assert read_plain_png(saved(whole, pnginfo=notes), LIMIT, KINDS) is None


@pytest.mark.parametrize("name", [b"acTL", b"abCD", b"IHDR"])
def test_a_chunk_that_is_unknown_animates_or_comes_twice_is_left_to_pillow(name):
    other = chunk(name, header())
    assert read_plain_png(made(header(), zlib.compress(ROWS), other), LIMIT, KINDS) is None


def test_a_transparent_colour_is_dropped_as_pillow_does():
    image = picture("P")
    data = saved(image, transparency=bytes(range(256)))
    assert np.array_equal(read_plain_png(data, LIMIT, KINDS), np.array(image))


def test_only_the_kinds_that_are_asked_for_are_read():
    files = {PNG_GREY: "L", PNG_RGB: "RGB", PNG_PALETTE: "P"}
    for kind, mode in files.items():
        for asked in KINDS:
            read = read_plain_png(saved(picture(mode)), LIMIT, (asked,))
            assert (read is not None) == (asked == kind)


@pytest.mark.parametrize("data", [b"", b"\x89PNG", SIGNATURE, b"\xff\xd8\xff" + bytes(99)])
def test_other_files_are_left_to_pillow(data):
    assert read_plain_png(data, LIMIT, KINDS) is None
