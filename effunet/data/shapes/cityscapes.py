"""A _polygons.json of Cityscapes or IDD -> the drawing of its image.

imgHeight, imgWidth, and objects, each with label, polygon and, where someone deleted it, a mark. As
in the official script (cityscapesscripts, preparation/json2labelImg.py) later objects lie above,
deleted ones are left out, polygons are filled with their border, and a label that nobody knows and
that ends in "group" (cargroup) means what stands before.
"""

from pathlib import Path
from typing import Any

from effunet.data.shapes.annotations import OneDrawing
from effunet.data.shapes.drawing import Drawing, Shape, Traced
from effunet.data.shapes.reading import (
    read_image_size,
    read_json,
    read_label,
    read_list,
    read_points,
)

_GROUP = "group"


def read_cityscapes(path: Path) -> OneDrawing:
    """The objects of one image.

    Raises:
        DataError: no such file, or an object that cannot be meant.
    """
    table = read_json(path)
    size = read_image_size(table, ("imgHeight", "imgWidth"), str(path))
    objects = read_list(table, "objects", str(path))
    shapes = [
        _shape(entry, f"{path}, shape {i}")
        for i, entry in enumerate(objects)
        if not entry.get("deleted")
    ]
    name = path.name.removesuffix("_polygons.json")
    return OneDrawing(name, Drawing(str(path), size, tuple(shapes)))


def _shape(entry: dict[str, Any], where: str) -> Shape:
    label = read_label(entry.get("label"), where)
    ring = read_points(entry.get("polygon"), where)
    also = label.removesuffix(_GROUP) if label != _GROUP else ""
    return Shape(label=label, parts=(Traced(ring),), also=also if also != label else "")
