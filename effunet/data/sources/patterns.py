"""A pattern below a folder -> every file that it matches, with the texts of its stars.

Nothing is opened here but folders. Patterns are explained in effunet/data/describe/layouts.py.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from effunet.errors import DataError, ResourceError

EXTENSIONS = (
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp",
    ".ppm", ".pgm", ".pbm", ".gif", ".jp2", ".avif",
)  # fmt: skip
"""What a pattern's last `*` may end in, in any case."""

Key = tuple[str, ...]
"""The texts that the stars of a pattern matched."""


def matches(root: Path, pattern: str) -> dict[Key, list[Path]]:
    """All files that match, by the texts of the stars; two where extensions alone differ."""
    found: defaultdict[Key, list[Path]] = defaultdict(list)
    for key, file in files(root, pattern):
        # A Mac writes an accent as a letter of its own; the name is the same one.
        found[tuple(unicodedata.normalize("NFC", part) for part in key)].append(file)
    return dict(found)


def files(root: Path, pattern: str) -> Iterator[tuple[Key, Path]]:
    """Every file that the pattern matches, with the texts of its stars."""
    return _descend(root, [part for part in pattern.split("/") if part], ())


def _descend(folder: Path, parts: list[str], key: Key) -> Iterator[tuple[Key, Path]]:
    part, rest = parts[0], parts[1:]
    if part == "**":
        for inner in _folders(folder, frozenset()):
            yield from _descend(inner, rest, (*key, _text_between(folder, inner)))
    elif rest and "*" not in part:
        yield from _descend(folder / part, rest, key)
    elif rest:
        for entry in entries(folder):
            if (match := _regex(part).fullmatch(entry.name)) and _is_folder(entry):
                yield from _descend(folder / entry.name, rest, (*key, *match.groups()))
    else:
        for entry in entries(folder):
            # A link to nowhere counts as a file, so that reading it reports it.
            if (match := _regex(part, last=True).fullmatch(entry.name)) and not _is_folder(entry):
                yield (*key, *match.groups()), folder / entry.name


def _folders(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """The folder and all below it, through links too, but never round a loop of links."""
    real = os.path.realpath(folder)
    if real in above:
        return
    yield folder
    for entry in entries(folder):
        if _is_folder(entry):
            yield from _folders(folder / entry.name, above | {real})


def _text_between(folder: Path, inner: Path) -> str:
    return "" if inner == folder else inner.relative_to(folder).as_posix()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """The folder's entries by name; without hidden ones, such as the ._NAME.png of a Mac."""
    try:
        with os.scandir(folder) as entries:
            seen = [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        raise ResourceError(f"{folder} may not be read: give yourself permission to it") from None
    except OSError as fault:  # a link to itself, a name that no folder can have
        raise DataError(f"{folder} cannot be read: {fault.strerror or fault}") from None
    return sorted(seen, key=lambda entry: entry.name)


@cache
def _regex(part: str, last: bool = False) -> re.Pattern[str]:
    """One component of a pattern; a `*` at its very end leaves the extension of an image out."""
    text = re.escape(part).replace(r"\*", "(.*)")
    if last and part.endswith("*"):
        endings = "|".join(re.escape(extension) for extension in EXTENSIONS)
        text += rf"(?i:{endings})"
    return re.compile(text, re.DOTALL)
