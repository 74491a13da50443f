"""A result of a Label Studio annotation -> a shape, where it is a region of the image.

Places and sizes are in percent of the image. Rectangles are turned about their upper left corner,
ellipses about their centre, clockwise.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from effunet.data.shapes.brush import read_brush
from effunet.data.shapes.drawing import Ellipse, Part, Polygon, Shape
from effunet.data.shapes.reading import (
    read_image_size,
    read_label,
    read_list,
    read_number,
    read_points,
    shown,
)
from effunet.data.shapes.rle import Runs
from effunet.errors import DataError

Table = dict[str, Any]

SOLID = ("polygon", "rectangle", "ellipse", "brush")

_DRAWN = ("polygon", "rectangle", "ellipse", "brush", "keypoint")
UNREAD = ("bitmask", "bitmasklabels", "vector", "vectorlabels")
TYPES = (*_DRAWN, *(f"{kind}labels" for kind in _DRAWN), "labels", *UNREAD)
"""Types of results that are regions of an image."""


def read_regions(annotation: Table | None, where: str) -> list[Table]:
    """The results that are regions.

    A region drawn and labelled by two tags stands twice, with one id; what hangs on a region
    (choices, texts) repeats its place, too.
    """
    results = read_list(annotation or {"result": []}, "result", where)
    drawn = [result for result in results if result.get("type") in TYPES]
    for result in drawn:
        if not isinstance(result.get("value"), dict):
            raise DataError(f"{where}: the value of a region is no object: {shown(result)}")
        if result["type"] in UNREAD:
            raise DataError(
                f"{where} has a region of type {result['type']}, which is not read: draw it with "
                "polygons or the brush, or export the project as COCO"
            )
    labelled = {str(result["id"]) for result in drawn if _labels(result) and "id" in result}
    return [r for r in drawn if _labels(r) or str(r.get("id", ())) not in labelled]


def _labels(region: Table) -> Any:
    return region["value"].get(region["type"])


def region_label(region: Table, where: str) -> str:
    """The one label of a region."""
    labels = _labels(region)
    if not isinstance(labels, list) or len(cast("list[Any]", labels)) != 1:
        raise DataError(
            f"{where}: a region of type {region['type']} (id {shown(region.get('id'))}) needs one "
            f"label, got {shown(labels)}: a pixel has one class"
        )
    return read_label(labels[0], where)


def region_kind(region: Table) -> str:
    """polygon, rectangle, ellipse or brush; another word for what has no area."""
    value: Table = region["value"]
    if "points" in value:
        return "polygon" if value.get("closed", True) else "open polygon"
    if "rle" in value:
        return "brush"
    if "radiusX" in value:
        return "ellipse"
    return "rectangle" if "height" in value else "point"


def image_size(regions: Sequence[Table], where: str) -> tuple[int, int] | None:
    """Height and width, on which all regions must agree."""
    sizes = {read_image_size(r, ("original_height", "original_width"), where) for r in regions}
    if len(sizes) > 1:
        raise DataError(f"{where}: its regions are for images of different sizes: label it again")
    if any(region.get("image_rotation") for region in regions):
        raise DataError(
            f"{where} was turned while it was labelled: turn the image file itself, and label it "
            "again"
        )
    return next(iter(sizes), None)


def read_shape(region: Table, size: tuple[int, int], where: str) -> Shape:
    """The shape of a region in an image of size (height, width)."""
    return Shape(
        label=region_label(region, where), parts=(_part(region["value"], region, size, where),)
    )


def _part(value: Table, region: Table, size: tuple[int, int], where: str) -> Part:
    percent = np.array([size[1], size[0]]) / 100
    match region_kind(region):
        case "polygon":
            return Polygon((read_points(value["points"], where) * percent,))
        case "brush":
            return _brush(value["rle"], size, where)
        case "ellipse":
            keys = ("x", "y", "radiusX", "radiusY")
            x, y, radius_x, radius_y = (read_number(value, key, where) for key in keys)
            middle, radii = np.array([x, y]) * percent, np.array([radius_x, radius_y]) * percent
            degrees = read_number(value, "rotation", where, 0)
            return Ellipse(middle[0], middle[1], radii[0], radii[1], degrees)
        case _:
            keys = ("x", "y", "width", "height")
            x, y, width, height = (read_number(value, key, where) for key in keys)
            corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) * percent
            angle = math.radians(read_number(value, "rotation", where, 0))
            cosine, sine = math.cos(angle), math.sin(angle)
            turned = corners @ np.array([[cosine, sine], [-sine, cosine]])
            return Polygon((turned + np.array([x, y]) * percent,))


def _brush(plain: Any, size: tuple[int, int], where: str) -> Runs:
    try:
        if not isinstance(plain, list):
            raise TypeError(f"its rle is no list: {shown(plain)}")
        return Runs.of(read_brush(bytes(cast("list[Any]", plain)), size), by_columns=False)
    except (TypeError, ValueError) as fault:
        raise DataError(f"{where}: a brush stroke is damaged ({fault}): draw it again") from None
