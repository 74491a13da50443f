"""Shapes of one image -> its mask of class indices, the later ones above.

Which pixels a shape covers is told in effunet/data/shapes/cover.py.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import numpy as np

from effunet.data.shapes.cover import Cover, cover
from effunet.data.shapes.drawing import Drawing, Shape
from effunet.errors import DataError
from effunet.labels import IGNORE, IndexMask
from effunet.values import RawValue, UnknownValues, describe_unknown

LEAVE = -1
"""A meaning: the shape is not painted, and what lies below it stays."""

MOST_HELD = 2**25
"""Pixels of covers that are held at once, a byte each."""

Meaning = Callable[[str], int | None]
Order = Literal["file", "area", "classes"]
Crowd = Literal["ignore", "paint", "skip"]


def paint(
    drawing: Drawing,
    size: tuple[int, int],
    meaning: Meaning,
    unpainted: int = IGNORE,
    order: Order = "file",
    crowd: Crowd = "ignore",
) -> IndexMask:
    """The mask of an image of size (height, width).

    meaning gives the class index of a label, IGNORE for one that is ignored, LEAVE for one that is
    not painted, None for one that it does not know. unpainted is the index where no shape is.
    order says which of two shapes lies above: the later one of the file (file, where levels come
    first), the one of fewer pixels (area, of the whole object where shapes are grouped), or the one
    of the higher index (classes, where IGNORE is the highest); the later one where these are equal.
    crowd says what becomes of COCO's crowds: ignored pixels, painted like others, or nothing.

    Raises:
        UnknownValues: labels that meaning does not know, with how many shapes have them.
        DataError: the annotations are for an image of another size.
    """
    if drawing.size not in (None, size):
        height, width = drawing.size or size
        raise DataError(
            f"{drawing.where}: the annotations are for {height} x {width} (height x width), but "
            f"the image is {size[0]} x {size[1]}: annotate the image that you train on, or export "
            "both again"
        )
    indices = _indices(drawing, meaning, crowd)
    covers = _Covers(drawing, size)
    painted = [i for i, index in enumerate(indices) if index != LEAVE]
    match order:
        case "file":
            painted.sort(key=lambda i: drawing.shapes[i].level)
        case "area":
            areas = _areas(covers, painted)
            painted.sort(key=lambda i: -areas[i])
        case "classes":
            painted.sort(key=lambda i: indices[i])
    mask = np.full(size, unpainted, np.uint8)
    for i in painted:
        found = covers[i]
        np.copyto(mask[found.place], np.uint8(indices[i]), where=found.bits)
    return mask


def _indices(drawing: Drawing, meaning: Meaning, crowd: Crowd) -> list[int]:
    """What each shape is painted with."""
    known = {label: meaning(label) for label in {shape.label for shape in drawing.shapes}}
    indices: list[int] = []
    unknown: Counter[RawValue] = Counter()
    for shape in drawing.shapes:
        index = known[shape.label]
        if index is None and shape.also:
            index = meaning(shape.also)
        if index is None:
            unknown[shape.label] += 1
        elif shape.crowd and crowd != "paint" and index != LEAVE:
            index = IGNORE if crowd == "ignore" else LEAVE
        indices.append(LEAVE if index is None else index)
    if unknown:
        raise UnknownValues(f"{drawing.where}: {describe_unknown(unknown, unit='shapes')}", unknown)
    return indices


class _Covers:
    """The cover of each shape; a few are held, for the order by area needs them twice."""

    def __init__(self, drawing: Drawing, size: tuple[int, int]) -> None:
        self.drawing, self.size = drawing, size
        self.held: dict[int, Cover] = {}
        self.room = MOST_HELD

    def __getitem__(self, i: int) -> Cover:
        if i in self.held:
            return self.held[i]
        try:
            found = cover(self.drawing.shapes[i].parts, self.size)
        except ValueError as fault:
            raise DataError(f"{self.drawing.where}, shape {i}: {fault}") from None
        if found.bits.size <= self.room:
            self.held[i] = found
            self.room -= found.bits.size
        return found


def _areas(covers: _Covers, chosen: Sequence[int]) -> dict[int, int]:
    """Pixels of the object that each chosen shape belongs to."""
    own = {i: int(np.count_nonzero(covers[i].bits)) for i in chosen}
    objects: defaultdict[Hashable, int] = defaultdict(int)
    for i, area in own.items():
        objects[_object(covers.drawing.shapes[i], i)] += area
    return {i: objects[_object(covers.drawing.shapes[i], i)] for i in chosen}


def _object(shape: Shape, i: int) -> Hashable:
    return (i,) if shape.group is None else (shape.label, shape.group)
