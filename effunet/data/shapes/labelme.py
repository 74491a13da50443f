"""A JSON file of labelme -> the drawing of its image.

imagePath, imageHeight, imageWidth, and shapes, each with label, points, shape_type, group_id and,
for a mask, a PNG in base64 (labelme, _label_file.py and utils/shape.py). The image that may lie
inside (imageData) is not decoded. Later shapes lie above. Lines and points have no area and are
left out, with a notice.
"""

from collections import Counter
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from effunet.data.shapes.annotations import OneDrawing, left_out
from effunet.data.shapes.drawing import Drawing, Ellipse, Part, Points, Polygon, Shape
from effunet.data.shapes.reading import (
    read_bitmap,
    read_image_size,
    read_json,
    read_label,
    read_list,
    read_points,
    shown,
)
from effunet.data.shapes.rle import Runs
from effunet.errors import DataError

FLAT = ("line", "linestrip", "point", "points")
"""Kinds of shapes that have no area."""

POLYGONS = ("polygon", "oriented_rectangle", "rotation")


def read_labelme(path: Path) -> OneDrawing:
    """The shapes of one image.

    Raises:
        DataError: no such file, no file of labelme, or a shape that cannot be meant.
    """
    table = read_json(path)
    where = str(path)
    size = None
    if table.get("imageHeight") is not None or table.get("imageWidth") is not None:
        size = read_image_size(table, ("imageHeight", "imageWidth"), where)
    shapes: list[Shape] = []
    flat: Counter[str] = Counter()
    for i, entry in enumerate(read_list(table, "shapes", where)):
        kind = entry.get("shape_type") or "polygon"
        if kind in FLAT:
            flat[kind] += 1
        else:
            shapes.append(_shape(entry, kind, f"{where}, shape {i}"))
    image = table.get("imagePath")
    name = PureWindowsPath(image).name if isinstance(image, str) and image else path.stem
    notices = left_out(path, flat, "it has no area; draw polygons to train on it")
    return OneDrawing(name, Drawing(where, size, tuple(shapes)), notices)


def _shape(entry: dict[str, Any], kind: Any, where: str) -> Shape:
    group = entry.get("group_id")
    if type(group) not in (int, str, type(None)):
        raise DataError(f"{where}: group_id must be a whole number, got {shown(group)}")
    return Shape(
        label=read_label(entry.get("label"), where),
        parts=(_part(entry, kind, read_points(entry.get("points"), where), where),),
        group=group,
    )


def _part(entry: dict[str, Any], kind: Any, points: Points, where: str) -> Part:
    if kind in POLYGONS or (kind == "rectangle" and len(points) == 4):
        return Polygon((points,))
    if kind not in ("rectangle", "circle", "mask"):
        raise DataError(f"{where} is of the unknown kind {shown(kind)}: draw it as a polygon")
    if len(points) != 2:
        raise DataError(f"{where}: a {kind} has two points, got {len(points)}: draw it again")
    (x, y), (to_x, to_y) = points.tolist()
    if kind == "rectangle":
        return Polygon((np.array([[x, y], [to_x, y], [to_x, to_y], [x, to_y]]),))
    if kind == "circle":  # its centre, and a point on it
        radius = float(np.hypot(to_x - x, to_y - y))
        return Ellipse(x, y, radius, radius)
    # A mask: the first and the last pixel of its box.
    left, top, right, bottom = int(x), int(y), int(to_x), int(to_y)
    bits = read_bitmap(entry.get("mask"), where)
    if bits.shape != (bottom - top + 1, right - left + 1):
        raise DataError(
            f"{where}: its mask is {bits.shape[0]} x {bits.shape[1]} (height x width), but its box "
            f"is {bottom - top + 1} x {right - left + 1}: draw it again"
        )
    return Runs.of(bits, (top, left), by_columns=False)
