"""A CSV, TSV or JSONL file with a row for each image -> the Listing of one split."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from effunet.data.describe.layouts import Manifest
from effunet.data.sources.listing import Listing
from effunet.data.sources.pairs import Pair, Pairs
from effunet.data.sources.patterns import Key
from effunet.errors import DataError

MOST_BYTES = 2**30


def list_manifest(
    root: Path,
    layout: Manifest,
    split: str,
    folder: str,
    take: Callable[[Key], bool] | None = None,
) -> Listing:
    """The rows of a split: of its own file where the name has {split}, else by the column split.

    take, where there is a rule of splits, says of a name whether it belongs to this one.

    Raises:
        DataError: the file, a column or a value is missing or wrong; names the file and the row.
    """
    file = root / layout.manifest.replace("{split}", folder)
    own_file = "{split}" in layout.manifest
    pairs: dict[str, Pair] = {}
    twins: list[tuple[Path, ...]] = []
    weights: list[float] = []
    unfound: list[str] = []
    for number, row in _rows(file):
        where = f"{file}, row {number}"
        if (
            take is None
            and not own_file
            and _text(row, layout.columns["split"], where) not in (split, folder)
        ):
            continue
        image, mask = (_path(root, row, layout.columns[key], where) for key in ("image", "mask"))
        name = image.relative_to(root).with_suffix("") if image.is_relative_to(root) else image
        name = name.as_posix().lstrip("/")
        if take is not None and not take((name,)):
            continue
        if name in pairs:
            twins.append((pairs[name].image, image))
        elif not image.is_file() or not mask.is_file():
            unfound.append(f"row {number}: {mask if image.is_file() else image}")
        else:
            pairs[name] = Pair(name, image, mask)
            weights.append(_weight(row, layout.columns["weight"], where))
    order = sorted(range(len(pairs)), key=list(pairs).__getitem__)
    row_of = list(pairs.values())
    return Listing(
        Pairs([row_of[place] for place in order]),
        twins=tuple(twins),
        unfound=tuple(unfound),
        list_file=str(file),
        images_wanted="the file",
        weights=np.array(weights, np.float32)[order] if set(weights) - {1.0} else None,
        files=(file,),
    )


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number from 1 and contents of each row."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise DataError(f"{file} is larger than {MOST_BYTES} bytes: split it into several")
        with file.open(encoding="utf-8-sig", newline="") as stream:
            if file.suffix.lower() == ".jsonl":
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        yield number, _object(line, f"{file}, row {number}")
                return
            dialect = "excel-tab" if file.suffix.lower() == ".tsv" else "excel"
            for number, row in enumerate(csv.DictReader(stream, dialect=dialect), 1):
                yield number, row
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise DataError(f"the manifest {file} cannot be read: {fault}") from None


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as fault:
        raise DataError(f"{where} is no JSON: {fault}") from None
    if not isinstance(row, dict):
        raise DataError(f"{where} must be an object such as {{image: ..., mask: ...}}")
    return row


def _text(row: dict[str, Any], column: str, where: str) -> str:
    value = row.get(column)
    if not isinstance(value, str) or not value.strip():
        has = ", ".join(map(str, row))
        raise DataError(
            f"{where} has nothing under {column!r} (its columns are {has}): fill it in, or name "
            "the column under `columns` in dataset.yaml"
        )
    return value.strip()


def _path(root: Path, row: dict[str, Any], column: str, where: str) -> Path:
    return root / _text(row, column, where)  # an absolute path stays itself


def _weight(row: dict[str, Any], column: str, where: str) -> float:
    value = row.get(column)
    if value is None or value == "":
        return 1.0
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = -1.0
    if not 0 <= weight < 1e9:
        raise DataError(f"{where}: {column} must be a number from 0 up, got {value!r}")
    return weight
