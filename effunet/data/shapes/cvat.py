"""The XML of "CVAT for images 1.1" -> drawings.

An <image> (name, width, height) holds <polygon> (points), <box> and <ellipse> (which may be turned
about their centres), and <mask> (run lengths along the rows of a box); what has the higher z_order
lies above, then what comes later (https://docs.cvat.ai/docs/other/xml_format). Polylines, points,
cuboids and skeletons have no area of pixels and are left out, with a notice. CVAT knows no holes in
polygons, and its groups change nothing here but the area that its parts share.

An XML file may make a program open other files, or grow without end as it is read: a file with a
document type, where both are declared, is refused.
"""

import math
import re
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NoReturn
from xml.parsers import expat

import numpy as np

from effunet.data.files.opening import MAX_PIXELS, access
from effunet.data.shapes.annotations import Annotations, left_out, refuse_twins
from effunet.data.shapes.drawing import Drawing, Ellipse, Part, Polygon, Shape
from effunet.data.shapes.pieces import Source
from effunet.data.shapes.reading import as_points, checked, read_image_size, read_label, shown
from effunet.data.shapes.rle import Runs
from effunet.errors import DataError

SOLID = ("polygon", "box", "ellipse", "mask")
FLAT = ("polyline", "points", "cuboid", "skeleton")

Attributes = dict[str, str]

_END = b"</image>"


class CvatAnnotations(Annotations):
    """Where each image's element lies in the file."""

    def __init__(self, source: Source, index: "_Index") -> None:
        why = "it has no area; draw polygons or masks to train on it"
        super().__init__(index.names, index.labels, left_out(source.path, index.flat, why))
        self._source = source
        self._sizes = np.array(index.sizes, np.uint32).reshape(-1, 2)
        self._starts, self._ends = np.array(index.starts), np.array(index.ends)

    def drawing(self, index: int) -> Drawing:
        """The shapes of one image."""
        where = f"{self._source.path}, image {self.names[index]}"
        height, width = self._sizes[index].tolist()
        start, end = int(self._starts[index]), int(self._ends[index])
        element = _Element(where)
        # The place where an element ends is its end tag's, and behind it where it has none.
        data = self._source.read(start, end - start + len(_END))
        if not data.endswith(_END):
            data = data[: end - start]
        _go_through(data, self._source.path, element.begin, element.finish)
        return Drawing(where, (height, width), tuple(element.shapes))


def read_cvat(path: Path) -> CvatAnnotations:
    """Read the file once, keeping where each image lies.

    Raises:
        DataError: no XML, not of CVAT for images, or an image that lacks what it needs.
    """
    source, index = Source(path), _Index(path)
    with access(path), path.open("rb") as file:
        _go_through(file, path, index.begin, index.finish)
    if not index.names:
        raise DataError(f"{path} has no <image>: export the task as `CVAT for images 1.1`")
    refuse_twins(path, index.names)
    return CvatAnnotations(source, index)


