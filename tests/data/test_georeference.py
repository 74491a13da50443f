"""The georeference of a GeoTIFF, as GDAL reads it before and after a prediction."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from tiny_segmenter import LABELS, random_image, saved, tiny_segmenter

from effunet.cli import main
from effunet.data.files.georeference import (
    LONGEST,
    Georeference,
    gaps,
    mask_tiff,
    probabilities_tiff,
    read_georeference,
)
from effunet.errors import DataError
from effunet.pictures.palettes import palette

HEIGHT, WIDTH = 40, 56

# A square of 20 cm pixels in UTM zone 32 north (EPSG:32632), as GDAL writes it.
SCALE = (33550, 12, 3, (0.2, 0.2, 0.0), True)
TIEPOINT = (33922, 12, 6, (0.0, 0.0, 0.0, 500000.25, 5200000.75, 0.0), True)
KEYS = (34735, 3, 16, (1, 1, 1, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632), True)
NAME = (34737, 2, 0, "Gau\u00df-Kr\u00fcger|".encode("latin-1"), True)
RPC = (50844, 12, 92, tuple(np.arange(92) / 7), True)


def geotiff(
    file: Path, pixels: np.ndarray, *tags: Any, nodata: str | None = None, **options: Any
) -> Path:
    """A TIFF with these tags, written without GDAL."""
    tags = tags or (SCALE, TIEPOINT, KEYS)
    if nodata is not None:
        tags += ((42113, 2, 0, nodata, True),)
    options.setdefault("photometric", "rgb")
    tifffile.imwrite(file, pixels, extratags=tags, metadata=None, **options)
    return file


def photo(seed: int = 0) -> np.ndarray:
    return random_image(HEIGHT, WIDTH, seed)


def values(file: Path) -> dict[int, Any]:
    with tifffile.TiffFile(file) as tiff:
        return {tag.code: tag.value for tag in tiff.pages.first.tags}


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_every_tag_of_the_place_comes_back_byte_by_byte(
    tmp_path: Path, byteorder: str, bigtiff: bool
) -> None:
    matrix = (34264, 12, 16, (0.2, 0.1, 0, 5e5, 0.1, -0.2, 0, 5e6, *[0] * 7, 1), True)
    numbers = (34736, 12, 2, (6378137.0, 298.257223563), True)
    tags = (SCALE, TIEPOINT, matrix, KEYS, numbers, NAME, RPC)
    file = geotiff(tmp_path / "a.tif", photo(), *tags, byteorder=byteorder, bigtiff=bigtiff)
    place = read_georeference(file)
    assert place is not None and place.byte_order == byteorder
    assert [tag.code for tag in place.tags] == [33550, 33922, 34264, 34735, 34736, 34737, 50844]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    (tmp_path / "b.tif").write_bytes(mask_tiff(mask, palette(LABELS), place))
    again = read_georeference(tmp_path / "b.tif")
    assert again == place
    before, after = values(file), values(tmp_path / "b.tif")
    assert all(before[tag.code] == after[tag.code] for tag in place.tags)


def test_other_files_have_no_georeference(tmp_path: Path) -> None:
    for ending in ("png", "jpg", "tif", "bmp"):
        Image.fromarray(photo()).save(tmp_path / f"a.{ending}")
        assert read_georeference(tmp_path / f"a.{ending}") is None
    (tmp_path / "empty.tif").write_bytes(b"")
    assert read_georeference(tmp_path / "empty.tif") is None
    with pytest.raises(DataError, match="cannot be read"):
        read_georeference(tmp_path / "gone.tif")


def test_damaged_tags_are_one_line_and_take_no_memory(tmp_path: Path) -> None:
    whole = geotiff(tmp_path / "a.tif", photo(), SCALE, TIEPOINT, KEYS, NAME).read_bytes()
    place = whole.index(struct.pack("<HHI", 33922, 12, 6))
    for count in (2**32 - 1, LONGEST):
        damaged = bytearray(whole)
        struct.pack_into("<I", damaged, place + 4, count)
        (tmp_path / "b.tif").write_bytes(damaged)
        found = _read_or_refuse(tmp_path / "b.tif")
        assert found is None or all(len(tag.data) <= LONGEST for tag in found.tags)
    longest = (34737, 2, 0, b"x" * (LONGEST + 8), True)
    with pytest.raises(DataError, match=r"damaged TIFF header.*34737.*gdal_translate"):
        read_georeference(geotiff(tmp_path / "c.tif", photo(), SCALE, longest))
    for length in (4, 7, 8, 20, 100):
        (tmp_path / "cut.tif").write_bytes(whole[:length])
        _read_or_refuse(tmp_path / "cut.tif")


def _read_or_refuse(file: Path) -> Georeference | None:
    try:
        return read_georeference(file)
    except DataError as fault:
        assert "\n" not in str(fault)
        return None


def test_a_turned_geotiff_is_refused(tmp_path: Path) -> None:
    turned = (274, 3, 1, 6, True)
    file = geotiff(tmp_path / "a.tif", photo(), SCALE, TIEPOINT, KEYS, turned)
    with pytest.raises(DataError, match=r"orientation 6.*write it upright"):
        read_georeference(file)


def _gaps(file: Path) -> np.ndarray | None:
    place = read_georeference(file)
    assert place is not None
    return gaps(file, place)


def test_a_pixel_is_empty_where_every_channel_is_the_no_data_value(tmp_path: Path) -> None:
    pixels = np.maximum(photo(), 1)
    pixels[:3], pixels[3, :5, 0] = 0, 0  # one channel alone is a dark colour
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[:3] = True
    for compression in (None, "zlib"):
        file = geotiff(tmp_path / "a.tif", pixels, nodata="0", compression=compression)
        assert np.array_equal(_gaps(file), expected)
    planar = {"planarconfig": "separate"}
    deep = np.ascontiguousarray(np.moveaxis(pixels.astype(np.uint16) * 200, 2, 0))
    assert np.array_equal(_gaps(geotiff(tmp_path / "b.tif", deep, nodata="0", **planar)), expected)
    grey = np.where(expected, np.nan, 0.5).astype(np.float32)
    file = geotiff(tmp_path / "c.tif", grey, nodata="nan", photometric="minisblack")
    assert np.array_equal(_gaps(file), expected)
    assert _gaps(geotiff(tmp_path / "d.tif", pixels, nodata="-9999")).sum() == 0
    assert _gaps(geotiff(tmp_path / "e.tif", pixels)) is None
    assert _gaps(geotiff(tmp_path / "f.tif", pixels, nodata="none")) is None


def test_no_data_is_looked_for_in_the_stored_values_and_not_in_those_of_8_bit(
    tmp_path: Path,
) -> None:
    deep = np.full((HEIGHT, WIDTH, 3), 100, np.uint16)  # scaled to 8 bit it is 0, too
    deep[0] = 0
    found = _gaps(geotiff(tmp_path / "a.tif", deep, nodata="0"))
    assert found[0].all() and not found[1:].any()


def test_a_pixel_is_empty_where_its_alpha_is_0(tmp_path: Path) -> None:
    pixels = np.dstack([photo(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    pixels[5:9, 2:4, 3] = 0
    file = geotiff(tmp_path / "a.tif", pixels, extrasamples=["unassalpha"])
    assert np.array_equal(_gaps(file), pixels[..., 3] == 0)
    other = geotiff(tmp_path / "b.tif", pixels, extrasamples=["unspecified"])
    assert _gaps(other) is None


# Through predict


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("model"))


def test_predict_writes_a_tiff_for_a_geotiff_and_a_png_for_the_rest(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    photos, out = tmp_path / "in", tmp_path / "out"
    photos.mkdir()
    pixels = np.maximum(photo(), 1)
    pixels[:3] = 0
    geotiff(photos / "a.tif", pixels, nodata="0")
    Image.fromarray(photo()).save(photos / "b.tif")
    words = ["predict", str(model), str(photos), "--out", str(out)]
    assert main([*words, "--overlay", "--probabilities"]) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {
        *("a.tif", "a_overlay.png", "a_probabilities.tif"),
        *("b.png", "b_overlay.png", "b.npy"),
    }
    expected = tiny_segmenter()(photos / "a.tif")
    mask = expected.mask.copy()
    mask[:3] = 255
    with Image.open(out / "a.tif") as picture:
        assert picture.mode == "P" and np.array_equal(np.array(picture), mask)
        assert picture.getpalette()[:9] == LABELS.palette.ravel().tolist()
    stored = tifffile.imread(out / "a_probabilities.tif")
    assert stored.dtype == np.float16 and np.isnan(stored[:, :3]).all()
    assert np.array_equal(stored[:, 3:], expected.probabilities.astype(np.float16)[:, 3:])
    printed = capsys.readouterr().out
    assert "1 of them GeoTIFFs: .tif masks with their georeference" in printed
    assert "no data 4 %" in printed  # 3 of 80 rows


def test_a_mask_never_takes_the_place_of_its_geotiff(model: Path, tmp_path: Path) -> None:
    before = geotiff(tmp_path / "a.tif", photo()).read_bytes()
    assert main(["predict", str(model), str(tmp_path / "a.tif"), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "a.tif").read_bytes() == before
    assert (tmp_path / "a-2.tif").is_file()


def test_a_network_of_one_class_has_one_channel(tmp_path: Path) -> None:
    place = read_georeference(geotiff(tmp_path / "a.tif", photo()))
    assert place is not None
    one = np.ones((1, HEIGHT, WIDTH), np.float16)
    stored = tifffile.imread(io.BytesIO(probabilities_tiff(one, ["all"], place)))
    assert np.array_equal(stored, one[0])


# GDAL's word


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize(
    "options",
    [
        {"compress": "none"},
        {"compress": "lzw", "ENDIANNESS": "BIG"},
        {"compress": "deflate", "BIGTIFF": "YES", "tiled": True},
    ],
    ids=lambda options: options["compress"],
)
def test_gdal_finds_the_same_place_and_the_colours_after_a_prediction(
    model: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    rasterio = pytest.importorskip("rasterio", reason="rasterio, which brings GDAL, is missing")
    pixels = np.maximum(photo(), 1)
    pixels[:, :4] = 0
    grid = rasterio.Affine(0.2, 0.01, 500000.25, 0.01, -0.2, 5200000.75)  # turned a little, too
    if "tiled" in options:
        options = options | {"blockxsize": 16, "blockysize": 16}
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=HEIGHT, width=WIDTH, count=3,
        dtype="uint8", crs="EPSG:32632", transform=grid, nodata=0, **options,
    ) as image:  # fmt: skip
        image.write(np.moveaxis(pixels, 2, 0))
        before = (image.crs, image.transform, image.bounds, image.width, image.height)
    out = tmp_path / "out"
    words = ["predict", str(model), str(tmp_path / "a.tif"), "--out", str(out), "--probabilities"]
    assert main(words) == 0
    with rasterio.open(out / "a.tif") as mask:
        assert (mask.crs, mask.transform, mask.bounds, mask.width, mask.height) == before
        assert mask.count == 1 and mask.dtypes == ("uint8",) and mask.nodata == 255
        assert mask.colorinterp[0].name == "palette"
        assert [mask.colormap(1)[i][:3] for i in range(3)] == [c.color for c in LABELS.classes]
        indices = mask.read(1)
        assert (indices[:, :4] == 255).all() and (indices[:, 4:] < 3).all()
        assert np.array_equal(mask.read_masks(1) == 0, indices == 255)
    with rasterio.open(out / "a_probabilities.tif") as shares:
        assert (shares.crs, shares.transform) == before[:2]
        assert shares.descriptions == LABELS.names and np.isnan(shares.nodata)
        assert np.allclose(shares.read()[:, :, 4:].sum(0), 1, atol=2e-3)


def test_gdal_finds_ground_control_points_and_rational_polynomials_again(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="rasterio, which brings GDAL, is missing")
    points = tuple(float(n) for n in (0, 0, 0, 7, 50, 0, 55, 0, 0, 8, 50, 0, 0, 39, 0, 7, 49, 0))
    keys = (34735, 3, 16, (1, 1, 1, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326), True)
    file = geotiff(tmp_path / "a.tif", photo(), (33922, 12, 18, points, True), keys, RPC)
    place = read_georeference(file)
    assert place is not None
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    (tmp_path / "b.tif").write_bytes(mask_tiff(mask, palette(LABELS), place))
    with rasterio.open(file) as image, rasterio.open(tmp_path / "b.tif") as mask:
        assert len(image.gcps[0]) == 3
        assert [point.asdict() | {"id": 0} for point in image.gcps[0]] == [
            point.asdict() | {"id": 0} for point in mask.gcps[0]
        ]
        assert image.gcps[1] == mask.gcps[1]
        assert image.rpcs is not None and image.rpcs == mask.rpcs
