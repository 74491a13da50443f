"""A CSV, TSV or JSONL file with a row for each image -> the Listing of one split."""

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
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
    parts: Mapping[str, Collection[str]],
    take: Callable[[Key], bool] | None = None,
) -> Listing:
    """The rows of a split: of its own files where the name has {split}, else by the column split.

    parts has, for each split, what stands for it there. take, where there is a rule of splits, says
    of a name whether it belongs to this one.

    Raises:
        DataError: the file, a column or a value is missing or wrong, or no row is of the split;
            names the file and the row.
    """
    files = files_of(root, layout, parts.get(split, (split,)))
    own_files = "{split}" in layout.manifest
    known = {word for words in parts.values() for word in words} | parts.keys()
    pairs: dict[str, Pair] = {}
    twins: list[tuple[Path, ...]] = []
    weights: list[float] = []
    unfound: list[str] = []
    for where, number, row in chain.from_iterable(map(_rows, files)):
        if take is None and not own_files:
            part = _text(row, layout.columns["split"], where)
            if part not in known:
                raise DataError(
                    f"{where}: the split {part!r} is none of {', '.join(sorted(known))}: mend it, "
                    "or name it under `splits` in dataset.yaml"
                )
            if part != split and part not in parts.get(split, ()):
                continue
        image, mask = (_path(root, row, layout.columns[key], where) for key in ("image", "mask"))
        name = image.relative_to(root) if image.is_relative_to(root) else image
        name = _bare(name.as_posix().lstrip("/"))
        if take is not None and not take((name,)):
            continue
        weight = _weight(row, layout.columns["weight"], where)
        if name in pairs:
            twins.append((pairs[name].image, image))
        elif missing := next((path for path in (image, mask) if not _is_file(path)), None):
            unfound.append(f"row {number}: {str(missing)[:300]}")
        else:
            pairs[name] = Pair(name, image, mask)
            weights.append(weight)
    if not (pairs or twins or unfound):
        raise DataError(f"no row of {' or '.join(map(str, files))} is of split {split}")
    order = sorted(range(len(pairs)), key=list(pairs).__getitem__)
    row_of = list(pairs.values())
    return Listing(
        Pairs([row_of[place] for place in order]),
        twins=tuple(twins),
        unfound=tuple(unfound),
        list_file=" or ".join(map(str, files)),
        images_wanted="the file",
        weights=np.array(weights, np.float32)[order] if set(weights) - {1.0} else None,
        files=tuple(files),
    )


def files_of(root: Path, layout: Manifest, words: Collection[str]) -> list[Path]:
    """The files that hold the rows of a split, which words stand for."""
    names = dict.fromkeys(layout.manifest.replace("{split}", word) for word in words)
    return [root / name for name in names]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _bare(name: str) -> str:
    """A path without its extension."""
    folder, slash, last = name.rpartition("/")
    stem = last.rpartition(".")[0]
    return f"{folder}{slash}{stem or last}"


def _rows(file: Path) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Each row with its number from 1, and where it stands, for messages."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise DataError(f"{file} is larger than {MOST_BYTES} bytes: split it into several")
        with file.open(encoding="utf-8-sig", newline="") as stream:
            if file.suffix.lower() == ".jsonl":
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        where = f"{file}, row {number}"
                        yield where, number, _object(line, where)
                return
            dialect = "excel-tab" if file.suffix.lower() == ".tsv" else "excel"
            for number, row in enumerate(csv.DictReader(stream, dialect=dialect), 1):
                yield f"{file}, row {number}", number, row
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
