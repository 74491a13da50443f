"""Mask files -> the raw values in them, with pixels and masks, and the classes they may mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from effunet.data.check.counting import byte_counts
from effunet.data.check.survey import in_order
from effunet.data.files.masks import read_palette, read_raw_mask
from effunet.errors import DataError
from effunet.labels import IGNORE
from effunet.values import Color, RawValue, default_color

MOST_MASKS = 2000
"""Masks that are read, spread evenly; the check reads all of them."""

Progress = Callable[[int, int], None]


@dataclass
class Seen:
    """A raw value in the masks that were read."""

    pixels: int = 0
    masks: int = 0


@dataclass
class Values:
    """What the masks hold; integers, or colours where they are RGB files."""

    masks: int
    read: int = 0
    pixels: int = 0
    values: dict[RawValue, Seen] = field(default_factory=dict[RawValue, Seen])
    palette: list[Color] = field(default_factory=list[Color])


@dataclass(frozen=True)
class Entry:
    """A class as it will be written: index by its place."""

    name: str
    color: Color
    values: tuple[RawValue, ...]
    comment: str = ""


def read_values(masks: Sequence[Path], progress: Progress | None = None) -> Values:
    """Count the values of at most MOST_MASKS masks.

    Raises:
        DataError: a mask cannot be read; integers beside colours; more values than classes can be.
    """
    count = len(masks)
    chosen = [masks[i * count // MOST_MASKS] for i in range(MOST_MASKS)]
    chosen = list(masks) if count <= MOST_MASKS else chosen
    found = Values(count)

    def work(index: int) -> dict[RawValue, int]:
        return _counts(read_raw_mask(chosen[index]))

    for done, counts in enumerate(in_order(work, range(len(chosen))), 1):
        for value, pixels in counts.items():
            seen = found.values.setdefault(value, Seen())
            seen.pixels += pixels
            seen.masks += 1
        found.read = done
        found.pixels += sum(counts.values())
        if len({type(value) for value in found.values}) > 1:
            raise DataError(
                f"{chosen[done - 1]} is of another kind than the masks before it: some hold "
                "integers and some colours; save all of them alike"
            )
        if len(found.values) > IGNORE + 1:
            raise DataError(
                f"the masks hold more than {IGNORE + 1} different values (seen up to "
                f"{chosen[done - 1]}), which are no classes: they may be numbers of instances, or "
                "masks that were resized with interpolation; make them again with nearest "
                "neighbour and PNG"
            )
        if progress is not None:
            progress(done, len(chosen))
    found.palette = read_palette(chosen[0])
    return found


def _counts(raw: Integer[np.ndarray, "..."]) -> dict[RawValue, int]:
    if raw.ndim == 2 and raw.dtype == np.uint8:
        counts = byte_counts(raw)
        return {value: int(counts[value]) for value in np.flatnonzero(counts).tolist()}
    flat = raw.astype(np.int64)
    if raw.ndim == 3:
        flat = flat[..., 0] << 16 | flat[..., 1] << 8 | flat[..., 2]
    # A mask is even over long runs: sorting where they begin is much less than sorting all pixels.
    line = flat.reshape(-1)
    starts = np.flatnonzero(np.concatenate([[True], line[1:] != line[:-1]]))
    lengths = np.diff(np.append(starts, line.size))
    values, places = np.unique(line[starts], return_inverse=True)
    sums = np.bincount(places.reshape(-1), weights=lengths).astype(np.int64).tolist()
    plain: list[int] = values.tolist()
    if raw.ndim == 2:
        return dict(zip(plain, sums, strict=True))
    return {
        (value >> 16, value >> 8 & 255, value & 255): pixels
        for value, pixels in zip(plain, sums, strict=True)
    }


def classes_of(
    found: Values, names: Mapping[RawValue, str]
) -> tuple[list[Entry], list[tuple[RawValue, str]]]:
    """The classes, and the values to ignore with a comment each.

    0 and 1, or 0 and 255, are background and foreground; 255 beside other integers is ignored; any
    other value is a class, named by names where they have it.
    """
    ordered = sorted(found.values)  # pyright: ignore[reportArgumentType] - all of one kind
    shares = {value: _share(found, value) for value in ordered}
    if not names and len(ordered) <= 2 and set(ordered) <= {0, 1, 255} and 0 in ordered:
        on = ordered[1] if len(ordered) == 2 else 1
        return [
            Entry("background", (0, 0, 0), (0,), shares[0]),
            Entry("foreground", (255, 255, 255), (on,), shares.get(on, "not seen")),
        ], []
    ignored: list[tuple[RawValue, str]] = []
    if len(ordered) > 2 and 255 in ordered and 255 not in names:
        ordered.remove(255)
        ignored.append((255, shares[255]))
    entries: list[Entry] = []
    taken: set[str] = set()
    for place, value in enumerate(ordered):
        name = names.get(value, "") or _name(value)
        while name in taken:
            name += "_"
        taken.add(name)
        entries.append(Entry(name, _color(value, place, found), (value,), shares[value]))
    for value, name in names.items():
        # What the list of names has and no mask shows keeps its place at the end.
        if value not in found.values and name not in taken and len(entries) < IGNORE:
            taken.add(name)
            entries.append(Entry(name, _color(value, len(entries), found), (value,), "not seen"))
    return entries, ignored


def _share(found: Values, value: RawValue) -> str:
    seen = found.values[value]
    return f"{seen.pixels / max(1, found.pixels):.2%} of the pixels, in {seen.masks} masks"


def _name(value: RawValue) -> str:
    if isinstance(value, tuple):
        return "background" if value == (0, 0, 0) else "color_" + "_".join(map(str, value))
    return f"class_{value}"


def _color(value: RawValue, place: int, found: Values) -> Color:
    """The colour itself, the palette's, or one of our own."""
    if isinstance(value, tuple):
        return value
    palette = found.palette
    if isinstance(value, int) and 0 <= value < len(palette) and len(set(palette)) > 1:
        red, green, blue = palette[value]
        if not red == green == blue or value == 0:
            return palette[value]
    return default_color(place + 1)
