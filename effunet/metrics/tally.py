"""What is counted of a split, image by image, and summed over all processes.

    image's truth, prediction, confidence --> Tally --> Counts --> every score (rows.py)

All counts are whole numbers, so that one process and many, which share the images in any way, say
the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int64, Integer, UInt8
from numpy import ndarray

from effunet import processes
from effunet.metrics.boundary import IOU_SHARE, reach
from effunet.metrics.confusion import confusion
from effunet.metrics.regions import DISTANCES, SIZES, distance_counts, size_counts, suspect_pixels
from effunet.metrics.rows import Rows


@dataclass(frozen=True)
class Regions:
    """Where errors lie, and which images show it best."""

    sizes: Int64[ndarray, "K S 3"]
    """Objects, pixels and wrong pixels by class and by size of the object (regions.py)."""
    distances: Int64[ndarray, "D 2"]
    """Pixels and wrong pixels by distance to a boundary of the truth."""
    suspects: Int64[ndarray, " N"]
    """Of each image: pixels that speak with confidence against their truth."""
    examples: Int64[ndarray, "K K"]
    """By (true class, predicted class): the image with most such pixels, -1 where none has any."""


@dataclass(frozen=True)
class Counts:
    """What was counted of a split, or of one of the datasets that it is made of."""

    rows: Rows
    confusion: Int64[ndarray, "K K"]
    images: Int64[ndarray, " n"]
    """Indices of the images that were counted, rising."""
    table: Int64[ndarray, "n M"]
    """Their rows."""
    regions: Regions | None = None
    parts: tuple["Counts", ...] = ()
    """Of each dataset alone, where the split is made of several."""

    @cached_property
    def sums(self) -> Int64[ndarray, " M"]:
        """The sum of all rows."""
        return self.table.sum(0)


class Tally:
    """Counts images, each once, in any order."""

    def __init__(
        self,
        rows: Rows,
        images: int,
        *,
        parts: Sequence[Rows] = (),
        part_of: Callable[[int], int] = lambda index: 0,
        instances_of: Callable[[int], Integer[ndarray, "H W"] | None] = lambda index: None,
        regions: bool = False,
    ) -> None:
        """Count a split.

        Args:
            rows: what a row holds.
            images: how many the split has.
            parts: the same of each dataset that the split is made of, by its own rule of what is
                scored; none: it is one.
            part_of: which of them an image belongs to.
            instances_of: the ids of an image's instances, where the rows count them.
            regions: count as well where errors lie, which takes longer.
        """
        self.rows, self.images, self.parts, self.part_of = rows, images, tuple(parts), part_of
        self.instances_of = instances_of
        self.matrices = np.zeros((len(parts) or 1, rows.classes, rows.classes), np.int64)
        self._of: dict[int, Int64[ndarray, " M"]] = {}
        self._regions = _Regions(rows.classes, images) if regions else None

    def add(
        self,
        index: int,
        truth: UInt8[ndarray, "H W"],
        predicted: UInt8[ndarray, "H W"],
        confidence: Float32[ndarray, "H W"] | None,
    ) -> None:
        """Count the image of this index.

        Args:
            index: 0..images-1; one that was counted is not counted again.
            truth: class indices, 255 where nothing is counted.
            predicted: class indices.
            confidence: the probability of the predicted class, 0..1; None: not known, and
                nothing is counted of it.

        Raises:
            ValueError: the shapes differ, or an index is no class.
        """
        if index in self._of:
            return
        part = self.part_of(index)
        rows = self.parts[part] if self.parts else self.rows
        # Whatever can fail comes first: an image is counted whole or not at all.
        matrix = confusion(truth, predicted, rows.classes)
        instances = None if rows.things is None else self.instances_of(index)
        row = rows.of_image(truth, predicted, confidence, matrix, instances)
        if self._regions is not None:
            self._regions.add(index, truth, predicted, confidence, matrix)
        self.matrices[part] += matrix
        self._of[index] = row

    def counts(self) -> Counts:
        """The counts of all processes; called by all of them, the same for each."""
        present = np.zeros(self.images, np.int64)
        table = np.zeros((self.images, self.rows.length), np.int64)
        for index, row in self._of.items():
            present[index], table[index] = 1, row
        images = np.flatnonzero(processes.summed(present))
        table = processes.summed(table)[images]
        matrices = processes.summed(self.matrices)
        regions = None if self._regions is None else self._regions.of_all()
        of = np.array([self.part_of(int(index)) for index in images], np.int64)
        parts = tuple(
            Counts(rows, matrices[part], images[of == part], table[of == part])
            for part, rows in enumerate(self.parts)
        )
        return Counts(self.rows, matrices.sum(0), images, table, regions, parts)


class _Regions:
    """The counts of where errors lie, as they come in."""

    def __init__(self, classes: int, images: int) -> None:
        self.sizes = np.zeros((classes, len(SIZES) + 1, 3), np.int64)
        self.distances = np.zeros((len(DISTANCES) + 1, 2), np.int64)
        self.suspects = np.zeros(images, np.int64)
        self.most = np.zeros((classes, classes), np.int64)  # of one image, and which image it is
        self.example = np.zeros((classes, classes), np.int64)

    def add(
        self,
        index: int,
        truth: UInt8[ndarray, "H W"],
        predicted: UInt8[ndarray, "H W"],
        confidence: Float32[ndarray, "H W"] | None,
        matrix: Int64[ndarray, "K K"],
    ) -> None:
        self.sizes += size_counts(truth, predicted, len(self.sizes))
        self.distances += distance_counts(truth, predicted)
        near = reach(truth.shape[0], truth.shape[1], IOU_SHARE)
        if confidence is not None:
            self.suspects[index] = suspect_pixels(truth, predicted, confidence, near).sum()
        # Of equals the first image, whatever the order in which they come.
        more = (matrix > self.most) | ((matrix == self.most) & (index < self.example))
        self.most[more], self.example[more] = matrix[more], index

    def of_all(self) -> Regions:
        most = processes.largest(self.most)
        last = np.iinfo(np.int64).max
        mine = np.where((self.most == most) & (most > 0), self.example, last)
        example = -processes.largest(-mine)
        return Regions(
            processes.summed(self.sizes),
            processes.summed(self.distances),
            processes.summed(self.suspects),
            np.where(most > 0, example, -1),
        )
