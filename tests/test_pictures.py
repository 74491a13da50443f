"""Pictures: what each pixel of them must be, and that they can be read."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_segmenter import LABELS, random_image

from effunet.labels import LabelClass, LabelMap
from effunet.pictures import Row, curves, mask_png, overlay, png, sheet

MASK = np.array([[0, 1, 2, 255]], np.uint8)


def test_an_overlay_runs_from_the_image_to_the_colours_and_never_covers_ignored_pixels() -> None:
    image = random_image(1, 4)
    assert np.array_equal(overlay(image, MASK, LABELS, 0.0), image)
    full = overlay(image, MASK, LABELS, 1.0)
    assert np.array_equal(full[0, :3], LABELS.palette)
    assert np.array_equal(full[0, 3], image[0, 3])
    half = overlay(image, MASK, LABELS, 0.5).astype(int)
    mean = (image[0, :3].astype(int) + LABELS.palette) / 2
    assert np.abs(half[0, :3] - mean).max() <= 1
    with pytest.raises(ValueError, match=r"\[0, 1\], got 2\.0"):
        overlay(image, MASK, LABELS, 2.0)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_an_image_of_any_channels_can_be_shown(channels: int) -> None:
    image = random_image(1, 4, channels=channels)
    shown = overlay(image, MASK, LABELS, 0.0)
    expected = image[..., [0, 0, 0]] if channels < 3 else image[..., :3]
    assert np.array_equal(shown, expected)


def test_a_mask_png_holds_the_indices_and_shows_the_colours() -> None:
    with Image.open(io.BytesIO(mask_png(MASK, LABELS))) as picture:
        assert picture.mode == "P"
        assert np.array_equal(np.array(picture), MASK)
        colours = np.array(picture.convert("RGB"))
    assert np.array_equal(colours, LABELS.colorize(MASK))
    assert mask_png(MASK, LABELS) == mask_png(MASK.copy(), LABELS)


def test_every_index_of_the_largest_map_survives_the_png() -> None:
    classes = tuple(LabelClass(f"c{i}", (i, 255 - i, i // 2), (i,)) for i in range(255))
    mask = np.arange(256, dtype=np.uint8)[None]
    with Image.open(io.BytesIO(mask_png(mask, LabelMap(classes)))) as picture:
        assert np.array_equal(np.array(picture), mask)


def test_a_sheet_shows_image_truth_and_prediction_beside_each_other_in_their_colours() -> None:
    sky, road = np.zeros((40, 60), np.uint8), np.ones((40, 60), np.uint8)
    image = np.full((40, 60, 3), (10, 200, 30), np.uint8)
    picture = np.array(sheet([Row("one", image, sky, road)], LABELS, width=1200))
    height, width, _ = picture.shape
    assert width == 1200
    middle = picture[height // 3]
    for column, colour in ((200, (10, 200, 30)), (600, (70, 130, 180)), (1000, (128, 64, 128))):
        assert tuple(middle[column].tolist()) == colour


def test_a_sheet_takes_images_of_any_shape_names_of_any_length_and_many_classes() -> None:
    classes = tuple(LabelClass(f"quite a long class name {i}", (i, 0, 0), (i,)) for i in range(60))
    rows = [
        Row("n" * 500, random_image(h, w), np.zeros((h, w), np.uint8), np.zeros((h, w), np.uint8))
        for h, w in ((1, 1), (4, 900), (900, 4), (64, 64))
    ]
    picture = sheet(rows, LabelMap(classes), width=1200)
    assert picture.width == 1200 and 1000 < picture.height < 4000
    with pytest.raises(ValueError, match="at least one row"):
        sheet([], LABELS)


ROWS = [
    {"epoch": 1, "train_loss": 2.0, "val_loss": None, "miou": 0.1, "lr": 1e-3},
    {"epoch": 2, "train_loss": 1.0, "val_loss": 1.5, "miou": 0.3, "lr": 5e-4},
]


def test_curves_of_rows_and_of_their_csv_are_the_same_picture(tmp_path: Path) -> None:
    lines = [",".join(ROWS[0])]
    lines += [",".join("" if v is None else str(v) for v in row.values()) for row in ROWS]
    (tmp_path / "metrics.csv").write_text("\n".join(lines) + "\n")
    curves(ROWS, tmp_path / "a.png")
    curves(tmp_path / "metrics.csv", tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (1200, 360)


@pytest.mark.parametrize("rows", [[], ROWS[:1], [{"epoch": 1.5, "miou": 0.2}]])
def test_curves_are_drawn_from_whatever_there_is(
    tmp_path: Path, rows: list[dict[str, float]]
) -> None:
    curves(rows, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_drawing_touches_no_global_state_of_matplotlib(tmp_path: Path) -> None:
    import sys

    before = "matplotlib.pyplot" in sys.modules
    curves(ROWS, tmp_path / "a.png")
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_an_array_and_its_picture_give_the_same_png() -> None:
    array = random_image(9, 9)
    assert png(array) == png(Image.fromarray(array))
