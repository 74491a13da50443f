"""What was found in a dataset's files, kept outside its folder for as long as nothing changes.

An entry is a small JSON file below $XDG_CACHE_HOME/effunet/checks (~/.cache without it). It counts
while its fingerprint is that of the split: the path, size and times of change of every file, the
description, and the code of the checks. Where the cache cannot be written there is none.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from effunet import artifact
from effunet.data.sources.folder import FileDataset

ENTRIES = 256
"""Entries that are kept; the one that was not used for longest goes first."""

SETTLED = 2 * 10**9
"""Nanoseconds. A file that was changed so shortly before it was looked at may change once more
within one tick of its file system's clock, so that nothing shows it: such a split is not kept."""

ROOMS = ("check", "describe", "files", "shapes", "sources")
"""Folders of effunet/data whose code decides what is found."""


def cache_folder() -> Path | None:
    """Where entries are kept; None where no home is known."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # The specification of XDG has relative paths ignored.
        home = Path(base) if base.startswith("/") else Path.home() / ".cache"
    except RuntimeError:
        return None
    return home / "effunet" / "checks"


class Memory:
    """What is remembered of one split; fingerprint is taken when the memory is made.

    Whatever goes wrong with the cache itself is no fault of the dataset: it is as if nothing had
    been remembered.
    """

    def __init__(self, dataset: FileDataset, *options: object) -> None:
        """`options` are further things that decide what is found."""
        self.began = time.time_ns()
        self.changed = 0
        # Where it was said and what was told do not matter to what is found.
        meaning = replace(dataset.description, where="", notices=())
        digest = hashlib.sha256(f"{_code()} {meaning!r} {options!r}".encode())
        folders: set[Path] = set()
        for file in _files(dataset):
            whole = file.absolute()
            folders.add(whole.parent)
            digest.update(f"{whole}\0{self._state(file)}\n".encode(errors="surrogateescape"))
        self.fingerprint = digest.hexdigest()
        self.roots = [Path(os.path.commonpath(folders))] if folders else []
        self.roots += [dataset.place.absolute()] if dataset.place is not None else []
        described = Path(dataset.description.where).absolute()
        where = f"{described}\0{dataset.name}\0{dataset.split}\0{self.roots}"
        self.place = hashlib.sha256(where.encode(errors="surrogateescape")).hexdigest()[:32]

    def recall(self, kind: str) -> dict[str, Any] | None:
        """The entry of this kind, if nothing has changed since it was kept."""
        file = self._file(kind)
        if file is None:
            return None
        with suppress(OSError, ValueError, RecursionError):
            entry = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(entry, dict) and entry.get("fingerprint") == self.fingerprint:
                os.utime(file)
                found = cast("dict[str, Any]", entry).get("found")
                return cast("dict[str, Any]", found) if isinstance(found, dict) else None
        return None

    def keep(self, kind: str, found: dict[str, Any]) -> None:
        """Keep an entry of JSON types in place of the one before."""
        file = self._file(kind)
        if file is None or self.changed > self.began - SETTLED:
            return
        text = json.dumps({"fingerprint": self.fingerprint, "found": found})
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            artifact.write(file, text.encode())
            _forget_oldest(file.parent)

    def _file(self, kind: str) -> Path | None:
        place = cache_folder()
        # A home folder may itself be looked through for images: nothing is written below a root.
        if place is None or any(place.is_relative_to(root) for root in self.roots):
            return None
        return place / f"{self.place}-{kind}.json"

    def _state(self, file: Path) -> str:
        try:
            state = file.stat()
        except OSError:
            return "missing"
        self.changed = max(self.changed, state.st_mtime_ns, state.st_ctime_ns)
        return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"


def _files(dataset: FileDataset) -> Iterator[Path]:
    """Every file that decides what the pairs are; one of all masks comes once."""
    yield from dataset.listing.files
    last = None
    for index in range(len(dataset)):
        yield dataset.image_path(index)
        mask = dataset.mask_path(index)
        if mask != last:
            yield mask
        last = mask


@cache
def _code() -> str:
    """A digest of the code that decides what is found, so that no number must be raised by hand."""
    data = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256((data.parent / "labels.py").read_bytes())
    for file in sorted(file for room in ROOMS for file in (data / room).glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _forget_oldest(place: Path) -> None:
    entries = [(file.stat().st_mtime_ns, file) for file in place.glob("*.json")]
    for _, file in sorted(entries)[:-ENTRIES]:
        file.unlink(missing_ok=True)
