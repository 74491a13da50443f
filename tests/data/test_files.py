"""One reader for images and masks: what it gives for every kind of file, and what it refuses."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_trees import random_image, stripes, write_png
from PIL import Image, ImageOps

from effunet.data.files.images import read_image
from effunet.data.files.masks import read_mask, read_raw_mask
from effunet.data.files.opening import read_size, seems_cut
from effunet.data.files.pixels import GREY
from effunet.errors import DataError, ResourceError
from effunet.labels import LabelMap
from effunet.values import UnknownValues

INDICES = LabelMap.from_plain({"classes": ["a", "b", "c"], "ignore": [255]})
PAINTED = LabelMap.from_plain(
    {
        "classes": [
            {"name": "sky", "values": [[10, 20, 30]]},
            {"name": "road", "values": [[0, 0, 0], [255, 255, 255]]},
        ]
    }
)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png_by_hand(size: tuple[int, int], depth: int, color: int, rows: bytes) -> bytes:
    """A PNG of (height, width) whose header may claim anything."""
    header = struct.pack(">IIBBBBB", size[1], size[0], depth, color, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(rows), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(png_chunk, chunks, chunks.values()))


def smooth(size: tuple[int, int] = (24, 40)) -> np.ndarray:
    """An image that JPEG keeps within a few grey levels."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.stack([rows * 5, columns * 3, rows + columns], 2).astype(np.uint8)


# --- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_an_image_is_turned_as_its_exif_orientation_says(
    tmp_path: Path, orientation: int, ending: str
) -> None:
    image = Image.fromarray(random_image(0, (5, 8)))
    exif = Image.Exif()
    exif[274] = orientation
    image.save(tmp_path / f"a.{ending}", exif=exif)
    with Image.open(tmp_path / f"a.{ending}") as stored:
        expected = np.array(ImageOps.exif_transpose(stored).convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{ending}"), expected)
    assert expected.shape[:2] == ((5, 8) if orientation < 5 else (8, 5))


def test_a_16_bit_grey_image_is_scaled_and_not_cut(tmp_path: Path) -> None:
    deep = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)
    for name in ("a.png", "a.tif", "a.pgm"):
        Image.fromarray(deep).save(tmp_path / name)
        pixels = read_image(tmp_path / name)
        np.testing.assert_array_equal(pixels[0, :, 0], [0, 0, 1, 1, 128, 255])
        assert pixels.shape == (1, 6, 3)


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_16_bit_colour_image_is_scaled_channel_by_channel(
    tmp_path: Path, ending: str, channels: int
) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (6, 7, channels), np.uint16)
    assert cv2.imwrite(str(tmp_path / f"a.{ending}"), deep)  # blue first, as OpenCV has it
    expected = np.round(deep[..., 2::-1] / 257).astype(np.uint8)
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{ending}"), expected)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_16_bit_colour_image_is_turned_once(
    tmp_path: Path, ending: str, orientation: int
) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (5, 8, 3), np.uint16)
    assert cv2.imwrite(str(tmp_path / f"a.{ending}"), deep)
    data = (tmp_path / f"a.{ending}").read_bytes()
    exif = Image.Exif()
    exif[274] = orientation
    tags = exif.tobytes().removeprefix(b"Exif\0\0")
    if ending == "png":
        data = data[:33] + png_chunk(b"eXIf", tags) + data[33:]
    else:  # one more entry at the end of the file's only list of tags, which is sorted by number
        place = int.from_bytes(data[4:8], "little")
        count = int.from_bytes(data[place : place + 2], "little")
        entries = [data[place + 2 + 12 * i : place + 14 + 12 * i] for i in range(count)]
        entries = [e for e in entries if e[:2] != b"\x12\x01"]
        entries.append(struct.pack("<HHIHH", 274, 3, 1, orientation, 0))
        entries.sort(key=lambda entry: entry[:2][::-1])
        listed = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
        data = data[:4] + struct.pack("<I", len(data)) + data[8:] + listed
    (tmp_path / f"a.{ending}").write_bytes(data)
    stored = np.round(deep[..., ::-1] / 257).astype(np.uint8)
    upright = {1: stored, 3: stored[::-1, ::-1], 6: stored.swapaxes(0, 1)[:, ::-1]}[orientation]
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{ending}"), upright)


