"""Whereabouts on disk: what one training has found out about its masks, the next one reads.

The file lies in the user's cache folder ($XDG_CACHE_HOME or ~/.cache, then effunet/whereabouts) and
never among the data. It counts while nothing that it depends on has changed: the path, size and
times of every mask file, what dataset.yaml says, and the code that reads masks. Otherwise the masks
are looked through again and the file is replaced. Where nothing can be written, nothing is kept.
"""

import hashlib
import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from safetensors import SafetensorError
from safetensors.numpy import load, save

from effunet.artifact import write
from effunet.data.dataset import Dataset
from effunet.data.loading.whereabouts import Progress, Whereabouts, find_classes, looked_at
from effunet.data.sources.folder import FileDataset
from effunet.data.sources.generated import GeneratedDataset
from effunet.data.subset import Subset

ENTRIES = 64
"""Files that are kept; the one that was not used for longest goes first."""

SETTLED = 2 * 10**9
"""Nanoseconds. A mask that was changed so shortly before may change again within one tick of its
file system's clock, so that nothing shows it: such a split is not kept."""


def whereabouts_of(
    dataset: Dataset, progress: Progress | None = None, *, skip: bool = False
) -> Whereabouts:
    """Read where the classes of a split are, or look through its masks and keep the result.

    Raises:
        DataError: a mask cannot be read (unless `skip`), or none has a pixel of any class.
    """
    entry = _entry(dataset)
    known = _read(*entry) if entry is not None else None
    if known is not None and len(known) == len(dataset):
        return known
    found = find_classes(dataset, progress, skip=skip)
    # A mask that was skipped, which has no width, may be readable the next time.
    if entry is not None and found.widths[list(looked_at(dataset))].all():
        _keep(*entry, found)
    return found


def cache_folder() -> Path | None:
    """Where the files are kept; None where no home is known."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # The specification of XDG has relative paths ignored.
        home = Path(base) if base.startswith("/") else Path.home() / ".cache"
    except RuntimeError:
        return None
    return home / "effunet" / "whereabouts"


def _read(file: Path, fingerprint: bytes) -> Whereabouts | None:
    """What the file says, if it is whole and of this very data."""
    with suppress(OSError, SafetensorError, KeyError, ValueError, TypeError):
        parts = load(file.read_bytes())
        if parts.pop("fingerprint").tobytes() == fingerprint:
            os.utime(file)
            return Whereabouts(**parts)
    return None


def _keep(file: Path, fingerprint: bytes, found: Whereabouts) -> None:
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, save({"fingerprint": _array(fingerprint), **found.parts()}))
        entries = [(entry.stat().st_mtime_ns, entry) for entry in file.parent.glob("*.safetensors")]
        for _, entry in sorted(entries)[:-ENTRIES]:
            entry.unlink(missing_ok=True)


def _entry(dataset: Dataset) -> tuple[Path, bytes] | None:
    """The file of a split, one however often its data changes, and the fingerprint of the data.

    None where the data cannot be told by its files, has changed just now, or lies around the cache.
    """
    folder, whole = cache_folder(), dataset
    while type(whole) is Subset:
        whole = whole.whole
    if folder is None or not len(dataset):
        return None
    if isinstance(dataset, GeneratedDataset):
        place = f"{dataset.name} {dataset.split}"
        facts = f"{dataset.labels!r} {dataset.seed} {dataset.size} {len(dataset)}"
        return folder / _name(place), _digest(facts)
    if not isinstance(whole, FileDataset):
        return None
    files = [dataset.mask_path(index) for index in range(len(dataset))]
    if whole.listing.truth is not None:  # what is drawn is as large as its image
        files += [dataset.image_path(index) for index in range(len(dataset))]
    several = dict.fromkeys(file.absolute() for file in files if file is not None)
    with suppress(OSError):
        states = {file: _state(file) for file in several}
        root = whole.place or os.path.commonpath({file.parent for file in states})
        newest = max(changed for _, *times in states.values() for changed in times)
        if folder.is_relative_to(root) or newest > time.time_ns() - SETTLED:
            return None
        place = f"{dataset.name} {dataset.split} {root} {len(dataset)}"
        files = [(str(file), state) for file, state in states.items()]
        facts = f"{whole.description!r} {list(dataset.ids)} {files}"
        return folder / _name(place), _digest(facts)
    return None


def _state(file: Path) -> tuple[int, int, int]:
    """Size in bytes, and the times of change of content and of anything, nanoseconds."""
    facts = file.stat()
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _name(place: str) -> str:
    digest = hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()
    return f"{digest[:32]}.safetensors"


def _digest(facts: str) -> bytes:
    return hashlib.sha256(f"{_code()} {facts}".encode(errors="surrogateescape")).digest()


@cache
def _code() -> str:
    """A digest of the code that makes or reads masks, so that no number must be raised by hand."""
    data = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in (*sorted(data.parent.glob("*.py")), *sorted(data.rglob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _array(data: bytes) -> UInt8[np.ndarray, " N"]:
    return np.frombuffer(data, np.uint8)
