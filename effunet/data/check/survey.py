"""One split -> a Survey: all that checks and statistics need to know of its files, in one pass.

A small split is read whole. Of a large one every header and every mask is read, and as many images,
drawn by seed, as READ_PAIRS and READ_PIXELS allow; of a huge one, as many masks as images. What is
kept grows by 16 bytes a pair.
"""

import os
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass, field, fields
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int64, UInt32, UInt64

from effunet.data.check.findings import Finding
from effunet.data.check.look import Look, Reader, RowReader
from effunet.data.dataset import Dataset
from effunet.data.files.opening import read_size
from effunet.data.sources.folder import FileDataset
from effunet.errors import EffunetError
from effunet.labels import IGNORE
from effunet.values import RawValue

READ_PAIRS, READ_PIXELS = 2000, 300_000_000
"""A split with no more than both is read whole: some seconds on one core."""

MASK_PIXELS = 10_000_000_000
"""A split with no more has all its masks read, which decode fast: Cityscapes' train has 6.2e9."""

FAULTS_KEPT, VALUES_KEPT = 1000, 4096
"""Faults of files that are told one by one, and unknown values that are told apart."""

Progress = Callable[[int, int], None]
"""Told how many pairs of how many have been looked at."""

T = TypeVar("T")


@dataclass
class Unknown:
    """A raw value that stands nowhere in the label map: its pixels, and the masks it is in."""

    pixels: int = 0
    masks: int = 0
    first: int = 0  # index of the first such mask