def test_grey_palette_alpha_and_1_bit_images_become_rgb(tmp_path: Path) -> None:
    rgb = random_image(1, (6, 9))
    image = Image.fromarray(rgb)
    opaque = image.copy()
    opaque.putalpha(7)
    opaque.save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), rgb)

    grey = image.convert("L")
    grey.save(tmp_path / "grey.png")
    Image.merge("LA", [grey, grey]).save(tmp_path / "grey_alpha.png")
    three = np.stack([np.array(grey)] * 3, 2)
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), three)
    np.testing.assert_array_equal(read_image(tmp_path / "grey_alpha.png"), three)

    palette = image.quantize(16)
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(
        read_image(tmp_path / "palette.png"), np.array(palette.convert("RGB"))
    )
    bits = grey.point(lambda v: 255 * (v > 100)).convert("1")
    bits.save(tmp_path / "bits.png")
    assert set(np.unique(read_image(tmp_path / "bits.png"))) == {0, 255}
    assert read_image(tmp_path / "bits.png").shape == (6, 9, 3)


def test_a_cmyk_jpeg_becomes_the_rgb_that_it_shows(tmp_path: Path) -> None:
    rgb = smooth()
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    difference = np.abs(read_image(tmp_path / "a.jpg").astype(int) - rgb)
    assert difference.mean() < 3


def test_one_channel_is_the_luma_of_an_rgb_image(tmp_path: Path) -> None:
    image = Image.fromarray(random_image(2, (6, 9)))
    image.save(tmp_path / "a.png")
    grey = read_image(tmp_path / "a.png", GREY)
    assert grey.shape == (6, 9, 1)
    difference = np.abs(grey[..., 0].astype(int) - np.array(image.convert("L")))
    assert difference.max() <= 1  # the two libraries round luma differently


def test_an_image_can_be_written_to(tmp_path: Path) -> None:
    for name, image in (("a.png", random_image(0)), ("b.png", random_image(0)[..., 0])):
        assert read_image(write_png(tmp_path / name, image)).flags.writeable
    assert read_mask(write_png(tmp_path / "m.png", stripes((0, 1))), INDICES).flags.writeable


@pytest.mark.parametrize("name", ["größe straße 道.png", "-q.png", "a=[b]'\"\n.png", "é" * 120])
def test_any_name_can_be_read(tmp_path: Path, name: str) -> None:
    write_png(tmp_path / "plain.png", random_image(3))
    file = (tmp_path / "plain.png").rename(tmp_path / name)
    np.testing.assert_array_equal(read_image(file), random_image(3))


# --- refused --------------------------------------------------------------------------------------


def refusal(file: Path) -> str:
    """The one line with which a file is refused, as an image and as a mask."""
    with pytest.raises(DataError) as caught:
        read_image(file)
    with pytest.raises(DataError):
        read_mask(file, INDICES)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "bmp", "gif"])
def test_a_truncated_file_is_a_fault_and_no_grey_area(
    tmp_path: Path, kept: float, ending: str
) -> None:
    file = tmp_path / f"a.{ending}"
    Image.fromarray(random_image(4, (64, 64))).save(file)
    data = file.read_bytes()
    file.write_bytes(data[: int(kept * len(data))])
    refusal(file)
    if ending in ("jpg", "png"):
        assert seems_cut(file)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_missing_end_mark_alone_is_a_truncation(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    Image.fromarray(smooth()).save(file)
    assert not seems_cut(file)
    file.write_bytes(file.read_bytes()[:-2])
    assert "damaged" in refusal(file)
    assert seems_cut(file)


def test_bytes_behind_the_end_of_a_jpeg_are_no_fault(tmp_path: Path) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.jpg")
    expected = read_image(tmp_path / "a.jpg")
    with (tmp_path / "a.jpg").open("ab") as file:
        file.write(b"\0" * 100)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), expected)
    assert not seems_cut(tmp_path / "a.jpg")


