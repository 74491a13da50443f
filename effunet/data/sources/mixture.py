"""Datasets of several taxonomies as one: each mapped by name onto one label map.

A class of a dataset becomes the class of the target that its `maps` name, or the one of its own
name; every class must become something, if only `ignore`, so that no mapping is a guess.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from effunet.data.dataset import Dataset, Sample
from effunet.data.describe.description import IGNORED
from effunet.data.sources.rows import Rows
from effunet.errors import DataError, UsageError
from effunet.labels import IGNORE, IndexMask, LabelMap

Table = UInt8[ndarray, "256"]
"""The target's index of every index of a source; IGNORE stays itself."""


class Mapped(Dataset):
    """A dataset whose masks hold the class indices of another label map."""

    def __init__(self, inner: Dataset, labels: LabelMap, table: Table) -> None:
        super().__init__(inner.name, inner.split, labels, inner.ids, inner.pixels, inner.notices)
        self.inner, self.table = inner, table

    def __getitem__(self, index: int) -> Sample:
        sample = self.inner[index]
        return Sample(sample.image, cv2.LUT(sample.mask, self.table), sample.name)

    @property
    def scored(self) -> tuple[bool, ...]:
        """Whether its truth can hold each class."""
        reached = set(self.table[: len(self.inner.labels)].tolist())
        return tuple(index in reached for index in range(len(self.labels)))

    @property
    def weights(self) -> Float32[ndarray, " N"] | None:
        """As of the dataset itself."""
        return self.inner.weights

    @property
    def sources(self) -> tuple[Dataset, ...]:
        """What is behind it, in its own classes."""
        return self.inner.sources

    def read_image(self, index: int) -> UInt8[ndarray, "H W C"]:
        """The image of a sample without its mask."""
        return self.inner.read_image(index)

    def read_mask(self, index: int) -> IndexMask:
        """The mask of a sample without its image."""
        return cv2.LUT(self.inner.read_mask(index), self.table)

    def image_path(self, index: int) -> Path | None:
        """The file that the image is read from; None where it is made."""
        return self.inner.image_path(index)

    def mask_path(self, index: int) -> Path | None:
        """The file that the mask is read from; None where it is made."""
        return self.inner.mask_path(index)


