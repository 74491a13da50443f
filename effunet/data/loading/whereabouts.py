"""The masks of a training split -> where its classes are: in which images, and at which pixels.

One pass over the masks, after which a crop can be aimed at a class without reading a mask for it.
kept.py holds the result for the next training.
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Float64, Int64, UInt8, UInt32

from effunet.data.dataset import Dataset
from effunet.data.loading.faults import may_be_skipped
from effunet.errors import DataError, EffunetError
from effunet.labels import IGNORE, IndexMask

POINTS = 4
"""Pixels that are noted of each class of an image."""

DRAWN = 2000
"""Masks looked at where they are made on demand: drawing one takes ten times as long as reading."""

Progress = Callable[[int, int], None]
"""Told how many masks of how many have been looked at."""


@dataclass(frozen=True, eq=False)
class Whereabouts:
    """Where the classes of a split are: a row for each class that an image holds, image by image.

    A row takes 21 bytes and an image 8 more, which is about 200 bytes an image of nine classes.
    """

    starts: UInt32[np.ndarray, " S"]  # the rows of image i are starts[i] to starts[i + 1] - 1
    widths: UInt32[np.ndarray, " N"]  # of the images, pixels; 0: the mask was not read
    labels: UInt8[np.ndarray, " R"]  # class indices, ascending within an image
    pixels: UInt32[np.ndarray, " R"]  # how many of the class the image has
    points: UInt32[np.ndarray, "R P"]  # some of them, drawn evenly: y * width + x

    def __post_init__(self) -> None:
        rows, last = len(self.labels), int(self.starts[-1]) if len(self.starts) else -1
        whole = (
            len(self.starts) == len(self.widths) + 1
            and self.points.shape == (rows, POINTS)
            and len(self.pixels) == rows == last
            and int(self.starts[0]) == 0
            and bool((np.diff(self.starts.astype(np.int64)) >= 0).all())
        )
        if not whole:
            raise ValueError(f"{rows} rows of {len(self.widths)} images do not fit together")

    def __len__(self) -> int:
        """Images of the split."""
        return len(self.widths)

    def parts(self) -> dict[str, np.ndarray]:
        """The arrays by their names, which make an equal one again."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @property
    def nbytes(self) -> int:
        """Bytes of all that is noted."""
        return sum(part.nbytes for part in self.parts().values())

    @cached_property
    def totals(self) -> Int64[np.ndarray, " 256"]:
        """Pixels of each class index in all images."""
        return np.bincount(self.labels, self.pixels, 256).astype(np.int64)

    @property
    def present(self) -> Int64[np.ndarray, " C"]:
        """The classes that occur."""
        return np.flatnonzero(self.totals)

    @property
    def shares(self) -> Float64[np.ndarray, " C"]:
        """The share of all labelled pixels of each class that occurs."""
        return self.totals[self.present] / self.totals.sum()

    def rows(self, label: int) -> Int64[np.ndarray, " M"]:
        """The rows of one class, one for each image that holds it."""
        return np.flatnonzero(self.labels == label)

    def images(self, rows: Int64[np.ndarray, " M"]) -> Int64[np.ndarray, " M"]:
        """The image of each row."""
        return np.searchsorted(self.starts, rows, side="right").astype(np.int64) - 1

    def pixels_at(
        self, rows: Int64[np.ndarray, " M"], nths: Int64[np.ndarray, " M"]
    ) -> list[tuple[int, int]]:
        """The nth point (0..POINTS-1) of each row, as (y, x) in its image."""
        y, x = np.divmod(self.points[rows, nths], self.widths[self.images(rows)])
        return list(zip(y.tolist(), x.tolist(), strict=True))


def find_classes(
    dataset: Dataset, progress: Progress | None = None, *, skip: bool = False
) -> Whereabouts:
    """Look through the masks of a split; the same masks give the same result everywhere.

    Of a split that is drawn on demand, DRAWN masks at most are looked at, chosen by seed. With
    `skip`, a mask that cannot be read holds nothing.

    Raises:
        DataError: a mask cannot be read, or no mask has a pixel of any class.
    """
    looked = looked_at(dataset)
    count = len(dataset)
    held, widths = np.zeros((2, count), np.uint32)
    parts: list[_Rows] = []
    for done, (index, (width, rows)) in enumerate(_look_all(dataset, looked, skip), 1):
        held[index], widths[index] = len(rows[0]), width
        parts.append(rows)
        if progress is not None:
            progress(done, len(looked))
    labels, pixels, points = (np.concatenate(part) for part in zip(*parts, strict=True))
    if not len(labels):
        raise DataError(
            f"{dataset.name}, split {dataset.split}: no mask has a pixel of any class, so no crop "
            "can be aimed at one; use sampling.classes=none and sampling.copy_paste=0"
        )
    starts = np.concatenate([[0], np.cumsum(held)]).astype(np.uint32)
    return Whereabouts(starts, widths, labels, pixels, points)


def looked_at(dataset: Dataset) -> Sequence[int]:
    """The images whose masks are looked at, ascending: all of them, or DRAWN by seed."""
    indices: Sequence[int] = range(len(dataset))
    if len(indices) <= DRAWN or dataset.mask_path(0) is not None:
        return indices
    return sorted(random.Random(0).sample(indices, DRAWN))


_Rows = tuple[
    UInt8[np.ndarray, " R"],
    UInt32[np.ndarray, " R"],
    UInt32[np.ndarray, "R P"],
]


def _look_all(
    dataset: Dataset, indices: Sequence[int], skip: bool
) -> Iterator[tuple[int, tuple[int, _Rows]]]:
    def look(index: int) -> tuple[int, _Rows]:
        try:
            mask = dataset.read_mask(index)
            return mask.shape[1], rows_of(mask, index)
        except (EffunetError, OSError) as error:
            if not isinstance(error, EffunetError):
                error = DataError(f"{dataset.ids[index]}: the mask cannot be read: {error}")
            if not (skip and may_be_skipped(error)):
                raise error from None
            return 0, rows_of(np.full((1, 1), IGNORE, np.uint8), index)

    # Decoders release the interpreter's lock.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from zip(indices, pool.map(look, indices), strict=True)


def rows_of(mask: IndexMask, seed: int) -> _Rows:
    """The classes of one mask, with the number and POINTS of the pixels of each.

    One point is drawn from each of POINTS equal parts of a class, in reading order: any pixel is as
    likely as any other, and the points lie apart.
    """
    counts = cv2.calcHist([np.ascontiguousarray(mask)], [0], None, [256], [0, 256]).reshape(-1)
    counts[IGNORE] = 0
    labels = np.flatnonzero(counts).astype(np.uint8)
    draw = np.random.default_rng(seed)
    pixels, points = np.zeros(len(labels), np.uint32), np.zeros((len(labels), POINTS), np.uint32)
    for row, label in enumerate(labels):
        places = np.flatnonzero(mask == label)
        at = (np.arange(POINTS) + draw.random(POINTS)) * (len(places) / POINTS)
        pixels[row] = len(places)
        points[row] = places[np.minimum(at.astype(np.int64), len(places) - 1)]
    return labels, pixels, points
