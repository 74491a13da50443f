"""A folder for a cache -> the datasets whose samples are kept there; refused where it must not be.

Every dataset of files has a folder of its own in it, by its name, and of a mixture every part.
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import PIL

from effunet.data.dataset import Dataset
from effunet.data.describe.description import Description, Files
from effunet.data.loading.cache import RESERVE, Cached, show_bytes
from effunet.data.loading.entries import FORMAT
from effunet.data.sources.folder import FileDataset
from effunet.data.sources.mixture import Mapped, Mixture
from effunet.data.subset import Middles, Subset
from effunet.errors import ResourceError, UsageError

ABANDONED = 86_400
"""Seconds after which a half written file is that of a process which was killed."""


def cached(datasets: Sequence[Dataset], cache: str | Path) -> list[Dataset]:
    """The datasets with their samples kept below `cache`; as they are where nothing is decoded.

    Raises:
        UsageError: the cache would lie in a dataset's folder.
        ResourceError: its disk has too little space for what is missing, or it cannot be made.
    """
    root = Path(cache).expanduser().absolute()
    kept = [_kept(dataset, root) for dataset in datasets]
    _require_space([part for dataset in kept for part in _cached_parts(dataset)], root)
    return kept


def unkept(datasets: Sequence[Dataset]) -> list[str]:
    """A line for each dataset that a cache does nothing for, because it has no files to decode."""
    wholes = (dataset.whole if type(dataset) is Subset else dataset for dataset in datasets)
    sources = (source for whole in wholes for source in whole.sources)
    names = dict.fromkeys(s.name for s in sources if not isinstance(s, FileDataset | Middles))
    return [
        f"dataset.cache: {name} is not decoded from files of its own, so that nothing of it is kept"
        for name in names
    ]


def _kept(dataset: Dataset, root: Path) -> Dataset:
    match dataset:
        case Mixture():
            return Mixture([_kept(part, root) for part in dataset.parts], dataset.shares)
        case Mapped():
            return Mapped(_kept(dataset.inner, root), dataset.labels, dataset.table)
        case FileDataset():
            return _cached(dataset, dataset, root)
        case Subset() if type(dataset) is Subset:  # Middles are pixels of their own
            if isinstance(dataset.whole, FileDataset):
                return _cached(dataset, dataset.whole, root)
            return Subset(_kept(dataset.whole, root), dataset.indices)
        case _:
            return dataset


def _cached(dataset: Dataset, source: FileDataset, root: Path) -> Cached:
    """The samples of a dataset, all or some of those of the source."""
    folder = root / re.sub(r"[^\w.-]", "_", dataset.name)
    _refuse_data_folder(source, root, folder)
    _make(folder)
    return Cached(dataset, folder, _rules(source))


def _cached_parts(dataset: Dataset) -> list[Cached]:
    match dataset:
        case Cached():
            return [dataset]
        case Mixture():
            return [part for inner in dataset.parts for part in _cached_parts(inner)]
        case Mapped():
            return _cached_parts(dataset.inner)
        case Subset():
            return _cached_parts(dataset.whole)
        case _:
            return []


def _rules(source: FileDataset) -> str:
    """Digest of all that decides, beside the files' contents, what a sample is."""
    said = source.description
    layouts = said.origin.layouts if isinstance(said.origin, Files) else ()
    # Left out is what no pixel depends on, lest a word in a title makes every sample anew.
    about = Description(said.name, said.labels, Files(layouts), said.pixels)
    # The decoders' versions, too: of a JPEG, two may differ by one level.
    facts = [FORMAT, repr(about), cv2.__version__, PIL.__version__]
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()


def _refuse_data_folder(source: FileDataset, root: Path, folder: Path) -> None:
    places = {source.place} if source.place is not None else set[Path]()
    for index in {0, len(source) // 2, len(source) - 1} if len(source) else ():
        places |= {source.image_path(index).parent, source.mask_path(index).parent}
    real = folder.resolve()
    for place in (place.resolve() for place in places):
        if root.resolve() == place or place in real.parents or real in (place, *place.parents):
            raise UsageError(
                f"dataset.cache={root}: keeps the samples of {source.name} in {folder}, beside or"
                f" around its own files in {place}, where effunet writes nothing: name a folder"
                " elsewhere, on a local disk"
            )


def _make(folder: Path) -> None:
    """Make the folder, and remove what killed processes have left there half written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in folder.glob(".*.part"):
            with suppress(FileNotFoundError):
                if time.time() - part.stat().st_mtime > ABANDONED:
                    part.unlink()
    except OSError as error:
        raise ResourceError(
            f"dataset.cache: {folder} cannot be used: {error.strerror}: name another folder"
        ) from error


def _require_space(datasets: Sequence[Cached], root: Path) -> None:
    counts = [dataset.missing() for dataset in datasets]
    need = sum(
        count * dataset.sample_bytes() for count, dataset in zip(counts, datasets, strict=True)
    )
    if not need:
        return
    free = shutil.disk_usage(datasets[0].folder).free
    if free < need + RESERVE:
        raise ResourceError(
            f"dataset.cache={root}: {sum(counts)} images that are not kept there yet need"
            f" {show_bytes(need)} beside the {show_bytes(RESERVE)} that stay free, and"
            f" {show_bytes(free)} are free: free some space, name another disk, or leave"
            " dataset.cache out"
        )