class Mixture(Dataset):
    """Several datasets of one label map, one after the other; names start with the dataset's."""

    def __init__(self, parts: Sequence[Dataset], shares: Sequence[float] | None = None) -> None:
        """`shares` say how many of the samples come from each part; None: as it has images.

        Raises:
            UsageError: parts of unlike images, or shares that are no numbers above 0.
        """
        first = parts[0]
        for part in parts[1:]:
            if part.pixels.channels != first.pixels.channels:
                raise UsageError(
                    f"dataset.parts: {first.name} has images of {first.channels} channels and "
                    f"{part.name} of {part.channels}: mix datasets of one kind of images"
                )
        if shares is not None and (len(shares) != len(parts) or min(shares) <= 0):
            raise UsageError(
                f"dataset.part_shares must be {len(parts)} numbers above 0, got {list(shares)}"
            )
        notices = [notice for part in parts for notice in part.notices]
        pixels = first.pixels
        super().__init__("mixture", first.split, first.labels, _Names(parts), pixels, notices)
        self.parts = tuple(parts)
        self.shares = None if shares is None else tuple(shares)
        self._ends = list(accumulate(len(part) for part in parts))

    def __getitem__(self, index: int) -> Sample:
        part, place = self.place(index)
        sample = part[place]
        return Sample(sample.image, sample.mask, self.ids[index])

    def part_of(self, index: int) -> int:
        """The number of the part that holds the sample."""
        return bisect_right(self._ends, index)

    def place(self, index: int) -> tuple[Dataset, int]:
        """The part that holds the sample, and its index there."""
        index = range(len(self))[index]
        number = self.part_of(index)
        return self.parts[number], index - (self._ends[number - 1] if number else 0)

    @property
    def scored(self) -> tuple[bool, ...] | None:
        """Whether the truth of any part can hold each class."""
        known = [part.scored or (True,) * len(self.labels) for part in self.parts]
        return tuple(any(parts) for parts in zip(*known, strict=True))

    @property
    def weights(self) -> Float32[ndarray, " N"] | None:
        """How often each image is drawn, so that every part has its share; None: all alike."""
        if self.shares is None and all(part.weights is None for part in self.parts):
            return None
        shares = self.shares or [float(len(part)) for part in self.parts]
        drawn: list[ndarray] = []
        for part, share in zip(self.parts, shares, strict=True):
            if part.weights is not None and not part.weights.any():
                raise DataError(f"{part.name}, split {part.split}: all its weights are 0")
            own = np.ones(len(part)) if part.weights is None else part.weights.astype(np.float64)
            drawn.append(own * (share / own.sum()))
        weights = np.concatenate(drawn)
        return (weights / weights.mean()).astype(np.float32)

    @property
    def sources(self) -> tuple[Dataset, ...]:
        """The datasets behind it, in their own classes."""
        return tuple(source for part in self.parts for source in part.sources)

    def read_image(self, index: int) -> UInt8[ndarray, "H W C"]:
        """The image of a sample without its mask."""
        part, place = self.place(index)
        return part.read_image(place)

    def read_mask(self, index: int) -> IndexMask:
        """The mask of a sample without its image."""
        part, place = self.place(index)
        return part.read_mask(place)

    def image_path(self, index: int) -> Path | None:
        """The file that the image is read from; None where it is made."""
        part, place = self.place(index)
        return part.image_path(place)

    def mask_path(self, index: int) -> Path | None:
        """The file that the mask is read from; None where it is made."""
        part, place = self.place(index)
        return part.mask_path(place)


def parts_of(dataset: Dataset) -> tuple[int, Callable[[int], int]]:
    """How many datasets a split is made of, and which of them an index belongs to."""
    if isinstance(dataset, Mixture):
        return len(dataset.parts), dataset.part_of
    return 1, lambda index: 0


class _Names(Rows[str]):
    """The names of all parts' samples, each behind the name of its dataset."""

    def __init__(self, parts: Sequence[Dataset]) -> None:
        self._parts = [(part.name, part.ids) for part in parts]

    def __len__(self) -> int:
        return sum(len(ids) for _, ids in self._parts)

    def row(self, place: int) -> str:
        """One name."""
        for name, ids in self._parts:
            if place < len(ids):
                return f"{name}/{ids[place]}"
            place -= len(ids)
        raise IndexError(place)


def table_of(
    labels: LabelMap, maps: Mapping[str, str], target: LabelMap, names: tuple[str, str, str]
) -> Table:
    """The target's index of every class of a source.

    names are the source's, the target's and the file's, for the message.

    Raises:
        DataError: a class that becomes nothing, or something that the target does not have.
    """
    source, wanted, where = names
    becomes = {name: maps.get(name, name) for name in labels.names}
    allowed = {*target.names, IGNORED}
    strange = [goal for goal in maps.values() if goal not in allowed]
    if strange:
        raise DataError(f"{where}: maps: {wanted}: {wanted} has no class {', '.join(strange)}")
    lost = [name for name, goal in becomes.items() if goal not in allowed]
    if lost:
        line = ", ".join(f"{name}: ..." for name in lost)
        raise DataError(
            f"{source}: {len(lost)} of its classes have no counterpart in {wanted}: write what "
            f"they become there, or {IGNORED}, in {where}: `maps: {{{wanted}: {{{line}}}}}`"
        )
    table = np.full(256, IGNORE, np.uint8)
    for index, goal in enumerate(becomes.values()):
        table[index] = IGNORE if goal == IGNORED else target.names.index(goal)
    return table
