"""One pair of a split -> what it shows: faults, sizes, classes, values that nobody knows.

A pair is read whole, or its mask alone, or neither: then headers and file ends must give no reason
to read it. Nothing here keeps a pixel.
"""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from jaxtyping import Int64, UInt8

from effunet.data.check.counting import byte_counts
from effunet.data.check.findings import Finding, told
from effunet.data.dataset import Dataset
from effunet.data.files.images import read_upright_size
from effunet.data.files.opening import read_size, seems_cut
from effunet.data.sources.folder import FileDataset, size_mismatch
from effunet.errors import EffunetError
from effunet.labels import IndexMask
from effunet.values import RawValue, UnknownValues

LOSSY_ENDINGS = (".jpg", ".jpeg", ".jp2", ".webp", ".avif")

Counts = Int64[np.ndarray, " 256"]
Image = UInt8[np.ndarray, "H W C"]


@dataclass(frozen=True)
class Look:
    """What one pair has shown; what was not read, or could not be, is absent."""

    read_image: bool  # whole, or tried to
    read_mask: bool
    faults: list[Finding] = field(default_factory=list[Finding])
    size: tuple[int, int] | None = None  # height and width of the image, upright where decoded
    digest: int = 0  # of the image's pixels
    channels: list[Counts] | None = None  # pixels of each value in every channel of the image
    counts: Counts | None = None  # pixels of each class index in the mask
    unknown: dict[RawValue, int] = field(default_factory=dict[RawValue, int])  # with their pixels


AnyDataset = TypeVar("AnyDataset", bound=Dataset)
AnyReaders = TypeVar("AnyReaders", bound="_Readers[Any]")


@dataclass(frozen=True)
class _Readers(Generic[AnyDataset]):
    """A split as the check reads it: a value that stands nowhere in the map is told in any case.

    strict refuses such values, whatever the map's own rule for them is; lenient takes them.
    """

    dataset: AnyDataset
    strict: AnyDataset
    lenient: AnyDataset

    @classmethod
    def of(cls: "type[AnyReaders]", dataset: AnyDataset) -> "AnyReaders":
        """Make the readers of a dataset, which differ in the map's `rest` alone."""
        refuses = dataset.labels.rest == "error"
        lenient = _with_rest(dataset, "ignore") if refuses else dataset
        return cls(dataset, _with_rest(dataset, "error"), lenient)


class Reader(_Readers[FileDataset]):
    """The same of files."""

    def look(self, index: int, *, image: bool, mask: bool, colors: bool) -> Look:
        """Look at one pair: image and mask say what is read in any case, colors what is counted."""
        if not (image and mask) and self._is_suspect(index):
            image = mask = True  # which then says why
        faults: list[Finding] = []
        pixels = self._image(index, faults) if image else None
        labels, unknown = self._mask(index, faults) if mask else (None, {})
        size = self._size(index) if pixels is None else pixels.shape[:2]
        if pixels is not None and labels is not None and pixels.shape[:2] != labels.shape:
            faults.append(self._mismatch(index, pixels.shape[:2], labels.shape))
        return Look(
            image,
            mask,
            faults=faults,
            size=size,
            digest=_digest(pixels) if pixels is not None else 0,
            channels=_channels(pixels) if colors and pixels is not None else None,
            counts=byte_counts(labels) if labels is not None else None,
            unknown=unknown,
        )

    def _image(self, index: int, faults: list[Finding]) -> Image | None:
        try:
            return self.dataset.read_image(index)
        except EffunetError as fault:
            file = self.dataset.image_path(index)
            faults.append(told(str(fault), "unreadable", self.dataset.split, file))
            return None

    def _mask(
        self, index: int, faults: list[Finding]
    ) -> tuple[IndexMask | None, dict[RawValue, int]]:
        try:
            return self.strict.read_mask(index), {}
        except UnknownValues as fault:
            # A second time, for the classes of what is known; no label of a shape is near another.
            texts = any(isinstance(value, str) for value in fault.counts)
            lenient = _with_rest(self.dataset, "ignore") if texts else self.lenient
            return lenient.read_mask(index), fault.counts
        except EffunetError as fault:
            file = self.dataset.mask_path(index)
            lossy = file.suffix.lower() in LOSSY_ENDINGS
            kind = "lossy_mask" if lossy else "unreadable"
            faults.append(told(str(fault), kind, self.dataset.split, file))
            return None, {}

    def _mismatch(self, index: int, seen: Sequence[int], labelled: Sequence[int]) -> Finding:
        image, mask = self.dataset.image_path(index), self.dataset.mask_path(index)
        line = size_mismatch(image, seen, mask, labelled)
        finding = told(line, "size_mismatch", self.dataset.split)
        if read_size(image, self.dataset.max_pixels) == tuple(labelled):
            turn = (
                "the image is turned by its EXIF orientation and the mask is not: turn the mask, "
                "or save the image without EXIF, as the mask shows it"
            )
            return replace(finding, mend=turn)
        return finding

    def _is_suspect(self, index: int) -> bool:
        """Whether headers and file ends give a reason to read the pair whole."""
        image, mask = self.dataset.image_path(index), self.dataset.mask_path(index)
        size = self._size(index)
        if size is None:
            return True
        try:
            if self.dataset.listing.truth is not None:  # annotations have no header
                return seems_cut(image)
            wrong = size != read_size(mask, self.dataset.max_pixels)
            return wrong or seems_cut(image) or seems_cut(mask)
        except EffunetError:
            return True

    def _size(self, index: int) -> tuple[int, int] | None:
        """The size that the image's header and orientation say."""
        try:
            return read_upright_size(self.dataset.image_path(index), self.dataset.max_pixels)
        except EffunetError:
            return None


class RowReader(_Readers[Dataset]):
    """The same of samples that come whole: made on demand, or rows of a table."""

    def look(self, index: int) -> Look:
        """Look at one sample."""
        unknown: dict[RawValue, int] = {}
        try:
            try:
                sample = self.strict[index]
            except UnknownValues as fault:
                unknown, sample = fault.counts, self.lenient[index]
        except EffunetError as fault:
            return Look(True, True, [told(str(fault), "unreadable", self.dataset.split)])
        image, mask = sample.image, sample.mask
        size = image.shape[0], image.shape[1]
        seen = _digest(image), _channels(image), byte_counts(mask)
        return Look(True, True, [], size, *seen, unknown)


def _with_rest(dataset: AnyDataset, rest: Literal["error", "ignore"]) -> AnyDataset:
    """The same samples, read with another rule for the values that stand nowhere in the map."""
    other = copy.copy(dataset)
    other.labels = replace(dataset.labels, rest=rest)
    return other


def _digest(pixels: Image) -> int:
    """64 bits of the pixels and their shape: equal for one picture, whatever file it is in."""
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return int.from_bytes(digest.digest()[:8])


def _channels(pixels: Image) -> list[Counts]:
    return [byte_counts(pixels[..., channel]) for channel in range(pixels.shape[2])]
