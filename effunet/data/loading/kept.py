"""Whereabouts on disk: what one training has found out about its masks, the next one reads.

The file lies in the user's cache folder ($XDG_CACHE_HOME or ~/.cache, then effunet/whereabouts) and
never among the data. It counts while the path, size and time of change of every mask are the same,
and what dataset.yaml says; otherwise the masks are looked through again and the file is replaced.
Where nothing can be written there, nothing is kept.
"""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from effunet.artifact import write
from effunet.data.dataset import Dataset, FileDataset, GeneratedDataset
from effunet.data.loading.whereabouts import (
    POINTS,
    Progress,
    Whereabouts,
    find_classes,
    looked_at,
)
from effunet.data.subset import Subset
from effunet.errors import DataError

VERSION = 1
"""Another one makes all files be made anew: count it up when their meaning changes."""

PARTS = ("starts", "widths", "labels", "pixels", "points")


def cache_folder() -> Path:
    """Where effunet keeps what it could find out again."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home).expanduser() / "effunet"


def whereabouts_of(
    dataset: Dataset, progress: Progress | None = None, *, skip: bool = False
) -> Whereabouts:
    """Read where the classes of a split are, or look through its masks and keep the result.

    Raises:
        DataError: a mask cannot be read (unless `skip`), or none has a pixel of any class.
    """
    key, file = _key(dataset), _file(dataset)
    known = _read(file, key, len(dataset)) if key is not None else None
    if known is not None:
        return known
    found = find_classes(dataset, progress, skip=skip)
    # A mask that was skipped may be readable the next time.
    if key is not None and _is_whole(dataset, found):
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            write(file, save({"key": _bytes(key), **{n: getattr(found, n) for n in PARTS}}))
    return found


def _read(file: Path, key: str, size: int) -> Whereabouts | None:
    """What the file says, if it is whole and of this very data."""
    with suppress(OSError, SafetensorError, KeyError, ValueError, TypeError):
        parts = load(file.read_bytes())
        if bytes(parts.pop("key")) == bytes(_bytes(key)):
            found = Whereabouts(**parts)
            return found if len(found) == size else None
    return None


def _key(dataset: Dataset) -> str | None:
    """What the result depends on, in few characters; None where that cannot be told cheaply."""
    with suppress(OSError, DataError):
        about = _about(dataset)
        if about is not None:
            text = json.dumps([VERSION, POINTS, len(dataset), *about])
            return hashlib.sha256(text.encode()).hexdigest()
    return None


def _about(dataset: Dataset) -> list[object] | None:
    labels = dataset.labels.to_plain()
    if isinstance(dataset, GeneratedDataset):
        # Three of its masks stand for the generator, which may be another one tomorrow.
        places = {0, len(dataset) // 2, len(dataset) - 1}
        masks = [hashlib.sha256(dataset[i].mask.tobytes()).hexdigest() for i in sorted(places)]
        return [labels, dataset.seed, dataset.size, len(looked_at(dataset)), masks]
    whole = dataset
    while type(whole) is Subset:
        whole = whole.whole
    if not isinstance(whole, FileDataset):
        return None
    files: list[tuple[str, int, int]] = []
    for index in range(len(dataset)):
        path = dataset.mask_path(index)
        assert path is not None
        facts = path.stat()
        files.append((str(path.absolute()), facts.st_size, facts.st_mtime_ns))
    return [labels, repr(whole.description), list(dataset.ids), files]


def _file(dataset: Dataset) -> Path:
    """One file for each split in each place, so that old ones do not pile up."""
    first = dataset.mask_path(0) if len(dataset) else None
    place = [dataset.name, dataset.split, str(first and first.absolute()), len(dataset)]
    name = hashlib.sha256(json.dumps(place).encode()).hexdigest()[:32]
    return cache_folder() / "whereabouts" / f"{name}.safetensors"


def _is_whole(dataset: Dataset, found: Whereabouts) -> bool:
    """Whether no mask was skipped."""
    return bool(found.widths[list(looked_at(dataset))].all())


def _bytes(key: str) -> np.ndarray:
    return np.frombuffer(key.encode(), np.uint8)
