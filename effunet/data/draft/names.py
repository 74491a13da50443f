"""The files beside a dataset that name its values -> raw value to name, as far as they are sure.

Known are class_dict.csv (name, r, g, b), labelmap.txt of CVAT's mask exports (name:r,g,b:...),
label_colors.txt of CamVid (r g b name), the names of classes line by line, and the labels of
nnU-Net's dataset.json.
"""

import csv
import json
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from effunet.plain import is_whole
from effunet.values import Color, RawValue

MOST_BYTES = 2**20

LINES = ("classes.txt", "class_names.txt", "labels.txt", "label_names.txt", "names.txt",
         "codes.txt", "categories.txt")  # fmt: skip


def find_names(root: Path, values: Collection[RawValue]) -> tuple[dict[RawValue, str], str]:
    """The names of the values, and the file that says them; both empty where no file fits them."""
    for file, read in _candidates(root):
        with suppress(OSError, ValueError, UnicodeDecodeError, csv.Error, RecursionError):
            if file.stat().st_size > MOST_BYTES:
                continue
            found = read(file.read_text(encoding="utf-8-sig"), values)
            if found and len(set(found.values())) == len(found) and set(values) & found.keys():
                return found, file.name
    return {}, ""


Reader = Callable[[str, Collection[RawValue]], dict[RawValue, str]]


def _candidates(root: Path) -> list[tuple[Path, Reader]]:
    readers: list[tuple[str, Reader]] = [
        ("class_dict.csv", _table),
        ("labelmap.txt", _colon_lines),
        ("label_colors.txt", _color_lines),
        ("dataset.json", _nnunet),
    ]
    readers += [(name, _plain_lines) for name in LINES]
    return [(root / name, read) for name, read in readers if (root / name).is_file()]


def _table(text: str, values: Collection[RawValue]) -> dict[RawValue, str]:
    rows = csv.DictReader(text.splitlines())
    fields = {name.strip().lower(): name for name in rows.fieldnames or ()}
    return {
        _color(*(row[fields[channel]] for channel in "rgb")): row[fields["name"]].strip()
        for row in rows
        if fields.keys() >= {"name", "r", "g", "b"}
    }


def _colon_lines(text: str, values: Collection[RawValue]) -> dict[RawValue, str]:
    found: dict[RawValue, str] = {}
    for place, line in enumerate(_lines(text)):
        name, color, *_ = [*line.split(":"), "", ""]
        if channels := re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*", color):
            found[_color(*channels.groups())] = name.strip()
        if all(isinstance(value, int) for value in values):
            found[place] = name.strip()
    return {value: name for value, name in found.items() if _alike(value, values)}


def _color_lines(text: str, values: Collection[RawValue]) -> dict[RawValue, str]:
    lines = [re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(.+)", line) for line in _lines(text)]
    return {_color(*line.groups()[:3]): line[4].strip() for line in lines if line is not None}


def _plain_lines(text: str, values: Collection[RawValue]) -> dict[RawValue, str]:
    lines = _lines(text)
    numbered = [re.fullmatch(r"(\d+)\s*[:;,\s]\s*(\S.*)", line) for line in lines]
    if lines and all(numbered):
        return {int(line[1]): line[2].strip() for line in numbered if line is not None}
    known = [value for value in values if isinstance(value, int) and value != 255]
    if not known or max(known) > len(lines):
        return {}
    # As many names as the largest value count from 1, and 0 has none.
    first = 1 if max(known) == len(lines) else 0
    return {place: name for place, name in enumerate(lines, first)}


def _nnunet(text: str, values: Collection[RawValue]) -> dict[RawValue, str]:
    plain: Any = json.loads(text)
    labels = cast("dict[str, Any]", plain).get("labels") if isinstance(plain, dict) else None
    found: dict[RawValue, str] = {}
    for key, value in cast("dict[str, Any]", labels).items() if isinstance(labels, dict) else ():
        if is_whole(value, 0, 254):
            found[value] = key
        elif isinstance(value, str) and key.isdecimal():
            found[int(key)] = value
    return found


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _color(red: Any, green: Any, blue: Any) -> Color:
    channels = int(red), int(green), int(blue)
    if not all(0 <= channel <= 255 for channel in channels):
        raise ValueError(f"{channels} is no colour")
    return channels


def _alike(value: RawValue, values: Collection[RawValue]) -> bool:
    return any(type(value) is type(other) for other in values)
