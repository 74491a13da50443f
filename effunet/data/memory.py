"""What was found out about a split, kept outside its folder for as long as nothing changes.

An entry is a file below $XDG_CACHE_HOME/effunet (~/.cache without it). It counts while its
fingerprint is that of the split: the path, size and times of change of every file, the description,
what maps its classes, and the code that reads it. Where the cache cannot be written there is none.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

from effunet import artifact
from effunet.data.dataset import Dataset
from effunet.data.sources.folder import FileDataset
from effunet.data.sources.generated import GeneratedDataset
from effunet.data.sources.mixture import Mapped, Mixture
from effunet.data.subset import Subset

ENTRIES = 256
"""Entries that are kept in a folder; the one that was not used for longest goes first."""

SETTLED = 2 * 10**9
"""Nanoseconds. A file that was changed so shortly before it was looked at may change once more
within one tick of its file system's clock, so that nothing shows it: such a split is not kept."""

_SEAL = hashlib.sha256().digest_size
_ENDING = ".kept"


def cache_folder() -> Path | None:
    """Where all entries are kept; None where no home is known."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # The specification of XDG has relative paths ignored.
        home = Path(base) if base.startswith("/") else Path.home() / ".cache"
    except RuntimeError:
        return None
    return home / "effunet"


class Memory:
    """What is remembered of one split; fingerprint is taken when the memory is made.

    Of a split that its files and numbers do not tell whole (a table, pixels held in memory) nothing
    is. Whatever goes wrong with the cache itself is no fault of the dataset: it is as if nothing
    had been remembered.
    """

    def __init__(self, dataset: Dataset, room: str, *options: object) -> None:
        """`room` is the cache's folder for it; `options` further decide what is found."""
        self.room = room
        self._began = time.time_ns()
        self._changed = 0
        self._roots: list[Path] = []
        self._described: list[str] = []
        digest = hashlib.sha256(_bytes(f"{_code()} {dataset.split} {options!r}"))
        try:
            for fact in self._facts(dataset, range(len(dataset))):
                digest.update(_bytes(f"{fact}\n"))
            self._told = True
        except _UntoldError:
            self._told = False
        self.fingerprint = digest.hexdigest()
        kind = type(dataset).__name__  # a part of a split is beside the whole, not in its place
        where = f"{self._described}\0{kind}\0{dataset.name}\0{dataset.split}\0{self._roots}"
        self.place = hashlib.sha256(_bytes(where)).hexdigest()[:32]

    def recall(self, kind: str) -> bytes | None:
        """The entry of this kind, if nothing has changed since it was kept, and it is whole."""
        file = self._file(kind)
        if file is None:
            return None
        with suppress(OSError):
            entry = file.read_bytes()
            found = entry[_SEAL:]
            if entry[:_SEAL] == self._seal(found):
                os.utime(file)
                return found
        return None

    def keep(self, kind: str, found: bytes) -> None:
        """Keep an entry in place of the one before."""
        file = self._file(kind)
        if file is None or self._changed > self._began - SETTLED:
            return
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            artifact.write(file, self._seal(found) + found)
            _forget_oldest(file.parent)

    def _file(self, kind: str) -> Path | None:
        home = cache_folder()
        # A home folder may itself be looked through for images: nothing is written below a root.
        if not self._told or home is None or any(home.is_relative_to(r) for r in self._roots):
            return None
        return home / self.room / f"{self.place}-{kind}{_ENDING}"

    def _seal(self, found: bytes) -> bytes:
        """Fits this split as it is now, and these very bytes."""
        return hashlib.sha256(self.fingerprint.encode() + found).digest()

    def _facts(self, dataset: Dataset, indices: Sequence[int]) -> Iterator[object]:
        """All that decides what these samples are."""
        yield len(indices)
        match dataset:
            case FileDataset():
                yield from self._facts_of_files(dataset, indices)
            case GeneratedDataset():
                yield dataset.labels, dataset.seed, dataset.size, len(dataset), indices
            case Mapped():
                yield dataset.labels, dataset.table.tolist()
                yield from self._facts(dataset.inner, indices)
            case Mixture():
                yield indices  # how the parts' samples follow each other
                chosen: list[list[int]] = [[] for _ in dataset.parts]
                for index in indices:
                    chosen[dataset.part_of(index)].append(dataset.place(index)[1])
                for part, places in zip(dataset.parts, chosen, strict=True):
                    yield from self._facts(part, places)
            case Subset() if type(dataset) is Subset:
                yield from self._facts(dataset.whole, [dataset.indices[index] for index in indices])
            case _:
                raise _UntoldError

    def _facts_of_files(self, dataset: FileDataset, indices: Sequence[int]) -> Iterator[object]:
        # Where it was said and what was told do not matter to what is found.
        yield replace(dataset.description, where="", notices=()), dataset.max_pixels
        folders: set[Path] = set()
        for file in _files(dataset, indices):
            whole = file.absolute()
            folders.add(whole.parent)
            yield f"{whole}\0{self._state(file)}"
        self._roots += [Path(os.path.commonpath(folders))] if folders else []
        self._roots += [dataset.place.absolute()] if dataset.place is not None else []
        self._described.append(str(Path(dataset.description.where).absolute()))

    def _state(self, file: Path) -> str:
        try:
            state = file.stat()
        except OSError:
            return "missing"
        self._changed = max(self._changed, state.st_mtime_ns, state.st_ctime_ns)
        return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"


class _UntoldError(Exception):
    """The dataset is more than what its files and numbers tell."""


def _files(dataset: FileDataset, indices: Sequence[int]) -> Iterator[Path]:
    """Every file that decides what the pairs are; one of all masks comes once."""
    yield from dataset.listing.files
    last = None
    for index in indices:
        yield dataset.image_path(index)
        mask = dataset.mask_path(index)
        if mask != last:
            yield mask
        last = mask


@cache
def _code() -> str:
    """A digest of the code that makes or reads samples, so that no number is raised by hand."""
    data = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for file in (*sorted(data.parent.glob("*.py")), *sorted(data.rglob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _bytes(text: str) -> bytes:
    """Names of files need not be valid text."""
    return text.encode(errors="surrogateescape")


def _forget_oldest(folder: Path) -> None:
    entries = [(file.stat().st_mtime_ns, file) for file in folder.glob(f"*{_ENDING}")]
    for _, file in sorted(entries)[:-ENTRIES]:
        file.unlink(missing_ok=True)
