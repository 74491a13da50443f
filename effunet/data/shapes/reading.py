"""Parts of annotation files, read strictly: what is no number, no point or no label is named.

Every reader takes `where` (file, image, shape) for the message, and raises DataError.
"""

import base64
import io
import json
import math
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np

from effunet.data.files.opening import MAX_PIXELS, access, opened
from effunet.data.shapes.drawing import Points
from effunet.data.shapes.rle import Bits
from effunet.errors import DataError
from effunet.plain import is_whole

FARTHEST = 2.0**24
"""Pixels from the image's corner; a coordinate beyond is no coordinate."""

LARGEST_ONE = 2**30
"""Bytes of an annotation file of one image; some have the image inside."""


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a small file, for one image."""
    with access(path):
        size = path.stat().st_size
        if size > LARGEST_ONE:
            raise DataError(f"{path} has {size} bytes, too many for the shapes of one image")
        data = path.read_bytes()
    plain = parse(data, str(path))
    if not isinstance(plain, dict):
        raise DataError(f"{path}: expected a JSON object of one image, got {shown(plain)}")
    return cast("dict[str, Any]", plain)


def parse(data: bytes, where: str) -> Any:
    """JSON of bytes."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as fault:
        refuse_json(fault, where)


def refuse_json(fault: Exception, where: str) -> NoReturn:
    """Say that a text is no JSON."""
    why = "it is nested too deep" if isinstance(fault, RecursionError) else str(fault)
    raise DataError(f"{where} is not valid JSON ({why}): restore it, or export it again") from None


def read_points(plain: Any, where: str) -> Points:
    """[[x, y], ...]."""
    rows = cast("list[Any]", plain) if isinstance(plain, list) else None
    pairs = rows is not None and all(isinstance(row, list) and len(row) == 2 for row in rows)
    if rows is None or not pairs:
        raise DataError(f"{where}: points must be [[x, y], ...], got {shown(plain)}")
    return as_points(list(chain.from_iterable(rows)), where)


def as_points(flat: Sequence[Any], where: str) -> Points:
    """[x, y, x, y, ...]."""
    if len(flat) % 2:
        raise DataError(f"{where}: {len(flat)} coordinates make no pairs of x and y: remove one")
    if not {type(value) for value in flat} <= {int, float}:
        wrong = next(value for value in flat if type(value) not in (int, float))
        raise DataError(f"{where}: {shown(wrong)} is no coordinate: write a number of pixels")
    return checked(flat, where).reshape(-1, 2)


def checked(flat: Sequence[int | float], where: str) -> np.ndarray:
    """Numbers that can be pixels."""
    try:
        values = np.array(flat, np.float64)
    except OverflowError:
        values = np.full(1, np.inf)
    far = ~(np.abs(values) <= FARTHEST)  # NaN, too
    if far.any():
        raise DataError(
            f"{where}: {values[far][0]:g} is no place in an image: mend the coordinate, or remove "
            "the shape"
        )
    return values


def read_number(table: dict[str, Any], key: str, where: str, default: float | None = None) -> float:
    """A finite number."""
    value = table.get(key, default)
    if type(value) not in (int, float) or not math.isfinite(value):
        raise DataError(f"{where}: {key} must be a number, got {shown(value)}")
    return float(checked([value], f"{where}: {key}")[0])


def read_label(value: Any, where: str) -> str:
    """The text that names a class."""
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: the shape needs a label, got {shown(value)}: name or remove it")
    return value.strip()


def read_image_size(table: dict[str, Any], keys: tuple[str, str], where: str) -> tuple[int, int]:
    """Height and width under two keys."""
    height, width = (table.get(key) for key in keys)
    if not is_whole(height, 1) or not is_whole(width, 1):
        raise DataError(
            f"{where}: {keys[0]} and {keys[1]} must be whole numbers of pixels, got "
            f"{shown(height)} and {shown(width)}: export the annotations again"
        )
    if height * width > MAX_PIXELS:
        raise DataError(
            f"{where} claims {width} x {height} pixels, more than the limit of {MAX_PIXELS}: cut "
            "the image into tiles"
        )
    return height, width


def read_list(table: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    """A list of objects under a key."""
    listed = table.get(key)
    if not isinstance(listed, list) or not all(isinstance(e, dict) for e in cast(Any, listed)):
        raise DataError(f"{where}: {key} must be a list of objects, got {shown(listed)}")
    return cast("list[dict[str, Any]]", listed)


def read_bitmap(text: Any, where: str) -> Bits:
    """A small image in base64, true where it is not 0."""
    if not isinstance(text, str):
        raise DataError(f"{where}: a mask must be a PNG in base64, got {shown(text)}")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as fault:
        raise DataError(f"{where}: the mask is no base64 ({fault}): draw it again") from None
    with opened(Path(f"{where}: its mask"), io.BytesIO(data), MAX_PIXELS) as image:
        values = np.array(image)
    if values.ndim != 2:
        raise DataError(f"{where}: the mask has {image.mode} pixels, not one value each")
    return values != 0


def shown(value: Any) -> str:
    """A value in a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