def test_a_film_behind_the_photo_and_a_thumbnail_inside_are_not_its_end(tmp_path: Path) -> None:
    thumbnail = tmp_path / "small.jpg"
    Image.fromarray(smooth((8, 8))).save(thumbnail)
    small = thumbnail.read_bytes()
    file = tmp_path / "motion.jpg"
    inside = b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small
    Image.fromarray(smooth()).save(file, progressive=True)
    data = file.read_bytes()
    photo = data[:2] + inside + data[2:]
    file.write_bytes(photo + b"ftypmp42 \xff\xda film")  # FF DA would start a scan
    assert np.abs(read_image(file).astype(int) - smooth()).mean() < 5
    file.write_bytes(photo[:-2])
    assert "end of the JPEG is missing" in refusal(file)


def test_every_flipped_bit_in_the_pixels_of_a_png_is_found(tmp_path: Path) -> None:
    file = write_png(tmp_path / "a.png", stripes((0, 1, 2)))
    data = file.read_bytes()
    start = data.index(b"IDAT") + 4
    for place in range(start, len(data) - 12):
        broken = bytearray(data)
        broken[place] ^= 1
        file.write_bytes(bytes(broken))
        with pytest.raises(DataError, match="damaged"):
            read_mask(file, INDICES)


def test_an_empty_file_a_text_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert "0 bytes" in refusal(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("see the other folder")
    assert "it starts with b'see the other fo'" in refusal(tmp_path / "text.png")
    assert "No such file" in refusal(tmp_path / "nothing.png")
    (tmp_path / "folder.png").mkdir()
    assert "directory" in refusal(tmp_path / "folder.png")


def test_a_file_without_permission_is_a_fault_of_resources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(ResourceError, match="permission"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(("size", "depth"), [((40_000, 40_000), 8), ((30_000, 30_000), 1)])
def test_a_header_that_claims_too_many_pixels_is_refused_unread(
    tmp_path: Path, size: tuple[int, int], depth: int
) -> None:
    file = tmp_path / "bomb.png"
    file.write_bytes(png_by_hand(size, depth, 0, b"\0" * 100))
    assert f"{size[1]} x {size[0]} pixels" in refusal(file)
    with pytest.raises(DataError, match="limit of 500000000"):
        read_size(file)


def test_the_pixel_limit_is_ours_alone_and_leaves_pillows_own_in_place(tmp_path: Path) -> None:
    file = tmp_path / "wide.png"
    file.write_bytes(png_by_hand((20_000, 20_000), 8, 0, b""))  # over Pillow's limit, below ours
    before = Image.MAX_IMAGE_PIXELS
    assert before is not None and read_size(file) == (20_000, 20_000)
    with pytest.raises(DataError, match="limit of 1000000"):
        read_size(file, max_pixels=1_000_000)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("ending", ["tif", "gif", "webp", "png"])
def test_several_pages_are_refused(tmp_path: Path, ending: str) -> None:
    first, second = (Image.fromarray(random_image(seed)) for seed in (0, 1))
    first.save(tmp_path / f"a.{ending}", save_all=True, append_images=[second])
    assert "2 pages" in refusal(tmp_path / f"a.{ending}")


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.5])
def test_floating_point_is_refused_with_or_without_nan(tmp_path: Path, value: float) -> None:
    Image.fromarray(np.full((4, 4), value, np.float32)).save(tmp_path / "a.tif")
    assert "floating point" in refusal(tmp_path / "a.tif")


