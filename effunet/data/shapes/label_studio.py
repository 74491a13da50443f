"""Label Studio's JSON export -> drawings.

An array of tasks, each with data (the image's address among it) and annotations, whose results are
regions: polygons, rectangles and ellipses, or brush strokes as packed pixels (labelstud.io, the
tags PolygonLabels, RectangleLabels, EllipseLabels, BrushLabels). Later regions lie above. Of
several annotations of a task the one that is marked as the ground truth counts, else the last one
that was not cancelled. Tasks without one are not among the names: their images are not annotated.
"""

import mimetypes
import re
from array import array
from collections import Counter
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from effunet.data.shapes.annotations import Annotations, left_out, refuse_twins
from effunet.data.shapes.drawing import Drawing
from effunet.data.shapes.pieces import Source
from effunet.data.shapes.reading import read_list
from effunet.data.shapes.regions import (
    SOLID,
    Table,
    image_size,
    read_regions,
    read_shape,
    region_kind,
    region_label,
)
from effunet.errors import DataError


class LabelStudioAnnotations(Annotations):
    """Where each annotated task lies in the file."""

    def __init__(self, source: Source, index: "_Index") -> None:
        names = index.plain_names()
        aliases = {address: i for i, address in enumerate(index.addresses)}
        super().__init__(names, index.labels, index.notices(), aliases)
        refuse_twins(source.path, names)
        self._source = source
        self._starts, self._lengths = np.array(index.starts), np.array(index.lengths)

    def drawing(self, index: int) -> Drawing:
        """The regions of one task."""
        where = f"{self._source.path}, image {self.names[index]}"
        task = self._source.value(int(self._starts[index]), int(self._lengths[index]))
        regions = read_regions(_chosen(task, where)[0], where)
        size = image_size(regions, where)
        shapes = [
            read_shape(region, size, f"{where}, shape {i}")
            for i, region in enumerate(regions)
            if size is not None and region_kind(region) in SOLID
        ]
        return Drawing(where, size, tuple(shapes))


def read_label_studio(path: Path) -> LabelStudioAnnotations:
    """Read an export once, keeping where each task lies.

    Raises:
        DataError: no JSON, not this export, or a task that lacks what it needs.
    """
    source = Source(path)
    index = _Index(path)
    for piece in source.pieces(()):
        index.add(source.value(piece.start, piece.length), piece.start, piece.length)
    if not index.addresses:
        raise DataError(
            f"{path} has no annotated tasks: export the project as JSON (not JSON-MIN), once "
            "something is labelled"
        )
    return LabelStudioAnnotations(source, index)


class _Index:
    """What is gathered of all tasks while the file is gone through."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.addresses: list[str] = []
        self.starts, self.lengths = array("q"), array("q")
        self.labels: Counter[str] = Counter()
        self.flat: Counter[str] = Counter()
        self.seen = self.contested = 0

    def add(self, task: Any, start: int, length: int) -> None:
        where = f"{self.path}, task {self.seen}"
        self.seen += 1
        if not isinstance(task, dict) or not isinstance(cast(Table, task).get("data"), dict):
            raise DataError(
                f"{where} is no task of Label Studio: export the project as JSON (not JSON-MIN)"
            )
        chosen, others = _chosen(cast(Table, task), where)
        if chosen is None:
            return
        self.contested += others > 0
        for region in read_regions(chosen, where):
            kind = region_kind(region)
            if kind in SOLID:
                self.labels[region_label(region, where)] += 1
            else:
                self.flat[kind] += 1
        self.addresses.append(_address(cast(Table, task)["data"], where))
        self.starts.append(start)
        self.lengths.append(length)

    def plain_names(self) -> list[str]:
        """The names that files had before they were uploaded, where that leaves no doubt."""
        names = [_UPLOADED.sub(r"\1", address) for address in self.addresses]
        often = Counter(names)
        return [
            name if often[name] == 1 else address
            for name, address in zip(names, self.addresses, strict=True)
        ]

    def notices(self) -> list[str]:
        lines = left_out(self.path, self.flat, "it has no area; draw polygons or brush strokes")
        if (bare := self.seen - len(self.addresses)) > 0:
            lines.append(f"{self.path}: left out {bare} tasks that are not annotated")
        if self.contested:
            lines.append(
                f"{self.path}: {self.contested} tasks have several annotations; took the ground "
                "truth, else the one changed last"
            )
        return lines


# Label Studio puts eight digits of its own before the name of an uploaded file.
_UPLOADED = re.compile(r"^(?:.*/)?upload/\d+/[0-9a-f]{8}-([^/]+)$")


def _address(data: Table, where: str) -> str:
    """The path of the task's image: the text in its data that ends like an image."""
    found: dict[str, str] = {}
    for key, value in data.items():
        if isinstance(value, str) and not value.startswith("data:"):
            parts = urlsplit(value)
            query = parse_qs(parts.query)
            inside = query.get("d") or query.get("filepath") or [unquote(parts.path)]
            if (mimetypes.guess_type(inside[-1], strict=False)[0] or "").startswith("image/"):
                found[key] = inside[-1].replace("\\", "/").lstrip("/")
    if len(found) > 1 and "image" in found:
        return found["image"]
    if len(found) != 1:
        raise DataError(
            f"{where}: its data names {len(found)} images (keys {', '.join(data) or 'none'}): "
            "name the image's own path under the key image"
        )
    return next(iter(found.values()))


def _chosen(task: Table, where: str) -> tuple[Table | None, int]:
    """The annotation that counts, and how many others there are."""
    key = "completions" if "completions" in task else "annotations"
    listed = [a for a in read_list(task, key, where) if not a.get("was_cancelled")]
    if not listed:
        return None, 0
    listed.sort(key=lambda a: (bool(a.get("ground_truth")), str(a.get("updated_at") or "")))
    return listed[-1], len(listed) - 1
