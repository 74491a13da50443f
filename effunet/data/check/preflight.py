"""The preflight: a dataset -> everything that is wrong with its files, and the line that mends it.

A fault found here costs seconds; found by a training it costs the epoch before it. A small split is
read whole. Of a large one every header and every mask is read, and as many images, drawn by seed,
as READ_PAIRS and READ_PIXELS allow; of a huge one, as many masks as images.
"""

import hashlib
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np

from effunet.data.dataset import Dataset
from effunet.data.files.opening import read_size, seems_cut
from effunet.data.sources.folder import FileDataset, size_mismatch
from effunet.data.sources.listing import shorten
from effunet.errors import DataError, EffunetError
from effunet.labels import IGNORE
from effunet.values import RawValue, UnknownValues, describe_unknown

READ_PAIRS, READ_PIXELS = 2000, 300_000_000
"""A split with no more than both is read whole: some seconds on one core."""

MASK_PIXELS = 10_000_000_000
"""A split with no more has all its masks read, which decode fast: Cityscapes' train has 6.2e9."""

LISTED = 3
"""Faults told behind the first one."""

Progress = Callable[[int, int], None]
"""Told how many pairs of how many have been looked at."""

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """One line: what, where, how to mend it. fatal: no training or evaluation can be right."""

    line: str
    fatal: bool = True