@dataclass
class Survey:
    """What the files of one split have shown; K classes, N pairs, C channels."""

    pairs: int
    pixels: Int64[np.ndarray, " K"]
    images_with: Int64[np.ndarray, " K"]  # images in which the class occurs
    pixels_around: Int64[np.ndarray, " K"]  # labelled pixels of those images
    sizes: UInt32[np.ndarray, "N 2"]  # height and width; 0 where a header cannot be read
    digests: UInt64[np.ndarray, " N"]  # of each image's pixels; 0 where it was not read
    colors: Int64[np.ndarray, "C 256"]  # pixels of each value, in the images drawn by seed
    colored: int = 0  # images that colors are from
    read_images: int = 0  # whole, or tried to
    read_masks: int = 0
    ignored: int = 0  # pixels
    unknown: dict[RawValue, Unknown] = field(default_factory=dict[RawValue, Unknown])
    unknown_masks: int = 0  # that hold an unknown value
    more_unknown: bool = False  # there are more than VALUES_KEPT
    faults: list[Finding] = field(default_factory=list[Finding])
    more_faults: int = 0
    remembered: bool = False  # from an earlier time, and nothing has changed since

    @classmethod
    def empty(cls, pairs: int, classes: int) -> "Survey":
        """One to which nothing has been added yet."""
        pixels, images_with, pixels_around = np.zeros((3, classes), np.int64)
        sizes, digests = np.zeros((pairs, 2), np.uint32), np.zeros(pairs, np.uint64)
        colors = np.zeros((0, 256), np.int64)
        return cls(pairs, pixels, images_with, pixels_around, sizes, digests, colors)

    @property
    def whole(self) -> bool:
        """Whether every mask was read, so that no class or value can be missing here."""
        return self.read_masks == self.pairs

    def add(self, index: int, look: Look) -> None:
        """Count what one pair has shown."""
        self.read_images += look.read_image
        self.read_masks += look.read_mask
        room = FAULTS_KEPT - len(self.faults)
        self.faults += look.faults[:room]
        self.more_faults += len(look.faults[room:])
        if look.size is not None:
            self.sizes[index] = look.size
        self.digests[index] = look.digest
        if look.channels is not None:
            seen = np.stack(look.channels)
            self.colors = self.colors + seen if self.colored else seen
            self.colored += 1
        if look.counts is not None:
            mine = look.counts[: len(self.pixels)]
            self.pixels += mine
            self.images_with += mine > 0
            self.pixels_around += np.where(mine > 0, mine.sum(), 0)
            # Of a mask with unknown values those came back as ignored.
            self.ignored += int(look.counts[IGNORE])
        self.unknown_masks += bool(look.unknown)
        for value, pixels in look.unknown.items():
            if value not in self.unknown and len(self.unknown) >= VALUES_KEPT:
                self.more_unknown = True
                continue
            entry = self.unknown.setdefault(value, Unknown(first=index))
            entry.pixels += pixels
            entry.masks += 1

    def to_plain(self) -> dict[str, Any]:
        """Return JSON types; from_plain gives the survey back."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain |= {n: v.tolist() for n, v in plain.items() if isinstance(v, np.ndarray)}
        plain["unknown"] = [[value, *astuple(entry)] for value, entry in self.unknown.items()]
        plain["faults"] = [fault.to_plain() for fault in self.faults]
        return plain

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Survey":
        """Read what to_plain wrote; anything else raises TypeError, ValueError or KeyError."""
        counts = ("pixels", "images_with", "pixels_around")
        read: dict[str, Any] = plain | {n: np.array(plain[n], np.int64) for n in counts}
        read["sizes"] = np.array(plain["sizes"], np.uint32).reshape(-1, 2)
        read["digests"] = np.array(plain["digests"], np.uint64)
        read["colors"] = np.array(plain["colors"], np.int64).reshape(-1, 256)
        read["unknown"] = {
            tuple(value) if isinstance(value, list) else value: Unknown(*entry)
            for value, *entry in plain["unknown"]
        }
        read["faults"] = [Finding(**fault) for fault in plain["faults"]]
        read["remembered"] = True
        return cls(**read)


def make_survey(
    dataset: FileDataset,
    *,
    everything: bool = False,
    masks: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Survey:
    """Read a split as far as its size allows, every mask with masks, all of it with everything."""
    reader, count = Reader.of(dataset), len(dataset)
    drawn = draw(dataset, seed)
    every_mask = everything or masks or count * _pixels(dataset) <= MASK_PIXELS
    survey = Survey.empty(count, len(dataset.labels))

    def look(index: int) -> Look:
        image, mask = everything or index in drawn, every_mask or index in drawn
        return reader.look(index, image=image, mask=mask, colors=index in drawn)

    for index, seen in enumerate(in_order(look, range(count))):
        survey.add(index, seen)
        if progress is not None:
            progress(index + 1, count)
    return survey


def survey_samples(
    dataset: Dataset, limit: int, seed: int = 0, progress: Progress | None = None
) -> Survey:
    """The same of samples that come whole: of at most `limit` of them, drawn by seed."""
    survey = Survey.empty(len(dataset), len(dataset.labels))
    count = min(limit, len(dataset))
    chosen = sorted(random.Random(seed).sample(range(len(dataset)), count))
    looks = in_order(RowReader.of(dataset).look, chosen)
    for done, (index, seen) in enumerate(zip(chosen, looks, strict=True), 1):
        survey.add(index, seen)
        if progress is not None:
            progress(done, count)
    return survey


def limits() -> tuple[int, ...]:
    """What decides, beside the files, how much of a split is read."""
    return READ_PAIRS, READ_PIXELS, MASK_PIXELS


def draw(dataset: FileDataset, seed: int = 0) -> frozenset[int]:
    """The images to read in any case: all of a small split, a sample of a large one."""
    count = len(dataset)
    affordable = min(count, READ_PAIRS, max(3, READ_PIXELS // _pixels(dataset)))
    return frozenset(random.Random(seed).sample(range(count), affordable))


def _pixels(dataset: FileDataset) -> int:
    """Pixels of an image, judged by the largest of three; at least 1."""
    count, pixels = len(dataset), 1
    for index in {0, count // 2, count - 1} if count else ():
        try:
            height, width = read_size(dataset.image_path(index), dataset.max_pixels)
            pixels = max(pixels, height * width)
        except EffunetError:
            continue  # reading it whole reports it
    return pixels


def in_order(work: Callable[[int], T], indices: Sequence[int]) -> Iterator[T]:
    """The work's result for each index in order; decoders release the interpreter's lock.

    Only a few are under way at a time: what waits would hold its memory.
    """
    workers = min(8, os.cpu_count() or 1)
    todo = iter(indices)
    with ThreadPoolExecutor(workers) as pool:
        under_way: deque[Future[T]] = deque(
            pool.submit(work, index) for index in islice(todo, 4 * workers)
        )
        try:
            while under_way:
                yield under_way.popleft().result()
                under_way.extend(pool.submit(work, index) for index in islice(todo, 1))
        finally:
            pool.shutdown(cancel_futures=True)
