"""COCO's annotation file -> drawings: instances, stuff, or anything exported in this format.

One JSON object with `images` (id, file_name, height, width), `categories` (id, name) and
`annotations` (image_id, category_id, segmentation, iscrowd). A segmentation is a list of polygons,
which together cover the object (a hole is possible in run lengths alone), or run lengths, packed or
not (https://cocodataset.org/#format-data).
"""

from array import array
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Int64, UInt32

from effunet.data.shapes.annotations import Annotations, refuse_twins
from effunet.data.shapes.drawing import Drawing, Part, Polygon, Shape
from effunet.data.shapes.pieces import Piece, Source
from effunet.data.shapes.reading import as_points, read_image_size, read_label, shown
from effunet.data.shapes.rle import Runs, read_counts
from effunet.errors import DataError


class CocoAnnotations(Annotations):
    """Where each annotation lies in the file, by image; 12 bytes an annotation."""

    def __init__(
        self,
        source: Source,
        names: Sequence[str],
        sizes: UInt32[np.ndarray, "N 2"],
        categories: dict[int, str],
        places: Int64[np.ndarray, "A 2"],
        firsts: Int64[np.ndarray, " M"],
        labels: dict[str, int],
        notices: Sequence[str],
    ) -> None:
        super().__init__(names, labels, notices)
        self._source, self._sizes, self._categories = source, sizes, categories
        self._starts, self._lengths = places[:, 0].copy(), places[:, 1].astype(np.uint32)
        # Those of image i are firsts[i] .. firsts[i + 1].
        self._firsts = firsts.astype(np.uint32)

    def drawing(self, index: int) -> Drawing:
        """The annotations of one image."""
        where = f"{self._source.path}, image {self.names[index]}"
        height, width = (int(side) for side in self._sizes[index])
        shapes: list[Shape] = []
        for place in range(int(self._firsts[index]), int(self._firsts[index + 1])):
            entry = self._source.value(int(self._starts[place]), int(self._lengths[place]))
            shapes.append(self._shape(entry, (height, width), f"{where}, shape {len(shapes)}"))
        return Drawing(where, (height, width), tuple(shapes))

    def _shape(self, entry: dict[str, Any], size: tuple[int, int], where: str) -> Shape:
        where = f"{where} (annotation id {shown(entry.get('id'))})"
        crowd = entry.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise DataError(f"{where}: iscrowd must be 0 or 1, got {shown(crowd)}")
        parts = _parts(entry["segmentation"], size, where)
        label = self._categories[entry["category_id"]]
        return Shape(label=label, parts=parts, crowd=bool(crowd))


def read_coco(path: Path) -> CocoAnnotations:
    """Read a COCO file once, keeping where each annotation lies.

    Raises:
        DataError: no JSON, an image, category or annotation that lacks what it needs, or an
            annotation of an image or category that the file does not have.
    """
    return _Index(Source(path)).annotations()


