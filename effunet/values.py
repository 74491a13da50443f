"""Raw values: what a mask holds for a pixel, before a label map says what it means.

An integer (grey, palette and 16 bit files), a colour (r, g, b), or the text label of an annotation.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np
from jaxtyping import Integer

from effunet.errors import DataError
from effunet.plain import is_whole

Color = tuple[int, int, int]
RawValue = int | Color | str
Channel = TypeVar("Channel", int, np.ndarray)

LONGEST_LIST = 20
"""Unknown values that are listed one by one; more look like a resized or lossy mask."""


class UnknownValues(DataError):
    """A mask holds raw values that its map neither knows nor ignores; counts has their pixels."""

    def __init__(self, message: str, counts: Mapping[RawValue, int] | None = None) -> None:
        super().__init__(message)
        self.counts: dict[RawValue, int] = dict(counts or {})


def show_value(value: RawValue) -> str:
    """A raw value as dataset.yaml writes it: 7, [128, 64, 128], or "traffic light"."""
    return f'"{value}"' if isinstance(value, str) else str(jsonable(value))


def jsonable(value: RawValue) -> int | str | list[int]:
    """A raw value in JSON types, which read_value takes back."""
    return list(value) if isinstance(value, tuple) else value


def read_values(plain: Any, where: str) -> tuple[RawValue, ...]:
    """Read a list of raw values of a file; raises DataError, which names where."""
    if not isinstance(plain, list):
        raise DataError(f"{where} must be a list, got {plain!r}: write [{plain}]")
    return tuple(read_value(value, where) for value in cast(list[Any], plain))


def read_value(plain: Any, where: str) -> RawValue:
    """Read one raw value of a file; raises DataError, which names where."""
    if is_whole(plain, -(2**31)):
        return plain
    if isinstance(plain, str) and plain.strip():
        if re.fullmatch(r"\s*-?\d+\s*", plain):
            raise DataError(f"{where}: {plain!r} is a text: write the integer without quotes")
        return plain
    if isinstance(plain, list | tuple):
        channels = tuple(cast(Sequence[Any], plain))
        if len(channels) == 3 and all(is_whole(channel, 0, 255) for channel in channels):
            return cast(Color, channels)
    raise DataError(f"{where}: {plain!r} is neither an integer nor a text nor [r, g, b] of 0..255")


def describe_unknown(
    counts: Mapping[RawValue, int], elsewhere: Iterable[RawValue] = (), unit: str = "px"
) -> str:
    """What one mask holds that its map does not know, and the YAML line that ends it.

    elsewhere are unknown values of other masks, so that one line mends them all; unit is what
    counts has: pixels of a mask, or shapes of an annotation.
    """
    most = sorted(counts, key=lambda value: -counts[value])[:10]
    found = ", ".join(f"{show_value(value)} ({counts[value]} {unit})" for value in most)
    more = f" and {len(counts) - len(most)} more values" if len(counts) > len(most) else ""
    told = f"the mask holds {found}{more}, which the label map does not know: "
    every = list(dict.fromkeys([*counts, *elsewhere]))
    if len(every) > LONGEST_LIST and not any(isinstance(value, str) for value in every):
        return told + (
            f"{len(every)} such values look like a mask resized with interpolation or saved with "
            "losses; make it again with nearest neighbour and PNG, or write `rest: ignore`, or "
            "`rest: nearest` to take each for the nearest that is listed"
        )
    in_order = sorted(every, key=_rank)
    line = ", ".join(map(show_value, in_order[: 2 * LONGEST_LIST]))
    line += ", ..." if len(in_order) > 2 * LONGEST_LIST else ""
    return f"{told}list each under the `values` of its class, or write `ignore: [{line}]`"


def default_color(index: int) -> Color:
    """A colour for class index: its bits dealt out to red, green, blue from the highest bit down.

    The rule of the Pascal VOC palette, so all 256 differ and neighbours differ strongly.
    """
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
    return channels[0], channels[1], channels[2]


def counted(raw: Integer[np.ndarray, "N ..."]) -> dict[RawValue, int]:
    """How often each integer (N) or colour (N 3) stands in a row of them."""
    values, counts = np.unique(raw, return_counts=True, axis=0)
    plain: Iterable[Any] = map(tuple, values.tolist()) if raw.ndim == 2 else values.tolist()
    return dict(zip(plain, counts.tolist(), strict=True))


def first_of(values: tuple[RawValue, ...], kind: type, otherwise: RawValue | None = None) -> Any:
    """The first value of a kind: int, tuple (colour) or str."""
    return next((value for value in values if isinstance(value, kind)), otherwise)


def packed(red: Channel, green: Channel, blue: Channel) -> Channel:
    """A colour as one number."""
    return red << 16 | green << 8 | blue


def _rank(value: RawValue) -> tuple[int, Any]:
    """Integers before colours before texts, each in its own order."""
    return (int, tuple, str).index(type(value)), value
