"""Two splits -> the images that stand in both: a score on one rewards memory of the other.

Where every image of both was decoded, two are one when their pixels are: another name, another file
format or other metadata do not hide it. Otherwise their bytes are compared, of files of one size.
"""

import hashlib
from collections import defaultdict
from pathlib import Path

import numpy as np

from effunet.data.check.findings import Finding
from effunet.data.check.judge import image_name
from effunet.data.check.survey import Survey
from effunet.data.dataset import Dataset
from effunet.data.sources.listing import shorten


def shared_images(
    one: Dataset, other: Dataset, surveys: tuple[Survey, Survey] | None = None
) -> list[Finding]:
    """Say which images of other stand in one too; surveys are those of the two splits."""
    decoded = surveys is not None and all(survey.read_images == survey.pairs for survey in surveys)
    twins = _by_pixels(one, other, *surveys) if surveys and decoded else _by_bytes(one, other)
    if not twins:
        return []
    title, place = other.split, one.split
    if one.name != other.name:
        title, place = f"{other.name} {title}", f"{one.name} {place}"
    what = (
        f"{len(twins)} of {len(other)} images of {title} stand in {place} too, so that "
        f"scores on one reward memory of the other: {shorten(sorted(twins))}"
    )
    return [Finding("shared_images", what, "remove one of each", "warning", other.split)]


def _by_pixels(one: Dataset, other: Dataset, mine: Survey, theirs: Survey) -> list[str]:
    digests, places = np.unique(mine.digests, return_index=True)  # the first of each
    both = np.isin(theirs.digests, digests) & (theirs.digests > 0)  # 0: could not be read
    found = np.searchsorted(digests, theirs.digests[both])
    pairs = zip(places[found].tolist(), np.flatnonzero(both).tolist(), strict=True)
    return [f"{image_name(one, first)} = {image_name(other, index)}" for first, index in pairs]


def _by_bytes(one: Dataset, other: Dataset) -> list[str]:
    sizes = [_sizes(dataset) for dataset in (one, other)]
    twins: list[str] = []
    for size in sizes[0].keys() & sizes[1].keys():
        known = {_digest(file): file for file in sizes[0][size]}
        same = ((known.get(_digest(file)), file) for file in sizes[1][size])
        twins += [f"{mine} = {theirs}" for mine, theirs in same if mine is not None]
    return twins


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
