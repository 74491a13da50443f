"""Run lengths <-> pixels: the counts that COCO and CVAT store, checked before memory is taken.

Counts alternate, first the pixels outside, then those inside, then outside again. COCO counts down
the columns of a whole image, CVAT along the rows of a box. COCO also packs its counts into a text:
each number, from the fourth on the difference to the one two places before, in groups of five bits
from the lowest up, a group plus 48 as a character, 32 more where another group follows
(cocoapi, common/maskApi.c).
"""

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Int64

Counts = Int64[np.ndarray, " N"]
Bits = Bool[np.ndarray, "h w"]

_MOST_GROUPS = 8
"""Groups of five bits in one number: 39 bits and a sign, which no image exceeds."""


@dataclass(frozen=True, eq=False)
class Runs:
    """Pixels inside a box of an image, as alternating counts.

    The counts fill height x width exactly (checked by Runs.checked). The box may reach beyond the
    image; by_columns says that they run down the columns.
    """

    counts: Counts
    height: int
    width: int
    top: int = 0
    left: int = 0
    by_columns: bool = True

    @classmethod
    def checked(
        cls,
        counts: Counts,
        box: tuple[int, int],
        place: tuple[int, int] = (0, 0),
        by_columns: bool = True,
    ) -> "Runs":
        """Runs in a box (height, width) at a place (top, left).

        Raises:
            ValueError: a count is negative, or they do not fill the box.
        """
        if len(counts) and counts.min() < 0:
            raise ValueError(f"run length {counts.min()} is negative")
        # As Python integers, which do not overflow.
        filled, pixels = math.fsum(counts.tolist()), box[0] * box[1]
        if filled != pixels:
            raise ValueError(
                f"the run lengths fill {filled:.0f} pixels, but {box[0]} x {box[1]} has {pixels}"
            )
        return cls(counts, box[0], box[1], place[0], place[1], by_columns)

    @classmethod
    def of(cls, bits: Bits, place: tuple[int, int] = (0, 0), by_columns: bool = True) -> "Runs":
        """The runs of a bitmap."""
        flat = np.ravel(bits, order="F" if by_columns else "C")
        borders = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        counts = np.diff(borders, prepend=0, append=flat.size).astype(np.int64)
        if flat.size and flat[0]:
            counts = np.concatenate([np.zeros(1, np.int64), counts])
        height, width = bits.shape
        return cls(counts, height, width, place[0], place[1], by_columns)

    @property
    def area(self) -> int:
        """Pixels inside."""
        return int(self.counts[1::2].sum())

    def bits(self) -> Bits:
        """The bitmap of the box."""
        inside = np.arange(len(self.counts)) % 2 == 1
        flat = np.repeat(inside, self.counts)
        if self.by_columns:
            return flat.reshape(self.width, self.height).T
        return flat.reshape(self.height, self.width)


def read_counts(plain: Any) -> Counts:
    """Counts of a COCO annotation, from a list of integers or from the packed text.

    Raises:
        ValueError: neither of them, or the text is cut.
    """
    if isinstance(plain, str):
        return unpack(plain)
    listed = cast("list[Any]", plain) if isinstance(plain, list) else None
    if listed is None or not all(type(count) is int and 0 <= count < 2**40 for count in listed):
        raise ValueError("counts must be a list of whole numbers from 0 up, or COCO's packed text")
    return np.array(listed, np.int64)


def unpack(text: str) -> Counts:
    """Counts of COCO's packed text.

    Raises:
        ValueError: a character that the packing does not use, a number too long, or a cut end.
    """
    data = np.frombuffer(text.encode("utf-8"), np.uint8)
    if not data.size:
        return np.zeros(0, np.int64)
    if data.min() < 48 or data.max() >= 48 + 64:
        raise ValueError("the packed run lengths hold a character that COCO does not use")
    groups = data.astype(np.int64) - 48
    ends = np.flatnonzero(groups & 32 == 0)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    if not ends.size or ends[-1] != groups.size - 1:
        raise ValueError("the packed run lengths are cut")
    lengths = ends - starts + 1
    if lengths.max() > _MOST_GROUPS:
        raise ValueError("the packed run lengths hold a number too large for any image")
    place = np.arange(groups.size) - np.repeat(starts, lengths)
    counts = np.add.reduceat((groups & 31) << (5 * place), starts)
    negative = groups[ends] & 16 != 0
    counts[negative] -= np.int64(1) << (5 * lengths[negative])
    for first in (1, 2):
        counts[first::2] = np.cumsum(counts[first::2])
    return counts


def pack(counts: Counts) -> str:
    """COCO's packed text of counts."""
    steps = counts.copy()
    steps[3:] -= counts[1:-2]
    letters: list[str] = []
    for step in steps.tolist():
        rest, more = step, True
        while more:
            group, rest = rest & 31, rest >> 5
            more = rest != (-1 if group & 16 else 0)
            letters.append(chr(group + 32 * more + 48))
    return "".join(letters)
