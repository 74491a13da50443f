"""Raw values of mask files <-> class indices, with names and colours; one LabelMap per dataset.

A raw value is what a mask file holds for a pixel: an integer, or a colour (r, g, b). Several raw
values may mean one class. A class index is 0..K-1 in the order of the map; IGNORE marks pixels
whose truth is unknown. The map travels inside a segmenter file as JSON (to_plain, from_plain).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any, Literal, TypeVar, cast

import numpy as np
from jaxtyping import Bool, Int64, Integer, UInt8

from effunet.errors import DataError
from effunet.plain import is_whole, read_table, read_text

IGNORE = 255
"""Index of a pixel that is never counted; therefore a map has at most 255 classes, 0..254."""

Color = tuple[int, int, int]
RawValue = int | Color
IndexMask = UInt8[np.ndarray, "H W"]
ColorMask = UInt8[np.ndarray, "H W 3"]
Channel = TypeVar("Channel", int, np.ndarray)
RawMask = Integer[np.ndarray, "H W"] | ColorMask

# Below every integer that a mask can hold: a first key that nothing equals, so no table is empty.
_NO_VALUE = np.iinfo(np.int64).min


class UnknownValues(DataError):
    """A mask holds raw values that its map neither knows nor ignores; counts has their pixels."""

    def __init__(self, message: str, counts: Mapping[RawValue, int] | None = None) -> None:
        super().__init__(message)
        self.counts: dict[RawValue, int] = dict(counts or {})


@dataclass(frozen=True)
class LabelClass:
    """One class: its name, the colour it is drawn in, and the raw values that mean it."""

    name: str
    color: Color
    values: tuple[RawValue, ...]


@dataclass(frozen=True)
class LabelMap:
    """The classes of a dataset in index order, and what becomes of every other raw value.

    rest says what a raw value is that stands nowhere in the map: a fault ("error", so that a typo
    or a resized mask cannot pass), or one more ignored value ("ignore").
    """

    classes: tuple[LabelClass, ...]
    ignore: tuple[RawValue, ...] = ()
    rest: Literal["error", "ignore"] = "error"

    def __post_init__(self) -> None:
        if not 1 <= len(self.classes) <= IGNORE:
            raise ValueError(
                f"a map has 1 to {IGNORE} classes, got {len(self.classes)}: "
                "several raw values may share one class"
            )
        for index, label in enumerate(self.classes):
            if label.name in self.names[:index]:
                raise ValueError(f"two classes are named {label.name!r}: rename or merge them")
            if not label.values:
                raise ValueError(f"class {label.name!r} has no raw values: list at least one")
        owners: dict[RawValue, str] = {}
        for owner, values in [*((c.name, c.values) for c in self.classes), ("ignore", self.ignore)]:
            for value in values:
                if value in owners:
                    raise ValueError(
                        f"raw value {show_value(value)} stands under {owners[value]!r} and under "
                        f"{owner!r}: leave it in one place"
                    )
                owners[value] = owner

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The class names in index order."""
        return tuple(c.name for c in self.classes)

    @cached_property
    def palette(self) -> UInt8[np.ndarray, "K 3"]:
        """The class colours in index order."""
        return np.array([c.color for c in self.classes], np.uint8)

    @property
    def knows_integers(self) -> bool:
        """Whether integer masks (grey, palette, 16 bit) can mean a class here."""
        return any(isinstance(value, int) for c in self.classes for value in c.values)

    @property
    def knows_colors(self) -> bool:
        """Whether colour masks can mean a class here."""
        return any(isinstance(value, tuple) for c in self.classes for value in c.values)

    def encode(self, raw: RawMask) -> IndexMask:
        """Class index of every pixel; exact, with no nearest colour and no clipping.

        Raises:
            UnknownValues: a raw value stands nowhere in the map, and rest is "error".
        """
        if raw.ndim == 3:
            red, green, blue = np.moveaxis(raw.astype(np.int64), 2, 0)
            indices, known = self._look_up(_packed(red, green, blue), tuple)
        elif raw.dtype == np.uint8:
            indices, known = (table[raw] for table in self._bytes)
        else:
            indices, known = self._look_up(raw.astype(np.int64), int)
        if self.rest == "error" and not known.all():
            values, counts = np.unique(raw[~known], return_counts=True, axis=0)
            plain: Iterable[Any] = map(tuple, values.tolist()) if raw.ndim == 3 else values.tolist()
            unknown = dict(zip(plain, counts.tolist(), strict=True))
            raise UnknownValues(describe_unknown(unknown), unknown)
        return indices

    def decode(self, mask: IndexMask) -> RawMask:
        """The first raw value of every pixel's class, as a benchmark server wants it.

        IGNORE becomes the first ignored value, or 255 (white) where the map lists none.
        Integers where every class has one, else colours.
        """
        for kind, white in ((int, IGNORE), (tuple, (IGNORE, IGNORE, IGNORE))):
            firsts = [_first(c.values, kind) for c in self.classes]
            if None not in firsts:
                table = np.zeros((256, *np.shape(white)), np.int64)
                table[: len(self)] = firsts
                table[IGNORE] = _first(self.ignore, kind, white)
                bounds = np.min_scalar_type(table.min()), np.min_scalar_type(table.max())
                return table.astype(np.result_type(*bounds))[mask]
        raise ValueError("some classes have only integers, others only colours: no common mask")

    def colorize(self, mask: IndexMask) -> ColorMask:
        """The class colour of every pixel, for people to look at; IGNORE is black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.palette
        return table[mask]

    def differences(self, other: "LabelMap") -> list[str]:
        """One line for every index whose name is another one in other; empty when all agree."""

        def show(name: str | None) -> str:
            return "nothing" if name is None else repr(name)

        pairs = enumerate(zip_longest(self.names, other.names))
        return [f"{i}: {show(a)} here, {show(b)} there" for i, (a, b) in pairs if a != b]

    def to_plain(self) -> dict[str, Any]:
        """The map in JSON types; from_plain gives it back."""
        return {
            "classes": [
                {"name": c.name, "color": list(c.color), "values": [_jsonable(v) for v in c.values]}
                for c in self.classes
            ],
            "ignore": [_jsonable(v) for v in self.ignore],
            "rest": self.rest,
        }

    @classmethod
    def from_plain(cls, plain: Any, where: str = "labels") -> "LabelMap":
        """Read what to_plain wrote, or the same three keys of a dataset.yaml, checking all of it.

        In a file of the user's own a class may be a bare name; its raw value is then its index,
        and a class without a colour gets one that differs from the other defaults.

        Raises:
            DataError: names where, the key, the value and the mend.
        """
        table = read_table(plain, ("classes", "ignore", "rest"), where)
        listed = table.get("classes")
        if not isinstance(listed, list) or not listed:
            raise DataError(f"{where}: classes must be a list with one entry per class")
        classes = tuple(_read_class(entry, i, where) for i, entry in enumerate(listed))
        ignore = _read_values(table.get("ignore", []), f"{where}: ignore")
        rest = table.get("rest", "error")
        if rest not in ("error", "ignore"):
            raise DataError(f"{where}: rest must be error or ignore, got {rest!r}")
        try:
            return cls(classes, ignore, rest)
        except ValueError as fault:
            raise DataError(f"{where}: {fault}") from None

    def _look_up(
        self, values: Int64[np.ndarray, "*shape"], kind: type
    ) -> tuple[UInt8[np.ndarray, "*shape"], Bool[np.ndarray, "*shape"]]:
        """The class index of each value, and whether the map knows it; colours come packed."""
        keys, meanings = self._keys[kind]
        place = np.searchsorted(keys, values, side="right") - 1
        known = keys[place] == values
        return np.where(known, meanings[place], np.uint8(IGNORE)), known

    @cached_property
    def _keys(self) -> dict[type, tuple[Int64[np.ndarray, " N"], UInt8[np.ndarray, " N"]]]:
        """Of the integers and of the colours: all that mean something, ascending, and what."""
        meanings = {value: i for i, c in enumerate(self.classes) for value in c.values}
        meanings |= dict.fromkeys(self.ignore, IGNORE)
        integers = {value: i for value, i in meanings.items() if isinstance(value, int)}
        colors = {_packed(*value): i for value, i in meanings.items() if isinstance(value, tuple)}
        return {
            kind: (
                np.array([_NO_VALUE, *sorted(known)], np.int64),
                np.array([IGNORE, *(known[key] for key in sorted(known))], np.uint8),
            )
            for kind, known in ((int, integers), (tuple, colors))
        }

    @cached_property
    def _bytes(self) -> tuple[UInt8[np.ndarray, " 256"], Bool[np.ndarray, " 256"]]:
        """What is looked up for every byte: a table is several times faster than a search."""
        return self._look_up(np.arange(256), int)


def show_value(value: RawValue) -> str:
    """A raw value as dataset.yaml writes it: 7, or [128, 64, 128]."""
    return str(_jsonable(value))


def default_color(index: int) -> Color:
    """A colour for class index: its bits dealt out to red, green, blue from the highest bit down.

    The rule of the Pascal VOC palette, so all 256 differ and neighbours differ strongly.
    """
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
    return channels[0], channels[1], channels[2]


def _read_class(entry: Any, index: int, where: str) -> LabelClass:
    if isinstance(entry, str):
        entry = {"name": entry}
    where = f"{where}: classes[{index}]"
    table = read_table(entry, ("name", "color", "values"), where)
    name = read_text(table, "name", where)
    if not name:
        raise DataError(f"{where}: the class needs a name")
    color = _read_value(table.get("color", list(default_color(index + 1))), f"{where}: color")
    if isinstance(color, int):
        raise DataError(f"{where}: color must be [r, g, b], got {color}")
    return LabelClass(name, color, _read_values(table.get("values", [index]), f"{where}: values"))


def _read_values(plain: Any, where: str) -> tuple[RawValue, ...]:
    if not isinstance(plain, list):
        raise DataError(f"{where} must be a list, got {plain!r}: write [{plain}]")
    return tuple(_read_value(value, where) for value in cast(list[Any], plain))


def _read_value(plain: Any, where: str) -> RawValue:
    if is_whole(plain, -(2**31)):
        return plain
    if isinstance(plain, list | tuple):
        channels = tuple(cast(Sequence[Any], plain))
        if len(channels) == 3 and all(is_whole(channel, 0, 255) for channel in channels):
            return cast(Color, channels)
    raise DataError(f"{where}: {plain!r} is neither an integer nor [r, g, b] of 0..255")


def describe_unknown(counts: Mapping[RawValue, int], elsewhere: Iterable[RawValue] = ()) -> str:
    """What one mask holds that its map does not know, and the YAML line that ends it.

    elsewhere are unknown values of other masks, so that one line mends them all.
    """
    most = sorted(counts, key=lambda value: -counts[value])[:10]
    found = ", ".join(f"{show_value(value)} ({counts[value]} px)" for value in most)
    more = f" and {len(counts) - len(most)} more values" if len(counts) > len(most) else ""
    told = f"the mask holds {found}{more}, which the label map does not know: "
    every = list(dict.fromkeys([*counts, *elsewhere]))
    if len(every) > 20:
        return told + (
            f"{len(every)} such values look like a mask resized with interpolation or saved with "
            "losses; make it again with nearest neighbour and PNG, or write `rest: ignore`"
        )
    in_order = sorted(every, key=lambda value: (isinstance(value, tuple), value))
    line = ", ".join(map(show_value, in_order))
    return f"{told}list each under the `values` of its class, or write `ignore: [{line}]`"


def _packed(red: Channel, green: Channel, blue: Channel) -> Channel:
    """A colour as one number."""
    return red << 16 | green << 8 | blue


def _first(values: tuple[RawValue, ...], kind: type, otherwise: RawValue | None = None) -> Any:
    return next((value for value in values if isinstance(value, kind)), otherwise)


def _jsonable(value: RawValue) -> int | list[int]:
    return list(value) if isinstance(value, tuple) else value
