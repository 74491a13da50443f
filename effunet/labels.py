"""Raw values of mask files <-> class indices, with names and colours; one LabelMap per dataset.

Several raw values (effunet/values.py) may mean one class. A class index is 0..K-1 in the order of
the map; IGNORE marks pixels whose truth is unknown. The map travels inside a segmenter file as JSON
(to_plain, from_plain).
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int64, Integer, UInt8

from effunet.errors import DataError
from effunet.label_class import LabelClass, read_class
from effunet.plain import read_table
from effunet.values import (
    RawValue,
    UnknownValues,
    counted,
    describe_unknown,
    first_of,
    jsonable,
    packed,
    read_values,
    show_value,
)

IGNORE = 255
"""Index of a pixel that is never counted; therefore a map has at most 255 classes, 0..254."""

SHOWN_DIFFERENCES = 6
"""Differences of two maps that are told one by one."""

IndexMask = UInt8[np.ndarray, "H W"]
ColorMask = UInt8[np.ndarray, "H W 3"]
RawMask = Integer[np.ndarray, "H W"] | ColorMask

# Below every integer that a mask can hold: a first key that nothing equals, so no table is empty.
_NO_VALUE = np.iinfo(np.int64).min


@dataclass(frozen=True)
class LabelMap:
    """The classes of a dataset in index order, and what becomes of every other raw value.

    rest says what a raw value is that stands nowhere in the map: a fault ("error", so that a typo
    or a resized mask cannot pass), one more ignored value ("ignore"), or the nearest integer or
    colour of the map ("nearest", for masks that were saved with losses).
    """

    classes: tuple[LabelClass, ...]
    ignore: tuple[RawValue, ...] = ()
    rest: Literal["error", "ignore", "nearest"] = "error"

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
        groupless = [label.name for label in self.classes if label.category is None]
        if 0 < len(groupless) < len(self.classes):
            raise ValueError(
                f"class {groupless[0]!r} has no category and others have one: a pixel taken for it "
                "would be an error of no category; give each class one, or none"
            )
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

    @property
    def categories(self) -> dict[str, tuple[int, ...]]:
        """The class indices of each category, in order of appearance; empty where none is given."""
        groups: dict[str, tuple[int, ...]] = {}
        for index, label in enumerate(self.classes):
            if label.category is not None:
                groups[label.category] = (*groups.get(label.category, ()), index)
        return groups

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

    @property
    def knows_texts(self) -> bool:
        """Whether text labels of annotations can mean a class here."""
        return any(isinstance(value, str) for c in self.classes for value in c.values)

    def encode(self, raw: RawMask) -> IndexMask:
        """Class index of every pixel; exact, but for what rest says of unknown values.

        Raises:
            UnknownValues: a raw value stands nowhere in the map, and rest is "error".
        """
        indices, known = self._looked_up(raw)
        if self.rest == "ignore" or known.all():
            return indices
        if self.rest == "error":
            unknown = counted(raw[~known])
            raise UnknownValues(describe_unknown(unknown), unknown)
        indices[~known] = self._nearest(raw[~known])
        return indices

    def unknown(self, raw: RawMask) -> dict[RawValue, int]:
        """Pixels of each raw value that stands nowhere in the map, whatever rest says."""
        return counted(raw[~self._looked_up(raw)[1]])

    def meaning(self, text: str) -> int | None:
        """Class index of a text label, IGNORE where it is ignored; None where it is unknown."""
        return self._texts.get(text, IGNORE if self.rest == "ignore" else None)

    def decode(self, mask: IndexMask) -> RawMask:
        """The first raw value of every pixel's class, as a benchmark server wants it.

        IGNORE becomes the first ignored value, or 255 (white) where the map lists none.
        Integers where every class has one, else colours.
        """
        for kind, white in ((int, IGNORE), (tuple, (IGNORE, IGNORE, IGNORE))):
            firsts = [first_of(c.values, kind) for c in self.classes]
            if None not in firsts:
                table = np.zeros((256, *np.shape(white)), np.int64)
                table[: len(self)] = firsts
                table[IGNORE] = first_of(self.ignore, kind, white)
                bounds = np.min_scalar_type(table.min()), np.min_scalar_type(table.max())
                return table.astype(np.result_type(*bounds))[mask]
        raise ValueError("some classes have only integers, others only colours: no common mask")

    def colorize(self, mask: IndexMask) -> ColorMask:
        """The class colour of every pixel, for people to look at; IGNORE is black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.palette
        return table[mask]

    def differences(self, other: "LabelMap") -> list[str]:
        """One line for every index whose name is another one in other; empty when all agree.

        Colours, raw values and categories may differ: they do not change what was learnt.
        """

        def show(name: str | None) -> str:
            return "nothing" if name is None else repr(name)

        pairs = enumerate(zip_longest(self.names, other.names))
        return [f"{i}: {show(a)} here, {show(b)} there" for i, (a, b) in pairs if a != b]

    def mismatch(self, other: "LabelMap") -> str:
        """The first differences on one line, whether only the order is another; empty: none."""
        differences = self.differences(other)
        shown = "; ".join(differences[:SHOWN_DIFFERENCES])
        if len(differences) > SHOWN_DIFFERENCES:
            shown += f"; and {len(differences) - SHOWN_DIFFERENCES} more"
        if differences and sorted(self.names) == sorted(other.names):
            return f"equal names in another order: {shown}"
        if len(self) != len(other):
            return f"{len(self)} classes here, {len(other)} there: {shown}"
        return shown

    def to_plain(self) -> dict[str, Any]:
        """The map in JSON types; from_plain gives it back."""
        return {
            "classes": [
                {"name": c.name, "color": list(c.color), "values": [jsonable(v) for v in c.values]}
                | ({} if c.category is None else {"category": c.category})
                for c in self.classes
            ],
            "ignore": [jsonable(v) for v in self.ignore],
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
        classes = tuple(read_class(entry, i, where) for i, entry in enumerate(listed))
        ignore = read_values(table.get("ignore", []), f"{where}: ignore")
        rest = table.get("rest", "error")
        if rest not in ("error", "ignore", "nearest"):
            raise DataError(f"{where}: rest must be error, ignore or nearest, got {rest!r}")
        try:
            return cls(classes, ignore, rest)
        except ValueError as fault:
            raise DataError(f"{where}: {fault}") from None

    def _looked_up(self, raw: RawMask) -> tuple[UInt8[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]:
        """The class index of each pixel, and whether the map knows its value."""
        if raw.ndim == 3:
            red, green, blue = np.moveaxis(raw.astype(np.int64), 2, 0)
            return self._look_up(packed(red, green, blue), tuple)
        if raw.dtype == np.uint8:
            import cv2  # six times as fast as numpy; most commands need none of it

            indices, known = self._bytes
            return cv2.LUT(raw, indices), cv2.LUT(raw, known.view(np.uint8)).view(np.bool_)
        return self._look_up(raw.astype(np.int64), int)

    def _nearest(self, raw: Integer[np.ndarray, "N ..."]) -> UInt8[np.ndarray, " N"]:
        """The meaning of the listed integer or colour that is nearest; of two, the lower one."""
        values, place = np.unique(raw, axis=0, return_inverse=True)
        keys, meanings = self._keys[tuple if raw.ndim == 2 else int]
        keys, meanings = keys[1:], meanings[1:]
        listed = keys[:, None]
        if raw.ndim == 2:
            listed = np.stack([keys >> 16, keys >> 8 & 255, keys & 255], 1)
        nearest = np.empty(len(values), np.int64)
        for first in range(0, len(values), 4096):  # a lossy mask may hold very many
            part = values[first : first + 4096].reshape(-1, 1, listed.shape[1]).astype(np.int64)
            distances = ((part - listed) ** 2).sum(2)
            nearest[first : first + 4096] = distances.argmin(1)
        return meanings[nearest[place.reshape(-1)]]

    def _look_up(
        self, values: Int64[np.ndarray, "*shape"], kind: type
    ) -> tuple[UInt8[np.ndarray, "*shape"], Bool[np.ndarray, "*shape"]]:
        """The class index of each value, and whether the map knows it; colours come packed."""
        keys, meanings = self._keys[kind]
        place = np.searchsorted(keys, values, side="right") - 1
        known = keys[place] == values
        return np.where(known, meanings[place], np.uint8(IGNORE)), known

    @cached_property
    def _texts(self) -> dict[str, int]:
        """The text labels, and what they mean; a class's own name is one unless listed."""
        own = {label.name: index for index, label in enumerate(self.classes)}
        classes = {v: i for i, c in enumerate(self.classes) for v in c.values if isinstance(v, str)}
        ignored = {value: IGNORE for value in self.ignore if isinstance(value, str)}
        return own | classes | ignored

    @cached_property
    def _keys(self) -> dict[type, tuple[Int64[np.ndarray, " N"], UInt8[np.ndarray, " N"]]]:
        """Of the integers and of the colours: all that mean something, ascending, and what."""
        meanings = {value: i for i, c in enumerate(self.classes) for value in c.values}
        meanings |= dict.fromkeys(self.ignore, IGNORE)
        integers = {value: i for value, i in meanings.items() if isinstance(value, int)}
        colors = {packed(*value): i for value, i in meanings.items() if isinstance(value, tuple)}
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
