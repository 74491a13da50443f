"""Pairs of image and mask files, held in few bytes: a split of a hundred thousand is one text.

A list of Python objects would take over a kilobyte a pair, and each worker of a loader would copy
it, because counting references writes to every object that is looked at.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np

from effunet.data.sources.rows import Rows


@dataclass(frozen=True)
class Pair:
    """An image, the file that its mask comes from, and the name that both share.

    instances is the file of its instances, for the pairs of a split that has all of these.
    """

    name: str
    image: Path
    mask: Path
    instances: Path | None = None


class Pairs(Rows[Pair]):
    """A row of pairs, made anew whenever one is asked for; about the length of its names a pair."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        kinds = [[str(pair.image) for pair in pairs], [str(pair.mask) for pair in pairs]]
        instances = [str(pair.instances) for pair in pairs if pair.instances is not None]
        if instances and len(instances) == len(pairs):
            kinds.append(instances)
        self._folders = [_common_folder(files) for files in kinds]
        names = [os.fsencode(pair.name) for pair in pairs]
        ends = (
            [os.fsencode(file)[len(os.fsencode(folder)) :] for file in files]
            for files, folder in zip(kinds, self._folders, strict=True)
        )
        entries = [b"\0".join(entry) for entry in zip(names, *ends, strict=True)]
        self._text = b"".join(entries)
        ends = np.cumsum([0, *map(len, entries)], dtype=np.int64)
        self._ends = ends.astype(np.min_scalar_type(len(self._text)))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def row(self, place: int) -> Pair:
        """One pair."""
        name, *ends = self.entry(place)
        files = (Path(folder + end) for folder, end in zip(self._folders, ends, strict=True))
        return Pair(name, *files)

    @property
    def have_instances(self) -> bool:
        """Whether each pair has a file of instances."""
        return len(self._folders) == 3

    @property
    def nbytes(self) -> int:
        """Bytes that all pairs take."""
        return len(self._text) + self._ends.nbytes

    @property
    def names(self) -> "Names":
        """The names alone."""
        return Names(self)

    def entry(self, place: int) -> list[str]:
        """Name, and the ends of the paths of image and mask, and of instances where all have it."""
        entry = self._text[int(self._ends[place]) : int(self._ends[place + 1])]
        return [os.fsdecode(part) for part in entry.split(b"\0")]


class Names(Rows[str]):
    """The names of pairs, without a copy of them."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def row(self, place: int) -> str:
        """One name."""
        return self._pairs.entry(place)[0]


def _common_folder(paths: Sequence[str]) -> str:
    """What all paths start with, up to a separator."""
    if not paths:
        return ""
    # The first and the last in order differ where any two do.
    first, last = min(paths), max(paths)
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    common = "".join(letter for letter, _ in alike)
    return common[: common.rfind(os.sep) + 1]
