"""One split of a dataset -> how often each class occurs in its masks, in pixels and in images.

Of a dataset of files the masks alone are read. A large split is sampled by seed: the shares of the
classes settle long before the last mask, and reading all of a large split takes minutes.
"""

import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from effunet.data.check.counting import byte_counts
from effunet.data.check.remembered import keep, recall
from effunet.data.check.survey import Survey
from effunet.data.check.surveyed import DRAWN, memory_of, remembered
from effunet.data.dataset import Dataset
from effunet.data.sources.folder import FileDataset
from effunet.data.sources.generated import GeneratedDataset
from effunet.labels import IGNORE

SAMPLE = 1000
"""Masks read of a larger split."""


@dataclass(frozen=True, kw_only=True)
class SplitStatistics:
    """What the masks of a split hold; every tuple has one number per class, in index order."""

    dataset: str
    split: str
    classes: tuple[str, ...]  # names
    images: int  # in the split
    read: int  # masks that the counts below are from
    pixels: tuple[int, ...]  # of the class
    images_with: tuple[int, ...]  # in which the class occurs
    pixels_around: tuple[int, ...]  # labelled pixels, of whatever class, of those images
    ignored: int  # pixels that never count, in the masks read

    @property
    def labelled(self) -> int:
        """Pixels of any class in the masks read."""
        return sum(self.pixels)

    @property
    def absent(self) -> tuple[str, ...]:
        """Names of the classes without a pixel in the masks read."""
        return tuple(n for n, pixels in zip(self.classes, self.pixels, strict=True) if not pixels)

    @property
    def notice(self) -> str | None:
        """The line that says so where only a sample was read."""
        if self.read == self.images:
            return None
        return (
            f"{self.dataset}, split {self.split}: the classes were counted in {self.read} of"
            f" {self.images} masks, drawn by seed"
        )

    def to_plain(self) -> dict[str, Any]:
        """Return JSON types under the names of the fields."""
        return {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(self).items()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "SplitStatistics":
        """Read what to_plain wrote."""
        read: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in plain.items()}
        return cls(**read)


def split_statistics(dataset: Dataset, limit: int | None = None, seed: int = 0) -> SplitStatistics:
    """Count the classes of a split in at most `limit` of its masks; None: SAMPLE, or DRAWN.

    The same dataset, limit and seed give the same numbers on every machine.

    Raises:
        DataError: a mask cannot be read, or holds values that no class means.
    """
    if limit is None:
        made = any(isinstance(source, GeneratedDataset) for source in dataset.sources)
        limit = DRAWN if made else SAMPLE
    if limit < 1:
        raise ValueError(f"at least 1 mask must be read, got limit={limit}")
    indices: Sequence[int] = range(len(dataset))
    if len(indices) > limit:
        indices = sorted(random.Random(seed).sample(indices, limit))
    if not isinstance(dataset, FileDataset):
        return _counted(dataset, indices)
    memory = memory_of(dataset)
    if len(indices) == len(dataset):
        survey = remembered(memory)
        # A mask at fault is told below, when it is read again.
        if survey is not None and survey.whole and not survey.faults and not survey.unknown:
            return of_survey(dataset, survey)
    kind = f"statistics-{len(indices)}-{seed}"
    known = recall(memory, kind)
    if known is not None:
        with suppress(TypeError):  # kept by somebody else
            return SplitStatistics.from_plain(known)
    counted = _counted(dataset, indices)
    keep(memory, kind, counted.to_plain())
    return counted


def of_survey(dataset: Dataset, survey: Survey) -> SplitStatistics:
    """What the masks that a survey has read hold."""
    return SplitStatistics(
        dataset=dataset.name,
        split=dataset.split,
        classes=dataset.labels.names,
        images=survey.pairs,
        read=survey.read_masks,
        pixels=tuple(survey.pixels.tolist()),
        images_with=tuple(survey.images_with.tolist()),
        pixels_around=tuple(survey.pixels_around.tolist()),
        ignored=survey.ignored,
    )


def _counted(dataset: Dataset, indices: Sequence[int]) -> SplitStatistics:
    classes = len(dataset.labels)
    pixels, around, images = np.zeros((3, classes), np.int64)
    ignored = 0
    for counts in _counts(dataset, indices):
        mine = counts[:classes]
        pixels += mine
        images += mine > 0
        around += np.where(mine > 0, mine.sum(), 0)
        ignored += int(counts[IGNORE])
    return SplitStatistics(
        dataset=dataset.name,
        split=dataset.split,
        classes=dataset.labels.names,
        images=len(dataset),
        read=len(indices),
        pixels=tuple(pixels.tolist()),
        images_with=tuple(images.tolist()),
        pixels_around=tuple(around.tolist()),
        ignored=ignored,
    )


def _counts(dataset: Dataset, indices: Sequence[int]) -> Iterator[Int64[np.ndarray, "256"]]:
    """Pixels per class index of each mask, in the order of indices."""

    def count(index: int) -> Int64[np.ndarray, "256"]:
        return byte_counts(dataset.read_mask(index))

    # Decoders release the interpreter's lock.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(count, indices)