class _Index:
    """What is gathered while the file is gone through; the three arrays come in any order."""

    def __init__(self, source: Source) -> None:
        self.source, self.path = source, source.path
        self.images: dict[Hashable, int] = {}  # id -> row
        self.names: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.categories: dict[int, str] = {}
        self.image_ids: dict[Hashable, int] = {}  # id -> number, in the order of annotations
        self.of_image, self.of_category = array("q"), array("q")
        self.starts, self.lengths = array("q"), array("q")
        self.boxes = 0

    def annotations(self) -> CocoAnnotations:
        for piece in self.source.pieces(("images", "categories", "annotations")):
            if not isinstance(piece.value, dict):
                raise DataError(
                    f"{self.path}: {piece.key or 'the file'} must hold objects, got "
                    f"{shown(piece.value)}: give a COCO file (images, categories, annotations)"
                )
            match piece.key:
                case "images":
                    self._add_image(piece)
                case "categories":
                    self._add_category(piece.start, piece.length)
                case "annotations":
                    self._add_annotation(piece)
                case _:
                    raise DataError(
                        f"{self.path} is an array: give a COCO file, an object with images, "
                        "categories and annotations (results of a model are no annotations)"
                    )
        return self._gathered()

    def _add_image(self, piece: Piece) -> None:
        where = f"{self.path}, images[{len(self.names)}]"
        entry = self.source.value(piece.start, piece.length)
        name = entry.get("file_name")
        if not isinstance(name, str) or not name:
            raise DataError(f"{where}: file_name must be a text, got {shown(name)}")
        number = _id(entry.get("id"), f"{where} ({name}): id")
        if number in self.images:
            raise DataError(f"{where}: a second image has the id {number!r}: give each its own")
        self.images[number] = len(self.names)
        self.names.append(name)
        self.sizes.append(read_image_size(entry, ("height", "width"), f"{where} ({name})"))

    def _add_category(self, start: int, length: int) -> None:
        where = f"{self.path}, categories[{len(self.categories)}]"
        entry = self.source.value(start, length)
        number = entry.get("id")
        if type(number) is not int or number in self.categories:
            raise DataError(f"{where}: id must be a whole number of its own, got {shown(number)}")
        self.categories[number] = read_label(entry.get("name"), where)

    def _add_annotation(self, piece: Piece) -> None:
        where = f"{self.path}, annotations[{len(self.starts) + self.boxes}]"
        entry = cast("dict[str, Any]", piece.value)
        if not str(entry.get("image_id")).isascii():
            entry = self.source.value(piece.start, piece.length)
        image = _id(entry.get("image_id"), f"{where}: image_id")
        category = entry.get("category_id")
        if type(category) is not int or abs(category) >= 2**62:
            raise DataError(f"{where}: category_id must be a whole number, got {shown(category)}")
        if not entry.get("segmentation"):
            self.boxes += 1
            return
        self.of_image.append(self.image_ids.setdefault(image, len(self.image_ids)))
        self.of_category.append(category)
        self.starts.append(piece.start)
        self.lengths.append(piece.length)

    def _gathered(self) -> CocoAnnotations:
        if not self.names or not self.categories:
            lacking = "categories" if self.names else "images"
            raise DataError(
                f"{self.path} has no {lacking}: give a COCO file (images, categories, annotations)"
            )
        if self.boxes and not self.starts:
            raise DataError(
                f"{self.path}: none of its {self.boxes} annotations has a segmentation: boxes and "
                "keypoints alone make no masks; export polygons or masks"
            )
        for number in self.image_ids.keys() - self.images.keys():
            raise DataError(
                f"{self.path}: annotations of image_id {number!r}, which is not among its images: "
                "add the image, or remove them"
            )
        rows = np.array([self.images[number] for number in self.image_ids], np.int64)
        of_image = rows[np.array(self.of_image, np.int64)] if len(rows) else rows
        order = np.argsort(of_image, kind="stable")
        places = np.column_stack([np.array(p, np.int64) for p in (self.starts, self.lengths)])
        firsts = np.searchsorted(of_image[order], np.arange(len(self.names) + 1))
        refuse_twins(self.path, self.names)
        return CocoAnnotations(
            self.source,
            self.names,
            np.array(self.sizes, np.uint32),
            self.categories,
            places[order],
            firsts,
            self._labels(),
            self._notices(),
        )

    def _labels(self) -> dict[str, int]:
        numbers, counts = np.unique(np.array(self.of_category, np.int64), return_counts=True)
        labels = dict.fromkeys(self.categories.values(), 0)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            if number not in self.categories:
                raise DataError(
                    f"{self.path}: {count} annotations of category_id {number}, which is not among "
                    "its categories: add it, or remove them"
                )
            labels[self.categories[number]] += count
        return labels

    def _notices(self) -> list[str]:
        if not self.boxes:
            return []
        return [f"{self.path}: left out {self.boxes} annotations without a segmentation"]


def _id(value: Any, where: str) -> Hashable:
    # Some tools write texts.
    if type(value) not in (int, str):
        raise DataError(f"{where} must be a whole number, got {shown(value)}")
    return value


def _parts(plain: Any, size: tuple[int, int], where: str) -> tuple[Part, ...]:
    if isinstance(plain, list):
        polygons = cast("list[Any]", plain)
        if not all(isinstance(flat, list) for flat in polygons):
            raise DataError(
                f"{where}: segmentation must be a list of polygons [[x, y, x, y, ...], ...], got "
                f"{shown(plain)}"
            )
        return tuple(Polygon((as_points(flat, where),)) for flat in polygons)
    match plain:
        case {"counts": counts, "size": [int(height), int(width)]} if (height, width) == size:
            try:
                return (Runs.checked(read_counts(counts), size),)
            except ValueError as fault:
                raise DataError(f"{where}: {fault}: export the annotations again") from None
        case {"counts": _, "size": other}:
            raise DataError(
                f"{where}: its run lengths are of size {shown(other)}, but the image is "
                f"{list(size)} (height, width): export the annotations again"
            )
        case _:
            raise DataError(
                f"{where}: segmentation must be polygons or {{size, counts}}, got {shown(plain)}"
            )
