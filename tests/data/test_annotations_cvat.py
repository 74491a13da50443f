"""CVAT for images 1.1: every shape, the order of levels, and XML that means harm."""

from pathlib import Path

import numpy as np
import pytest

from effunet.data.shapes.cvat import read_cvat
from effunet.data.shapes.paint import paint
from effunet.errors import DataError

SIZE = (30, 40)

HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>4</id><labels><label><name>car</name></label></labels></task></meta>
"""


def written(folder: Path, *images: str, head: str = HEAD) -> Path:
    file = folder / "annotations.xml"
    file.write_text(f"{head}{''.join(images)}</annotations>\n", encoding="utf-8")
    return file


def image(*shapes: str, name: str = "a.jpg") -> str:
    inside = "\n".join(shapes)
    return f'  <image id="0" name="{name}" width="40" height="30">\n{inside}\n  </image>\n'


def covered(folder: Path, *shapes: str) -> np.ndarray:
    drawing = read_cvat(written(folder, image(*shapes))).drawing(0)
    return paint(drawing, SIZE, {"a": 1}.get, unpainted=0) == 1


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    bits = np.zeros(SIZE, np.bool_)
    bits[top:bottom, left:right] = True
    return bits


POLYGON = '<polygon label="a" occluded="0" points="4.00,3.00;10.00,3.00;10.00,8.00;4.00,8.00" />'
BOX = '<box label="a" xtl="4.00" ytl="3.00" xbr="10.00" ybr="8.00" z_order="0"></box>'


@pytest.mark.parametrize(
    "shape",
    [
        POLYGON,
        POLYGON.replace(" />", '><attribute name="model">A &gt; B</attribute></polygon>'),
        BOX,
        # A quarter turn of a box about its middle, 7 and 5.5.
        '<box label="a" xtl="4.5" ytl="2.5" xbr="9.5" ybr="8.5" rotation="90.00" />',
    ],
)
def test_polygons_and_boxes_cover_the_same(tmp_path: Path, shape: str):
    np.testing.assert_array_equal(covered(tmp_path, shape), box(3, 4, 8, 10))


def test_a_box_is_turned_clockwise(tmp_path: Path):
    # 12 wide and 2 high, turned by 45 degrees: its right end goes down.
    bits = covered(tmp_path, '<box label="a" xtl="14" ytl="14" xbr="26" ybr="16" rotation="45" />')
    assert bits[18, 23]
    assert not bits[11, 23]


@pytest.mark.parametrize("rotation", ["", 'rotation="90"'])
def test_an_ellipse_may_be_turned(tmp_path: Path, rotation: str):
    ellipse = f'<ellipse label="a" cx="20" cy="15" rx="10" ry="4" {rotation} />'
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    radii = (4, 10) if rotation else (10, 4)
    expected = ((x - 20) / radii[0]) ** 2 + ((y - 15) / radii[1]) ** 2 <= 1
    np.testing.assert_array_equal(covered(tmp_path, ellipse), expected)


def test_a_mask_runs_along_the_rows_of_its_box(tmp_path: Path):
    # Three rows of four: one outside, five inside, two outside, four inside.
    mask = '<mask label="a" rle="1, 5, 2, 4" left="7" top="20" width="4" height="3" z_order="0" />'
    expected = np.zeros(SIZE, np.bool_)
    expected[20:23, 7:11] = [[0, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1]]
    np.testing.assert_array_equal(covered(tmp_path, mask), expected)


def test_the_higher_level_lies_above_then_the_later_shape(tmp_path: Path):
    shapes = [
        f'<box label="{label}" xtl="0" ytl="0" xbr="{wide}" ybr="9" z_order="{level}" />'
        for label, wide, level in (("a", 3, 1), ("b", 6, 0), ("c", 9, -2), ("b", 12, -2))
    ]
    drawing = read_cvat(written(tmp_path, image(*shapes))).drawing(0)
    mask = paint(drawing, SIZE, {"a": 1, "b": 2, "c": 3}.get, unpainted=0)
    assert mask[0, :13].tolist() == [1] * 3 + [2] * 9 + [0]


def test_shapes_belong_to_their_image_and_an_image_may_have_none(tmp_path: Path):
    images = [
        image(POLYGON, name="städte/ä &amp; b.jpg"),
        '<image id="1" name="b > c.jpg" width="40" height="30"/>',
        image(name="empty.jpg"),
        image(BOX, POLYGON, '<tag label="good"></tag>', name="東京.jpg"),
    ]
    annotations = read_cvat(written(tmp_path, *images))
    assert annotations.names == ["städte/ä & b.jpg", "b > c.jpg", "empty.jpg", "東京.jpg"]
    assert [len(annotations.drawing(i).shapes) for i in range(4)] == [1, 0, 0, 2]
    assert annotations.labels() == {"a": 3}
    assert annotations.drawing(3).size == SIZE


def test_what_has_no_area_is_left_out_with_a_notice(tmp_path: Path):
    flat = [
        '<polyline label="a" points="1,1;2,2" />',
        '<points label="a" points="1,1" />',
        '<skeleton label="a"><points label="x" points="1,1" /></skeleton>',
        '<points label="a" points="1,1" />',
    ]
    annotations = read_cvat(written(tmp_path, image(*flat, POLYGON)))
    assert len(annotations.drawing(0).shapes) == 1
    told = "1 of kind polyline, 1 of kind skeleton"
    assert "2 of kind points" in annotations.notices[0]
    assert told in annotations.notices[0]


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    "<annotations><version>&b;</version>"
)
THIEF = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotations>'


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (BOMB, "document type"),
        (THIEF, "document type"),
        ("<annotations>", "has no <image>"),
        ("<annotations><image></annotations>", "image 0 has no name|not valid XML"),
        ("<annotations><track></track>", "CVAT for video"),
        ("<other></other><annotations>", "its root is <other>"),
        ("<annotations", "not valid XML"),
        ('<?xml version="1.0" encoding="latin-1"?><annotations>', "save it as UTF-8"),
        (f"{HEAD}{image(POLYGON)}{image(BOX)}", "given to several images: a.jpg"),
        (f'{HEAD}<image name="a" width="4.5" height="3"/>', "whole numbers of pixels"),
        (HEAD + image('<star label="a" />'), "a.jpg: unknown shape <star>"),
    ],
    ids=range(11),
)
def test_a_file_that_is_not_of_this_format_or_means_harm_is_one_line(
    tmp_path: Path, head: str, why: str
):
    file = written(tmp_path, head=head)
    with pytest.raises(DataError, match=why) as caught:
        read_cvat(file)
    assert str(file) in str(caught.value)


MASK = '<mask label="a" rle="2" left="0" top="0" width="2" height="1" />'

BAD = [
    (POLYGON.replace('label="a"', ""), "needs a label"),
    (POLYGON.replace("4.00,3.00", "4.00"), "points must be"),
    (POLYGON.replace("4.00,3.00", "4,x"), "'x' is no number"),
    (POLYGON.replace("4.00,3.00", "4,nan"), "nan is no place"),
    (POLYGON.replace("4.00,3.00", "4,1e99"), r"1e\+99 is no place"),
    ('<polygon label="a" />', "points must be"),
    (POLYGON.replace("occluded", "z_order").replace('"0"', '"x"'), "z_order must be"),
    (BOX.replace('xtl="4.00"', ""), "xtl: '' is no number"),
    (BOX.replace("z_order", "rotation").replace('"0"', '"inf"'), "rotation: inf is no place"),
    ('<ellipse label="a" cx="1" cy="1" rx="1" />', "ry: '' is no number"),
    (MASK.replace('"2"', '"2, x"', 1), "rle must be whole"),
    (MASK.replace('rle="2"', 'rle="3"'), "fill 3 pixels"),
    (MASK.replace('rle="2"', 'rle="3, -1"'), "negative"),
    (MASK.replace('left="0"', 'left="0.5"'), "left, top, width, height must be whole"),
    (MASK.replace('width="2"', 'width="-2"'), "left, top, width, height must be whole"),
    (MASK.replace('width="2"', 'width="999999999999"'), "too large"),
]


@pytest.mark.parametrize(("shape", "why"), BAD, ids=[why for _, why in BAD])
def test_a_shape_that_cannot_be_meant_is_named(tmp_path: Path, shape: str, why: str):
    annotations = read_cvat(written(tmp_path, image(BOX, shape)))
    with pytest.raises(DataError, match=why) as caught:
        annotations.drawing(0)
    assert "annotations.xml, image a.jpg, shape 1" in str(caught.value)
