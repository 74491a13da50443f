"""The `splits` of a dataset.yaml: which of the pairs belong to train, val and test.

    splits: [train, val, test]                  # the text that {split} stands for in the patterns
    splits: {train: training, val: [a, b]}      # another text, or several
    splits: {val: {list: ImageSets/val.txt}}    # the names in a file below the root, one a line
    splits: {by: hash, val: 0.1, test: 0.1}     # by a stable hash of each name
    splits: {by: fold, folds: 5, val: 0}        # one fold of five to validate on, the rest to train

`group: 1` hashes the text of the first star alone, so that the frames of one sequence, which look
alike, stay in one split; `seed` deals anew. A list's line is the pair's name or the path of its
image or mask; further columns are left alone. `{folder: F, list: L}` has both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from effunet.errors import DataError
from effunet.plain import is_whole, read_table, read_text

SPLITS = ("train", "val", "test")
RULES = ("hash", "fold")


@dataclass(frozen=True)
class Part:
    """What {split} stands for in the patterns, one text after the other, and a list of names."""

    folders: tuple[str, ...] = ("",)
    list: str = ""  # a file below the root; empty: every pair of the folders


@dataclass(frozen=True)
class Hashed:
    """Splits by a hash of the name (or of the text of star number group): shares of them all."""

    shares: Mapping[str, float]  # of val, test, ...; train is what is left
    seed: int = 0
    group: int = 0  # 0: the whole name


@dataclass(frozen=True)
class Folds:
    """k-fold: val is one fold, by a hash of the name or group; train is all others."""

    folds: int
    val: int = 0
    seed: int = 0
    group: int = 0


Splits = Mapping[str, Part] | Hashed | Folds


def split_names(splits: Splits) -> tuple[str, ...]:
    """The names of the splits."""
    if isinstance(splits, Hashed):
        return ("train", *splits.shares)
    return ("train", "val") if isinstance(splits, Folds) else tuple(splits)


def read_splits(plain: Any, where: str) -> Splits:
    """Read the key; raises DataError, which names where."""
    if isinstance(plain, list) and all(isinstance(split, str) for split in plain):
        plain = {split: split for split in cast("list[str]", plain)}
    if not isinstance(plain, dict) or not plain:
        raise DataError(f"{where}: splits must be [train, val] or {{train: FOLDER}}, not {plain!r}")
    table = cast("dict[Any, Any]", plain)
    where = f"{where}: splits"
    if "by" in table and not isinstance(table["by"], dict):
        return _read_rule(table, where)
    return {
        _name(split, part, where): _read_part(split, part, where) for split, part in table.items()
    }


def _name(split: Any, part: Any, where: str) -> str:
    if not isinstance(split, str):
        raise DataError(f"{where}: {split!r}: {part!r} must be text: quote it")
    return split


def _read_part(split: str, plain: Any, where: str) -> Part:
    where = f"{where}: {split}"
    if isinstance(plain, dict):
        table = read_table(plain, ("folder", "list"), where)
        file = read_text(table, "list", where)
        if not file:
            raise DataError(f"{where} needs list: the file of its names")
        _check_below(file, f"{where}: list")
        return Part(_folders(table.get("folder", split), where), file)
    return Part(_folders(plain, where))


def _folders(plain: Any, where: str) -> tuple[str, ...]:
    folders = cast("list[Any]", plain) if isinstance(plain, list) else [plain]
    if not folders or not all(isinstance(folder, str) for folder in folders):
        raise DataError(f"{where}: {plain!r} must be text: quote it")
    for folder in folders:
        _check_below(folder, where)
        if "*" in folder:
            raise DataError(f"{where} must be a folder below the root, without *: {folder!r}")
    return tuple(folders)


def _check_below(path: str, where: str) -> None:
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise DataError(f"{where} must lie below the root folder: {path!r}")


def _read_rule(plain: dict[Any, Any], where: str) -> Hashed | Folds:
    rule = plain["by"]
    if rule not in RULES:
        raise DataError(f"{where}: by must be hash or fold, got {rule!r}")
    seed, group = plain.get("seed", 0), plain.get("group", 0)
    for key, value in (("seed", seed), ("group", group)):
        if not is_whole(value, 0):
            raise DataError(f"{where}: {key} must be 0 or more, got {value!r}")
    if rule == "fold":
        table = read_table(plain, ("by", "folds", "val", "seed", "group"), where)
        folds, val = table.get("folds", 5), table.get("val", 0)
        if not is_whole(folds, 2, 1000) or not is_whole(val, 0, folds - 1):
            raise DataError(f"{where}: folds is 2 or more, val 0 to folds - 1, got {folds}, {val}")
        return Folds(folds, val, seed, group)
    shares = {key: share for key, share in plain.items() if key not in ("by", "seed", "group")}
    for split, share in shares.items():
        if not isinstance(split, str) or split == "train":
            raise DataError(f"{where}: {split!r}: train is what the others leave: remove it")
        if not isinstance(share, float) or not 0 < share < 1:
            raise DataError(f"{where}: {split} must be a share such as 0.1, got {share!r}")
    if not shares or sum(shares.values()) >= 1:
        raise DataError(f"{where}: shares such as val: 0.1, of less than 1 in all, got {shares}")
    return Hashed(shares, seed, group)