class _Index:
    """What is gathered of all images while the file is gone through."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.starts, self.ends = array("q"), array("q")
        self.labels: Counter[str] = Counter()
        self.flat: Counter[str] = Counter()
        self.above: list[str] = []

    def begin(self, tag: str, attributes: Attributes, place: int) -> None:
        match self.above:
            case [] if tag != "annotations":
                raise DataError(f"{self.path} is no file of CVAT (its root is <{tag}>)")
            case ["annotations"] if tag == "track":
                raise DataError(
                    f"{self.path} is of CVAT for video: export it as `CVAT for images 1.1`"
                )
            case ["annotations"] if tag == "image":
                self._begin_image(attributes, place)
            case ["annotations", "image"]:
                if tag in FLAT:
                    self.flat[tag] += 1
                elif tag in SOLID:
                    self.labels[attributes.get("label", "")] += 1
                elif tag != "tag":
                    raise DataError(
                        f"{self.path}, image {self.names[-1]}: unknown shape <{tag}>: draw it as "
                        "a polygon"
                    )
            case _:
                pass
        self.above.append(tag)

    def _begin_image(self, attributes: Attributes, place: int) -> None:
        name = attributes.get("name")
        if not name:
            raise DataError(f"{self.path}: its image {len(self.names)} has no name")
        sides = {key: _whole(attributes.get(key)) for key in ("height", "width")}
        where = f"{self.path}, image {name}"
        self.names.append(name)
        self.sizes.append(read_image_size(sides, ("height", "width"), where))
        self.starts.append(place)

    def finish(self, tag: str, place: int) -> None:
        self.above.pop()
        if tag == "image" and self.above == ["annotations"]:
            self.ends.append(place)


class _Element:
    """The shapes of one <image>."""

    def __init__(self, where: str) -> None:
        self.where, self.depth = where, 0
        self.shapes: list[Shape] = []

    def begin(self, tag: str, attributes: Attributes, place: int) -> None:
        self.depth += 1
        if self.depth == 2 and tag in SOLID:
            where = f"{self.where}, shape {len(self.shapes)}"
            self.shapes.append(_shape(tag, attributes, where))

    def finish(self, tag: str, place: int) -> None:
        self.depth -= 1


def _go_through(
    data: bytes | BinaryIO,
    path: Path,
    begin: Callable[[str, Attributes, int], None],
    finish: Callable[[str, int], None],
) -> None:
    """Call begin and finish for every element, with the place of its tag in the data."""
    parser = expat.ParserCreate()

    def refuse_type(*_: object) -> NoReturn:
        raise DataError(f"{path} has a document type (<!DOCTYPE>), which CVAT never writes")

    def check_encoding(version: str, encoding: str | None, standalone: int) -> None:
        if (encoding or "utf-8").lower() not in ("utf-8", "us-ascii", "ascii"):
            raise DataError(f"{path} is in {encoding}: save it as UTF-8, as CVAT writes it")

    parser.StartDoctypeDeclHandler = refuse_type
    parser.XmlDeclHandler = check_encoding
    parser.StartElementHandler = lambda tag, values: begin(tag, values, parser.CurrentByteIndex)
    parser.EndElementHandler = lambda tag: finish(tag, parser.CurrentByteIndex)
    try:
        if isinstance(data, bytes):
            parser.Parse(data, True)
        else:
            parser.ParseFile(data)
    except expat.ExpatError as fault:
        raise DataError(f"{path} is not valid XML ({fault}): export it again") from None


def _shape(tag: str, attributes: Attributes, where: str) -> Shape:
    level = _whole(attributes.get("z_order", "0"))
    if level is None:
        raise DataError(f"{where}: z_order must be a whole number, got {attributes['z_order']!r}")
    return Shape(
        label=read_label(attributes.get("label"), where),
        parts=(PARTS[tag](attributes, where),),
        level=level,
        group=attributes.get("group_id"),
    )


def _polygon(attributes: Attributes, where: str) -> Part:
    points = attributes.get("points", "")
    pairs = [pair.split(",") for pair in points.split(";")]
    if not all(len(pair) == 2 for pair in pairs):
        raise DataError(f"{where}: points must be x,y;x,y;..., got {shown(points)}")
    return Polygon((as_points([_number(value, where) for pair in pairs for value in pair], where),))


def _box(attributes: Attributes, where: str) -> Part:
    left, top, right, bottom = _numbers(attributes, ("xtl", "ytl", "xbr", "ybr"), where)
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    angle = math.radians(_number(attributes.get("rotation", "0"), f"{where}: rotation"))
    if not angle:
        return Polygon((corners,))
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    middle = corners.mean(0)
    return Polygon(((corners - middle) @ turn + middle,))


def _ellipse(attributes: Attributes, where: str) -> Part:
    x, y, radius_x, radius_y = _numbers(attributes, ("cx", "cy", "rx", "ry"), where)
    degrees = _number(attributes.get("rotation", "0"), f"{where}: rotation")
    return Ellipse(x, y, radius_x, radius_y, degrees)


def _mask(attributes: Attributes, where: str) -> Part:
    keys = ("left", "top", "width", "height")
    values = [_whole(attributes.get(key)) for key in keys]
    counts = [_whole(text) for text in attributes.get("rle", "").split(",")]
    match values:
        case [int(left), int(top), int(width), int(height)] if min(width, height) > 0:
            pass
        case _:
            raise DataError(f"{where}: {', '.join(keys)} must be whole numbers: draw it again")
    if width * height > MAX_PIXELS or max(abs(left), abs(top)) > MAX_PIXELS:
        raise DataError(f"{where}: its box of {height} x {width} is too large: draw it again")
    if None in counts:
        raise DataError(f"{where}: rle must be whole numbers: draw it again")
    try:
        runs = np.array(counts, np.int64)
        return Runs.checked(runs, (height, width), (top, left), by_columns=False)
    except (ValueError, OverflowError) as fault:
        raise DataError(f"{where}: {fault}: draw it again") from None


PARTS: dict[str, Callable[[Attributes, str], Part]] = {
    "polygon": _polygon,
    "box": _box,
    "ellipse": _ellipse,
    "mask": _mask,
}


def _numbers(attributes: Attributes, keys: Sequence[str], where: str) -> list[float]:
    return [_number(attributes.get(key, ""), f"{where}: {key}") for key in keys]


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise DataError(f"{where}: {shown(text)} is no number: draw the shape again") from None
    return float(checked([value], where)[0])


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"\s*-?\d{1,12}\s*", text) else None
