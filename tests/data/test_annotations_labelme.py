"""labelme files: every kind of shape, and one line for what cannot be meant."""

import base64
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from effunet.data.shapes.labelme import read_labelme
from effunet.data.shapes.paint import paint
from effunet.errors import DataError

SIZE = (30, 40)


def written(folder: Path, *shapes: Any, **more: Any) -> Path:
    file = folder / "a.json"
    plain = {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "..\\images\\a.jpg",
        "imageData": "not base64 at all, and never looked at",
        "imageHeight": SIZE[0],
        "imageWidth": SIZE[1],
        **more,
    }
    file.write_text(json.dumps(plain))
    return file


def shape(points: Any, kind: Any = "polygon", label: Any = "a", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, **more}


def covered(folder: Path, *shapes: Any) -> np.ndarray:
    drawing = read_labelme(written(folder, *shapes)).drawing(0)
    return paint(drawing, SIZE, {"a": 1}.get, unpainted=0) == 1


def png(bits: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(bits).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    bits = np.zeros(SIZE, np.bool_)
    bits[top:bottom, left:right] = True
    return bits


CORNERS = [[4, 3], [10, 3], [10, 8], [4, 8]]


@pytest.mark.parametrize(
    ("points", "kind"),
    [
        (CORNERS, "polygon"),
        (CORNERS, None),  # old files do not say it
        (CORNERS, "rectangle"),
        (CORNERS, "oriented_rectangle"),
        (CORNERS, "rotation"),
        ([[4, 3], [10, 8]], "rectangle"),
        ([[10, 3], [4, 8]], "rectangle"),
    ],
)
def test_polygons_and_rectangles_of_every_spelling_cover_the_same(
    tmp_path: Path, points: Any, kind: Any
):
    np.testing.assert_array_equal(covered(tmp_path, shape(points, kind)), box(3, 4, 8, 10))


def test_a_circle_is_given_by_its_centre_and_a_point_on_it(tmp_path: Path):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    expected = (x - 20) ** 2 + (y - 14) ** 2 <= 25
    circle = shape([[20, 14], [23, 18]], "circle")
    np.testing.assert_array_equal(covered(tmp_path, circle), expected)


@pytest.mark.parametrize("kind", [np.bool_, np.uint8])
def test_a_mask_lies_in_its_box_from_the_first_pixel_to_the_last(tmp_path: Path, kind: type):
    bits = np.random.default_rng(0).random((6, 9)) < 0.5
    entry = shape([[5, 7], [13, 12]], "mask", mask=png((bits * 255).astype(kind)))
    expected = np.zeros(SIZE, np.bool_)
    expected[7:13, 5:14] = bits
    np.testing.assert_array_equal(covered(tmp_path, entry), expected)


def test_lines_and_points_are_left_out_with_a_notice(tmp_path: Path):
    kinds = ("line", "linestrip", "point", "points", "linestrip")
    entries = [shape([[1, 1], [2, 2]], kind) for kind in kinds]
    annotations = read_labelme(written(tmp_path, *entries, shape(CORNERS)))
    assert len(annotations.drawing(0).shapes) == 1
    assert "1 of kind line, 2 of kind linestrip" in annotations.notices[0]


def test_the_name_is_the_images_own_without_its_folder(tmp_path: Path):
    assert read_labelme(written(tmp_path)).names == ("a.jpg",)
    assert read_labelme(written(tmp_path, imagePath=None)).names == ("a",)


def test_parts_of_one_group_share_an_area(tmp_path: Path):
    small = shape([[0, 0], [9, 9]], "rectangle", "b")
    parts = [shape([[x, 0], [x + 8, 9]], "rectangle", group_id=3) for x in (0, 20)]
    drawing = read_labelme(written(tmp_path, small, *parts)).drawing(0)
    mask = paint(drawing, SIZE, {"a": 1, "b": 2}.get, 0, "area")
    assert (mask[:9, :9] == 2).all()


def test_a_file_may_lack_the_images_size(tmp_path: Path):
    file = written(tmp_path, shape(CORNERS), imageHeight=None, imageWidth=None)
    assert read_labelme(file).drawing(0).size is None


def claiming(width: int, height: int) -> str:
    """A PNG of grey pixels that has none of them."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")):
        data += struct.pack(">I", len(body)) + kind + body
        data += struct.pack(">I", zlib.crc32(kind + body))
    return base64.b64encode(data).decode()


BAD: list[tuple[Any, str]] = [
    (3, "shapes must be a list"),
    (shape(CORNERS, label=None), "shape 0: the shape needs a label"),
    (shape(CORNERS, label=" "), "shape 0: the shape needs a label"),
    (shape("points"), "shape 0: points must be"),
    (shape([[1, 2], [3]]), "shape 0: points must be"),
    (shape([[1, None]]), "shape 0: None is no coordinate"),
    (shape([[1, 1e20]]), r"shape 0: 1e\+20 is no place"),
    (shape(CORNERS, "star"), "shape 0 is of the unknown kind 'star'"),
    (shape(CORNERS, ["polygon"]), "shape 0 is of the unknown kind"),
    (shape(CORNERS, "circle"), "shape 0: a circle has two points, got 4"),
    (shape([[1, 1]], "rectangle"), "shape 0: a rectangle has two points, got 1"),
    (shape(CORNERS, group_id=[1]), "shape 0: group_id must be"),
    (shape([[0, 0], [3, 3]], "mask"), "shape 0: a mask must be a PNG in base64"),
    (shape([[0, 0], [3, 3]], "mask", mask="*"), "shape 0: the mask is no base64"),
    (shape([[0, 0], [3, 3]], "mask", mask="AAAA"), "shape 0: its mask is no image of a known"),
    (shape([[0, 0], [3, 3]], "mask", mask=claiming(2**17, 2**17)), "shape 0: its mask claims"),
    (shape([[0, 0], [3, 3]], "mask", mask=png(box(0, 0, 1, 1))), "shape 0: its mask is 30 x 40"),
]


@pytest.mark.parametrize(("entry", "why"), BAD, ids=[why for _, why in BAD])
def test_a_shape_that_cannot_be_meant_is_named(tmp_path: Path, entry: Any, why: str):
    file = written(tmp_path, entry)
    with pytest.raises(DataError, match=why) as caught:
        read_labelme(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