def test_32_bit_images_are_refused_and_such_masks_read(tmp_path: Path) -> None:
    Image.fromarray(stripes((0, 1, 2)).astype(np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="32 bit"):
        read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif", INDICES), stripes((0, 1, 2)))


# --- masks ----------------------------------------------------------------------------------------


def test_the_same_mask_as_grey_palette_16_bit_and_tiff_is_the_same(tmp_path: Path) -> None:
    mask = stripes((0, 1, 2, 255))
    expected = read_mask(write_png(tmp_path / "grey.png", mask), INDICES)
    np.testing.assert_array_equal(expected, mask)
    palette = [9, 9, 9, 200, 0, 0, 0, 200, 0] + [0] * 759
    files = [
        write_png(tmp_path / "palette.png", mask, palette),
        write_png(tmp_path / "deep.png", mask.astype(np.uint16)),
        write_png(tmp_path / "grey.tif", mask),
        write_png(tmp_path / "deep.tif", mask.astype(np.uint16)),
        write_png(tmp_path / "grey.bmp", mask),
    ]
    for file in files:
        np.testing.assert_array_equal(read_mask(file, INDICES), expected)


def test_a_1_bit_mask_holds_0_and_1(tmp_path: Path) -> None:
    mask = stripes((0, 1))
    Image.fromarray(mask * 255).convert("1").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", INDICES), mask)


@pytest.mark.parametrize("depth", [2, 4])
def test_grey_of_2_and_4_bit_is_not_spread_over_0_to_255(tmp_path: Path, depth: int) -> None:
    # Tools that make PNGs small write such files without being asked.
    packed = bytes([0b00011011]) if depth == 2 else bytes([0x01, 0x23])
    (tmp_path / "a.png").write_bytes(png_by_hand((2, 4), depth, 0, 2 * (b"\0" + packed)))
    np.testing.assert_array_equal(read_raw_mask(tmp_path / "a.png"), [[0, 1, 2, 3]] * 2)


def test_a_mask_is_never_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(stripes((0, 1, 2))).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", INDICES), stripes((0, 1, 2)))


def test_a_colour_mask_needs_a_map_of_colours(tmp_path: Path) -> None:
    file = write_png(tmp_path / "a.png", random_image(0))
    with pytest.raises(DataError, match=r"mode RGB.*`values: \[\[r, g, b\]\]`"):
        read_mask(file, INDICES)


def test_a_map_of_colours_reads_rgb_rgba_palette_and_grey(tmp_path: Path) -> None:
    index = stripes((0, 1, 2))
    palette = np.array([[10, 20, 30], [0, 0, 0], [255, 255, 255]], np.uint8)
    expected = np.array([0, 1, 1], np.uint8)[index]
    rgb = Image.fromarray(palette[index])
    rgb.save(tmp_path / "rgb.png")
    opaque = rgb.copy()
    opaque.putalpha(255)
    opaque.save(tmp_path / "rgba.png")
    write_png(tmp_path / "palette.png", index, palette.reshape(-1).tolist())
    for name in ("rgb.png", "rgba.png", "palette.png"):
        np.testing.assert_array_equal(read_mask(tmp_path / name, PAINTED), expected)
    deep = write_png(tmp_path / "deep.png", np.full((2, 2), 40_000, np.uint16))
    with pytest.raises(UnknownValues, match=r"40000 \(4 px\)"):
        read_mask(deep, PAINTED)  # and not white, which is a road
    black_and_white = write_png(tmp_path / "grey.png", 255 * stripes((0, 1)))
    assert (read_mask(black_and_white, PAINTED) == 1).all()


def test_an_unknown_value_names_the_file(tmp_path: Path) -> None:
    file = write_png(tmp_path / "a.png", stripes((0, 200)))
    with pytest.raises(UnknownValues) as caught:
        read_mask(file, INDICES)
    assert str(caught.value).startswith(f"{file}: the mask holds 200 (768 px)")
    assert caught.value.counts == {200: 768}


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_a_lossy_mask_is_refused(tmp_path: Path, ending: str) -> None:
    Image.fromarray(stripes((0, 1))).save(tmp_path / f"a.{ending}")
    with pytest.raises(DataError, match="save the masks as PNG"):
        read_mask(tmp_path / f"a.{ending}", INDICES)
