"""Annotation files in which anything may stand: always masks or one line, never another error."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effunet.data.shapes.formats import FORMATS
from effunet.data.shapes.paint import paint
from effunet.errors import EffunetError
from effunet.labels import IGNORE

SQUARE = [[1, 1], [9, 1], [9, 9], [1, 9]]
FLAT = [1, 1, 9, 1, 9, 9]

COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "height": 12, "width": 10}],
    "categories": [{"id": 2, "name": "cat"}],
    "annotations": [
        {"id": 3, "image_id": 1, "category_id": 2, "segmentation": [FLAT], "iscrowd": 0},
        {
            "image_id": 1,
            "category_id": 2,
            "segmentation": {"size": [12, 10], "counts": [100, 20]},
            "iscrowd": 1,
        },
        {"image_id": 1, "category_id": 2, "segmentation": {"size": [12, 10], "counts": "h3"}},
    ],
}
LABELME = {
    "imagePath": "a.jpg",
    "imageHeight": 12,
    "imageWidth": 10,
    "shapes": [
        {"label": "cat", "points": SQUARE, "shape_type": "polygon", "group_id": None},
        {"label": "cat", "points": [[3, 3], [4, 4]], "shape_type": "circle", "group_id": 1},
        {"label": "cat", "points": [[3, 3], [4, 4]], "shape_type": "mask", "mask": "iVBORw0KGgo="},
    ],
}
CITYSCAPES = {
    "imgHeight": 12,
    "imgWidth": 10,
    "objects": [{"label": "cat", "polygon": SQUARE}, {"label": "cat", "polygon": [], "deleted": 1}],
}
REGION = {"id": "x", "original_height": 12, "original_width": 10, "image_rotation": 0}
LABEL_STUDIO = [
    {
        "data": {"image": "/data/upload/1/01234567-a.jpg"},
        "annotations": [
            {
                "was_cancelled": False,
                "updated_at": "2024",
                "result": [
                    {
                        **REGION,
                        "type": "polygonlabels",
                        "value": {"points": SQUARE, "polygonlabels": ["cat"]},
                    },
                    {
                        **REGION,
                        "type": "ellipselabels",
                        "value": {
                            "x": 50,
                            "y": 5,
                            "radiusX": 3,
                            "radiusY": 9,
                            "ellipselabels": ["cat"],
                        },
                    },
                    {
                        **REGION,
                        "type": "brushlabels",
                        "value": {"rle": [0, 0, 1, 224, 57, 27, 252], "brushlabels": ["cat"]},
                    },
                ],
            }
        ],
    }
]
XML = """<annotations><image id="0" name="a.jpg" width="10" height="12">
<polygon label="cat" points="1,1;9,1;9,9" z_order="0"/>
<box label="cat" xtl="1" ytl="2" xbr="3" ybr="4" rotation="30"/>
<ellipse label="cat" cx="3" cy="3" rx="2" ry="1"/>
<mask label="cat" rle="1, 3" left="2" top="2" width="2" height="2" z_order="1"/>
</image></annotations>"""

ODD: list[Any] = [
    None, True, 0, -1, 3, 1.5, -0.0, 1e9, 1e308, -1e308, 10**30, 2**31, 2**63, "", "3", "é", "cat",
    [], {}, [[]], [None], {"a": 1}, [1, 2], [[1, 2, 3]], float("nan"), float("inf"), "\ud800",
]  # fmt: skip


def places(plain: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value of a JSON document."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain)
    found: list[tuple[Any, ...]] = []
    for key, value in items:
        found.append((*way, key))
        if isinstance(value, dict | list):
            found += places(value, (*way, key))
    return found


def changed(plain: Any, way: tuple[Any, ...], value: Any) -> Any:
    whole = copy.deepcopy(plain)
    inside = whole
    for key in way[:-1]:
        inside = inside[key]
    inside[way[-1]] = value
    return whole


def survives(file: Path, name: str) -> None:
    """Read and paint whatever the file holds; what is wrong is one line that names it."""
    try:
        annotations = FORMATS[name].read(file)
        for index in range(len(annotations)):
            drawing = annotations.drawing(index)
            mask = paint(drawing, (12, 10), lambda _: 0, IGNORE, FORMATS[name].order)
            assert set(np.unique(mask)) <= {0, IGNORE}
    except EffunetError as fault:
        assert str(file) in str(fault)
        assert "\n" not in str(fault)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("coco", COCO),
        ("labelme", LABELME),
        ("cityscapes", CITYSCAPES),
        ("label_studio", LABEL_STUDIO),
    ],
)
def test_any_value_of_a_json_file_may_be_anything(tmp_path: Path, name: str, plain: Any):
    file = tmp_path / "a.json"
    for way in places(plain):
        for value in ODD:
            file.write_text(json.dumps(changed(plain, way, value)))
            survives(file, name)


def test_any_attribute_of_an_xml_file_may_be_anything(tmp_path: Path):
    file = tmp_path / "a.xml"
    parts = XML.split('"')
    for place in range(1, len(parts), 2):
        for value in ("", "-1", "1.5", "nan", "inf", "1e400", "9" * 30, "x", "1,2,3", ";", "&amp;"):
            file.write_text('"'.join([*parts[:place], value, *parts[place + 1 :]]))
            survives(file, "cvat")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("coco", json.dumps(COCO)),
        ("labelme", json.dumps(LABELME)),
        ("cityscapes", json.dumps(CITYSCAPES)),
        ("label_studio", json.dumps(LABEL_STUDIO)),
        ("cvat", XML),
    ],
)
def test_a_file_may_be_cut_or_changed_at_any_byte(tmp_path: Path, name: str, text: str):
    file, data, dice = tmp_path / "a", text.encode(), random.Random(0)
    for place in range(0, len(data), 3):
        file.write_bytes(data[:place])
        survives(file, name)
        other = bytes([dice.randrange(256)])
        file.write_bytes(data[:place] + other + data[place + 1 :])
        survives(file, name)