def require(
    *datasets: Dataset,
    everything: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """Check the splits of a run, and that they share no image; returns lines worth showing.

    Raises:
        DataError: one line with the first faults whole and the number of the others. With strict,
            what is only worth showing is a fault too.
    """
    findings = [f for dataset in datasets for f in check(dataset, everything, progress=progress)]
    findings += [f for one, other in combinations(datasets, 2) for f in shared_images(one, other)]
    faults = [finding.line for finding in findings if finding.fatal or strict]
    if not faults:
        return [finding.line for finding in findings]
    first, *others = faults
    if others:
        told = "; ".join(others[:LISTED])
        more = f"; and {len(others) - LISTED} more" if len(others) > LISTED else ""
        first = f"{first} (and {len(others)} more faults: {told}{more})"
    raise DataError(first)


def check(
    dataset: Dataset, everything: bool = False, seed: int = 0, progress: Progress | None = None
) -> list[Finding]:
    """All faults of one split and what is worth knowing of it; everything reads every pair.

    Only files can be at fault: a dataset that is made in memory has no findings.
    """
    if not isinstance(dataset, FileDataset):
        return []
    findings = [Finding(line) for line in dataset.listing.faults()]
    indices = list(range(len(dataset)))
    whole = set(indices) if everything else _drawn(dataset, seed)
    if len(whole) < len(indices):
        headers = _each(lambda index: _is_suspect(dataset, index), indices, progress)
        whole |= {index for index, suspect in enumerate(headers) if suspect}
        if len(indices) * _pixels(dataset) > MASK_PIXELS:
            indices = sorted(whole)
        line = (
            f"{_title(dataset)}: {len(dataset)} pairs by their headers, {len(indices)} masks and "
            f"{len(whole)} images whole were checked; dataset.check=all reads everything"
        )
        findings.append(Finding(line, fatal=False))
    looks = list(_each(lambda index: _look(dataset, index, index in whole), indices, progress))
    findings += [Finding(line) for look in looks for line in look.faults]
    return findings + list(_values(dataset, looks, whole=len(indices) == len(dataset)))


def shared_images(one: Dataset, other: Dataset) -> list[Finding]:
    """Images with the same bytes in two splits, under whatever name: a score for memory."""
    sizes = [_sizes(dataset) for dataset in (one, other)]
    twins: list[str] = []
    for size in sizes[0].keys() & sizes[1].keys():
        known = {_digest(file): file for file in sizes[0][size]}
        same = ((known.get(_digest(file)), file) for file in sizes[1][size])
        twins += [f"{mine} = {theirs}" for mine, theirs in same if mine is not None]
    if not twins:
        return []
    line = (
        f"{len(twins)} of {len(other)} images of {other.split} stand in {one.split} too, so that "
        f"scores on one reward memory of the other: {shorten(sorted(twins))}; remove one of each"
    )
    return [Finding(line, fatal=False)]


@dataclass(frozen=True)
class _Look:
    """What one pair has shown whose mask, and perhaps image, was read whole."""

    faults: tuple[str, ...] = ()
    mask: Path | None = None
    unknown: dict[RawValue, int] | None = None
    pixels: np.ndarray | None = None  # per class index, 256 of them


def _look(dataset: FileDataset, index: int, image_too: bool) -> _Look:
    faults: list[str] = []
    image = mask = unknown = None
    path = dataset.mask_path(index)
    try:
        image = dataset.read_image(index) if image_too else None
    except EffunetError as fault:
        faults.append(str(fault))
    try:
        mask = dataset.read_mask(index)
    except UnknownValues as fault:
        unknown = fault.counts
    except EffunetError as fault:
        faults.append(str(fault))
    if image is not None and mask is not None and image.shape[:2] != mask.shape:
        faults.append(size_mismatch(dataset.image_path(index), image.shape, path, mask.shape))
    pixels = None if mask is None else np.bincount(mask.reshape(-1), minlength=256)
    return _Look(tuple(faults), path, unknown, pixels)


def _is_suspect(dataset: FileDataset, index: int) -> bool:
    """Whether headers and file ends give a reason to read the pair whole, which then says why."""
    image, mask = dataset.image_path(index), dataset.mask_path(index)
    try:
        sizes = [read_size(file, dataset.max_pixels) for file in (image, mask)]
    except EffunetError:
        return True
    return sizes[0] != sizes[1] or seems_cut(image) or seems_cut(mask)


def _values(dataset: FileDataset, looks: Sequence[_Look], whole: bool) -> Iterator[Finding]:
    """What the values of all masks together say."""
    strange = [look for look in looks if look.unknown]
    if strange:
        first, *others = strange
        values = [value for look in others for value in look.unknown or ()]
        more = f"; {len(others)} more masks hold such values" if others else ""
        told = describe_unknown(first.unknown or {}, values)
        yield Finding(f"{first.mask}: {told} in {dataset.description.where}{more}")
    counted = [look.pixels for look in looks if look.pixels is not None]
    if strange or not counted:
        return
    pixels = np.sum(counted, axis=0)
    seen, ignored = np.flatnonzero(pixels[: len(dataset.labels)]), int(pixels[IGNORE])
    where = f"{_title(dataset)}: in {'all' if whole else 'the'} {len(counted)} masks read"
    mend = f"check `values` and `ignore` in {dataset.description.where}"
    if not len(seen):
        yield Finding(f"{where} every pixel is ignored, so nothing can be counted; {mend}")
        return
    absent = [name for i, name in enumerate(dataset.labels.names) if i not in seen]
    # Nothing but background beside ignored pixels: most often 255 was meant as the foreground.
    trap = whole and len(seen) == 1 and ignored > 0
    if absent:
        yield Finding(
            f"{where} there is no pixel of {shorten(absent)} ({ignored} px are ignored); "
            f"{mend if trap else 'the IoU of an absent class is n/a'}",
            fatal=trap,
        )


def _drawn(dataset: FileDataset, seed: int) -> set[int]:
    """The images to read whole: all of a small split, a sample of a large one."""
    count = len(dataset)
    affordable = min(count, READ_PAIRS, max(3, READ_PIXELS // _pixels(dataset)))
    return set(random.Random(seed).sample(range(count), affordable))


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


def _each(
    work: Callable[[int], T], indices: Sequence[int], progress: Progress | None
) -> Iterator[T]:
    """The work's result for each index in order; decoders release the interpreter's lock."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for done, result in enumerate(pool.map(work, indices), 1):
            yield result
            if progress is not None:
                progress(done, len(indices))


def _sizes(dataset: Dataset) -> dict[int, list[Path]]:
    """Image files by their number of bytes: only equal sizes need a second look."""
    files: defaultdict[int, list[Path]] = defaultdict(list)
    for index in range(len(dataset)):
        file = dataset.image_path(index)
        if file is not None and file.is_file():
            files[file.stat().st_size].append(file)
    return files


def _digest(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _title(dataset: Dataset) -> str:
    return f"{dataset.name}, split {dataset.split}"
