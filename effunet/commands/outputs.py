"""Images and folders that a user names -> each image with a place of its own for its results."""

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from effunet.data.sources.patterns import EXTENSIONS
from effunet.errors import DataError, ResourceError, UsageError

MASK, OVERLAY, PROBABILITIES = ".png", "_overlay.png", ".npy"
GEO_MASK, GEO_PROBABILITIES = ".tif", "_probabilities.tif"
"""Of a GeoTIFF, instead of MASK and PROBABILITIES."""

ENDINGS = (MASK, OVERLAY, PROBABILITIES, GEO_MASK, GEO_PROBABILITIES)
LONGEST_NAME = 255
"""Bytes of a file name that the usual file systems allow."""


@dataclass(frozen=True)
class Job:
    """One image, and where its results go: this path with an ending added."""

    image: Path
    stem: Path

    def result(self, ending: str) -> Path:
        """The file of one result."""
        return self.stem.with_name(self.stem.name + ending)


def plan(inputs: Sequence[Path], out: Path) -> list[Job]:
    """Every image with a place below `out` that is its own: no result meets another or an input.

    A folder's structure is kept. a.jpg gives a.png; where a.png stands beside it, both keep their
    endings: a.jpg.png and a.png.png.
    """
    found = found_images(inputs, out)
    crowded = Counter(_key(relative.with_suffix("")) for _, relative in found)
    taken = {_key(image.resolve()) for image, _ in found}
    jobs: list[Job] = []
    for image, relative in found:
        short = relative.with_suffix("")
        stem = out / _fitting(short if crowded[_key(short)] == 1 else relative)
        job, number = Job(image, stem), 1
        while taken & (results := _results(job)):
            number += 1
            job = Job(image, stem.with_name(f"{stem.name}-{number}"))
        taken |= results
        jobs.append(job)
    return jobs


def found_images(inputs: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Each image once, with its path below the input that led to it.

    Raises:
        DataError: there is none, or an input does not exist.
        UsageError: `out` is one of the inputs.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    for image, relative in _images(inputs, out):
        found.setdefault(image.resolve(), (image, relative))
    if not found:
        named = ", ".join(map(str, inputs))
        raise DataError(f"no images in {named}: looked for files ending in {' '.join(EXTENSIONS)}")
    return list(found.values())


def prepare_folder(folder: Path, word: str = "--out") -> None:
    """Make the folder and see that a file can be written there, before hours of work rely on it.

    `word` is what the user has named it by, for the messages.

    Raises:
        UsageError: a file stands in the way.
        ResourceError: not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{word} {folder}: {error.filename} is a file: name a folder") from error
    except OSError as error:
        raise ResourceError(
            f"{word} {folder} is not writable ({error.strerror}): name another folder"
        ) from error


def prepare_file(file: Path, word: str = "--out") -> None:
    """Make the file's folder, and see that a file can be written there; `word` as above.

    Raises:
        UsageError: the file is a folder, or a file stands in the folder's way.
        ResourceError: not writable.
    """
    if file.is_dir():
        raise UsageError(f"{word} {file} is a folder: name a file")
    prepare_folder(file.parent, word)


def _images(inputs: Sequence[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    """Each image with its path below the input that led to it; folders in the order of names."""
    for given in inputs:
        try:
            given.stat()
        except OSError as error:
            raise DataError(f"no such image or folder: {given} ({error.strerror})") from error
        if not given.is_dir():
            yield given, Path(given.name)
            continue
        if given.resolve() == out.resolve():
            raise UsageError(f"--out {out} is the folder of the images: name another")
        # Links to folders are not followed, so a circle of them ends; hidden files are no images.
        for folder, below, names in os.walk(given):
            here = Path(folder)
            below[:] = sorted(
                name
                for name in below
                if name[0] != "." and (here / name).resolve() != out.resolve()
            )
            for name in sorted(names):
                path = here / name
                if name[0] != "." and path.suffix.lower() in EXTENSIONS and not _special(path):
                    yield path, path.relative_to(given)


def _special(path: Path) -> bool:
    """A pipe or device: reading one could wait for ever. A broken link is a fault to be told."""
    return path.exists() and not path.is_file()


def _results(job: Job) -> set[str]:
    real = Job(job.image, job.stem.parent.resolve() / job.stem.name)
    return {_key(real.result(ending)) for ending in ENDINGS}


def _key(path: Path) -> str:
    """Equal for two names that some file system takes for one (A.png and a.png)."""
    return str(path).casefold()


def _fitting(stem: Path) -> Path:
    """The stem, cut where the longest ending would make a longer name than file systems take."""
    name, room = os.fsencode(stem.name), LONGEST_NAME - max(map(len, ENDINGS)) - len("-99999")
    if len(name) <= room:
        return stem
    mark = "~" + hashlib.sha256(name).hexdigest()[:8]
    return stem.with_name(name[: room - len(mark)].decode(errors="ignore") + mark)
