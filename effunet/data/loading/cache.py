"""Decoded samples kept as raw bytes on a local disk, so that later epochs decode nothing.

dataset --(not kept yet, or its files have changed)--> decoded, and kept in the cache's folder
        --(kept)--> its pixels mapped into memory, of which a crop reads its window alone

Kept and decoded samples are equal to the byte. Every read looks at the size and the times of change
of both files; where these differ from what was noted, their contents decide: equal ones are kept
under the new times, others are decoded anew, in the place of the old ones.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float32
from numpy import ndarray

from effunet.data.dataset import Dataset, Sample
from effunet.data.files.images import read_upright_size
from effunet.data.loading.entries import HEAD, Head, Stamps, read_entry, write_entry
from effunet.data.subset import Wrapped
from effunet.errors import EffunetError

RESERVE = 2**30
"""Bytes that are left free on the disk."""

SETTLED = 2_000_000_000
"""Nanoseconds after which the next change of a file shows in its times: before, two share one."""

MEASURED = 16
"""Images whose headers tell how large the others are."""


class Cached(Wrapped):
    """The samples of files, each decoded once; several processes and runs may share the folder.

    A disk that is full, or a folder that may not be written to, costs one notice: what is not kept
    yet is then decoded whenever it is asked for.
    """

    def __init__(
        self, whole: Dataset, folder: Path, rules: str, notify: Callable[[str], None] = print
    ) -> None:
        """Keep the samples of `whole` in `folder`, which must be there.

        `rules` is a digest of all that decides, beside the files, what a sample is.
        """
        super().__init__(
            whole.name, whole.split, whole.labels, whole.ids, whole.pixels, whole.notices
        )
        self.whole, self.folder, self.rules, self.notify = whole, folder, rules, notify
        self.full = torch.zeros(1, dtype=torch.bool).share_memory_()  # one for all workers

    def __getitem__(self, index: int) -> Sample:
        name, files = self.ids[index], self._files(index)
        try:
            stamps = _stamps(files)
        except OSError:
            return self.whole[index]  # which says what is wrong
        kept = self._entry_file(files, name)
        entry = read_entry(kept)
        if entry is not None and entry.head.rules == self.rules:
            if entry.head.stamps == stamps:
                return Sample(entry.image, entry.mask, name)
            with suppress(OSError):
                if entry.head.digests == _digests(files, stamps):
                    with suppress(OSError):
                        entry.restamp(_settled(stamps))
                    return Sample(entry.image, entry.mask, name)
        sample = self.whole[index]
        if not self.full:
            self._keep(kept, files, stamps, sample)
        return sample

    @property
    def weights(self) -> Float32[ndarray, " N"] | None:
        """How often each image is drawn in training, against the others; None: all alike."""
        return self.whole.weights

    @property
    def sources(self) -> tuple[Dataset, ...]:
        """The dataset whose samples are kept."""
        return self.whole.sources

    def entry_file(self, index: int) -> Path:
        """Where a sample is kept: one place for the same files of the same dataset."""
        return self._entry_file(self._files(index), self.ids[index])

    def missing(self) -> int:
        """How many samples are not kept yet."""
        return sum(not self.entry_file(index).exists() for index in range(len(self)))

    def sample_bytes(self) -> int:
        """Bytes of a kept sample, by the headers of a few; 0 where none can be read."""
        step = max(1, len(self) // MEASURED)
        sizes: list[int] = []
        for path in (self.image_path(index) for index in range(0, len(self), step)):
            with suppress(EffunetError):
                height, width = read_upright_size(path) if path is not None else (0, 0)
                sizes.append(HEAD + height * width * (self.channels + 1))
        return sum(sizes) // max(1, len(sizes))

    def _files(self, index: int) -> tuple[Path | None, Path | None]:
        return self.whole.image_path(index), self.whole.mask_path(index)

    def _entry_file(self, files: Sequence[Path | None], name: str) -> Path:
        place = [*(str(file and file.absolute()) for file in files), name]
        digest = hashlib.blake2b(json.dumps(place).encode(), digest_size=16)
        return self.folder / f"{digest.hexdigest()}.raw"

    def _keep(
        self, kept: Path, files: Sequence[Path | None], stamps: Stamps, sample: Sample
    ) -> None:
        shape = sample.image.shape
        try:
            digests = _digests(files, stamps)
            if _stamps(files) != stamps:
                return  # changed while it was read
            head = Head(self.rules, digests, _settled(stamps), (shape[0], shape[1], shape[2]))
        except OSError:
            return  # the files are gone
        try:
            if shutil.disk_usage(self.folder).free < RESERVE + HEAD + head.pixels:
                self._stop(f"less than {show_bytes(RESERVE)} is free there")
            else:
                write_entry(kept, head, sample.image, sample.mask)
        except OSError as error:
            self._stop(error.strerror or str(error))

    def _stop(self, why: str) -> None:
        if not self.full:
            self.full[:] = True
            self.notify(
                f"notice    dataset.cache: nothing more is kept in {self.folder}: {why}; the other"
                " images are decoded whenever they are needed"
            )


def _stamps(files: Sequence[Path | None]) -> Stamps:
    facts = [file.stat() for file in files if file is not None]
    return tuple((fact.st_size, fact.st_mtime_ns, fact.st_ctime_ns) for fact in facts)


def _settled(stamps: Stamps) -> Stamps | None:
    """The stamps, unless a file has changed so lately that it may change again under the same."""
    now = time.time_ns()
    lately = (abs(now - at) < SETTLED for _, *times in stamps for at in times)
    return None if any(lately) else stamps


def _digests(files: Sequence[Path | None], stamps: Stamps) -> tuple[str, ...]:
    paths = (file for file in files if file is not None)
    return tuple(_digest(path, stamp) for path, stamp in zip(paths, stamps, strict=True))


@lru_cache(maxsize=8)  # one file of annotations serves many images
def _digest(path: Path, stamp: tuple[int, int, int]) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def show_bytes(count: int) -> str:
    """A number of bytes for a person."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(1, count / 2**20):.0f} MiB"
