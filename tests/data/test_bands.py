"""TIFF images of any number of bands and number types, and ranges of raw values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from dataset_trees import stripes, write_png

from effunet.data.catalog import open_dataset
from effunet.data.files.images import read_image
from effunet.data.files.opening import read_size
from effunet.data.files.pixels import RGB, Pixels
from effunet.errors import DataError


def bands(channels: int, dtype: str = "uint8", size: tuple[int, int] = (12, 17)) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 250, (*size, channels))
    return values.astype(dtype)


def write_tiff(file: Path, pixels: np.ndarray, **options: Any) -> Path:
    usual = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(file, pixels, **(usual | options))
    return file


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd"])
@pytest.mark.parametrize("place", ["contig", "separate", "pages"])
def test_bands_are_read_wherever_the_file_has_them(
    tmp_path: Path, channels: int, compression: str | None, place: str
) -> None:
    pixels = bands(channels)
    stored = pixels if place == "contig" else np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
    config = None if place == "pages" or channels == 1 else place
    file = write_tiff(tmp_path / "a.tif", stored, compression=compression, planarconfig=config)
    np.testing.assert_array_equal(read_image(file, Pixels(channels, ((0.0, 255.0),))), pixels)
    assert read_size(file) == pixels.shape[:2]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
def test_a_range_maps_its_ends_to_0_and_255_and_cuts_what_lies_outside(
    tmp_path: Path, dtype: str
) -> None:
    pixels = np.array([[0, 20, 30, 50, 70, 100]], dtype)[..., None].repeat(5, 2)
    file = write_tiff(tmp_path / "a.tif", pixels)
    image = read_image(file, Pixels(5, ((20.0, 70.0),)))
    assert image[0, :, 0].tolist() == [0, 0, 51, 153, 255, 255]
    each = Pixels(5, tuple((0.0, 100.0 * (c + 1)) for c in range(5)))
    expected = [round(255 * 100 / (100 * (c + 1))) for c in range(5)]
    np.testing.assert_allclose(read_image(file, each)[0, 5], expected, atol=1)


def test_a_range_holds_for_16_bit_png_too(tmp_path: Path) -> None:
    file = write_png(tmp_path / "a.png", np.array([[0, 500, 1000, 60000]], np.uint16))
    assert read_image(file, Pixels(1, ((0.0, 1000.0),)))[0, :, 0].tolist() == [0, 128, 255, 255]
    assert read_image(file, RGB)[0, :, 0].tolist() == [0, 2, 4, 233]


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint32"])
def test_numbers_without_an_agreed_range_are_refused_with_the_key_that_gives_one(
    tmp_path: Path, dtype: str
) -> None:
    file = write_tiff(tmp_path / "a.tif", bands(5, dtype))
    with pytest.raises(DataError, match=rf"{dtype} pixels.*`value_range: \[low, high\]`"):
        read_image(file, Pixels(5))


def test_other_numbers_of_bands_nan_and_damage_are_refused(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.tif", bands(5))
    with pytest.raises(DataError, match=r"has 5 bands, .* 7 channels: write `channels: 5`"):
        read_image(file, Pixels(7))
    (tmp_path / "cut.tif").write_bytes(file.read_bytes()[:300])
    with pytest.raises(DataError, match=r"cut\.tif is damaged"):
        read_image(tmp_path / "cut.tif", Pixels(5))
    pixels = bands(5, "float32")
    pixels[3, 3, 2] = np.nan
    write_tiff(tmp_path / "nan.tif", pixels)
    with pytest.raises(DataError, match="no finite number"):
        read_image(tmp_path / "nan.tif", Pixels(5, ((0.0, 1.0),)))


def test_a_tiff_that_claims_a_giant_is_refused_from_its_header(tmp_path: Path) -> None:
    file = write_tiff(tmp_path / "a.tif", bands(5))
    for read in (lambda: read_image(file, Pixels(5), max_pixels=200), lambda: read_size(file, 200)):
        with pytest.raises(DataError, match="claims 17 x 12 pixels"):
            read()


def test_four_channels_of_a_png_are_red_green_blue_alpha(tmp_path: Path) -> None:
    pixels = bands(4)
    file = write_png(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_image(file, Pixels(4)), pixels)
    with pytest.raises(DataError, match="has 3 channels, and its dataset 4"):
        read_image(write_png(tmp_path / "b.png", pixels[..., :3]), Pixels(4))


def test_a_dataset_of_13_bands_is_described_and_read(tmp_path: Path) -> None:
    for place in ("train", "val"):
        for kind in ("images", "masks"):
            (tmp_path / place / kind).mkdir(parents=True)
        write_tiff(tmp_path / place / "images/a.tif", bands(13, "uint16"), compression="lzw")
        write_png(tmp_path / place / "masks/a.png", stripes((0, 1), size=(12, 17)))
    keys = {"classes": ["a", "b"], "channels": 13, "value_range": [0, 250]}
    keys |= {"mean": [0.5] * 13, "std": [0.2] * 13}
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(keys))
    dataset = open_dataset(tmp_path, "train")
    assert dataset.channels == 13 and dataset.pixels.mean == (0.5,) * 13
    expected = np.rint(bands(13) * (255 / 250)).astype(np.uint8)
    np.testing.assert_array_equal(dataset[0].image, expected)


def test_overviews_and_masks_of_a_geotiff_are_no_pages_of_their_own(tmp_path: Path) -> None:
    pixels = bands(3, size=(64, 80))
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(pixels, photometric="rgb")
        tiff.write(pixels[::2, ::2], photometric="rgb", subfiletype=1)
        tiff.write(pixels[..., 0] > 9, photometric="mask", subfiletype=4)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", Pixels(3, ((0, 255),))), pixels)
    with tifffile.TiffWriter(tmp_path / "b.tif") as tiff:
        for _ in range(2):
            tiff.write(pixels, photometric="rgb", metadata=None)
    with pytest.raises(DataError, match="2 pages"):
        read_image(tmp_path / "b.tif")


@pytest.mark.parametrize("order", ["<", ">"])
def test_files_above_4_gigabytes_have_a_header_of_their_own_which_is_read(
    tmp_path: Path, order: str
) -> None:
    pixels = bands(3)
    options = {"photometric": "rgb", "bigtiff": True, "byteorder": order}
    file = write_tiff(tmp_path / "a.tif", pixels, **options)
    np.testing.assert_array_equal(read_image(file), pixels)
    assert read_size(file) == (12, 17)
