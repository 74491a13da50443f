"""A dataset's name or folder -> its samples: images with masks of class indices.

open_dataset finds the description (data/NAME/dataset.yaml, or a folder's own) and the root folder,
lists one split, and gives a Dataset, whose samples are read when they are asked for. Nothing is
ever written into a user's folder.
"""

import difflib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from effunet.data.describe.description import (
    Description,
    Files,
    Generated,
    description_file,
    known_names,
    read_description,
)
from effunet.data.describe.guess import describe_folder
from effunet.data.files.images import read_image
from effunet.data.files.masks import read_mask
from effunet.data.files.opening import MAX_PIXELS
from effunet.data.sources.listing import Listing, has_images, list_split
from effunet.errors import DataError, UsageError
from effunet.labels import IndexMask, LabelMap
from effunet.values import UnknownValues


@dataclass(frozen=True)
class Sample:
    """An image (channels 1 or 3), its class indices with IGNORE, and a name unique in its split."""

    image: UInt8[ndarray, "H W C"]
    mask: IndexMask
    name: str


class Dataset(ABC):
    """One split of a dataset; dataset[i] reads its i-th sample.

    Your own source of samples is a subclass with __getitem__.
    """

    def __init__(
        self,
        name: str,
        split: str,
        labels: LabelMap,
        ids: Sequence[str],
        channels: int = 3,
        notices: Sequence[str] = (),
    ) -> None:
        self.name, self.split, self.labels, self.channels = name, split, labels, channels
        self.ids: Sequence[str] = ids
        self.notices: Sequence[str] = notices
        """Lines to show the user: what was taken for granted where no dataset.yaml says it."""

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """Read or make one sample; IndexError outside 0..len-1."""

    def image_path(self, index: int) -> Path | None:
        """The file that the image is read from; None where it is made."""
        return None

    def mask_path(self, index: int) -> Path | None:
        """The file that the mask is read from; None where it is made."""
        return None


class FileDataset(Dataset):
    """Pairs of image and mask files below a root folder."""

    def __init__(
        self, description: Description, split: str, listing: Listing, max_pixels: int = MAX_PIXELS
    ) -> None:
        super().__init__(
            description.name,
            split,
            description.labels,
            [pair.name for pair in listing.pairs],
            description.channels,
            description.notices,
        )
        self.listing = listing
        self.description = description
        self.max_pixels = max_pixels

    def __getitem__(self, index: int) -> Sample:
        pair = self.listing.pairs[index]
        image = self.read_image(index)
        mask = self.read_mask(index)
        if image.shape[:2] != mask.shape:
            raise DataError(size_mismatch(pair.image, image.shape, pair.mask, mask.shape))
        return Sample(image, mask, pair.name)

    def read_image(self, index: int) -> UInt8[ndarray, "H W C"]:
        """The image of a sample without its mask."""
        return read_image(self.listing.pairs[index].image, self.channels, self.max_pixels)

    def read_mask(self, index: int) -> IndexMask:
        """The mask of a sample without its image."""
        try:
            return read_mask(self.listing.pairs[index].mask, self.labels, self.max_pixels)
        except UnknownValues as fault:
            raise UnknownValues(f"{fault} in {self.description.where}", fault.counts) from None

    def image_path(self, index: int) -> Path:
        """The image file of a sample."""
        return self.listing.pairs[index].image

    def mask_path(self, index: int) -> Path:
        """The mask file of a sample."""
        return self.listing.pairs[index].mask


class GeneratedDataset(Dataset):
    """Samples drawn on demand; the same on every machine for the same dataset.yaml."""

    def __init__(self, description: Description, split: str, origin: Generated) -> None:
        drawn = origin.splits[split]
        ids = [f"{split}-{index:05d}" for index in range(drawn.images)]
        super().__init__(description.name, split, description.labels, ids, description.channels)
        self.seed, self.size = drawn.seed, origin.size

    def __getitem__(self, index: int) -> Sample:
        from effunet.data import synthetic

        name = self.ids[index]
        image, raw = synthetic.render(self.seed, index % len(self), *self.size)
        return Sample(image, self.labels.encode(raw), name)


def open_dataset(
    name_or_dir: str | Path,
    split: str,
    root: str | Path | None = None,
    *,
    paired: bool = True,
    max_pixels: int = MAX_PIXELS,
) -> Dataset:
    """One split of a known dataset (data/NAME) or of a folder; `folder` means the folder root.

    The files of a name lie in root, or else where its variable says ($CAMVID, $CITYSCAPES_DATASET),
    or else in data/NAME. A folder without dataset.yaml is looked through for what it holds.
    paired=False leaves files without a partner to the preflight (effunet.data.check.preflight).

    Raises:
        DataError: no such dataset, split or files; files without a partner.
    """
    description, places = find_dataset(name_or_dir, root)
    origin = description.origin
    if split not in origin.splits:
        raise DataError(
            f"{description.name} has no split {split!r}: {description.where} has "
            f"{', '.join(origin.splits)}"
        )
    if isinstance(origin, Generated):
        return GeneratedDataset(description, split, origin)
    listing = _list(description, origin, places, split)
    faults = listing.faults()
    if paired and faults:
        more = f" (and {len(faults) - 1} more kinds of fault)" if len(faults) > 1 else ""
        raise DataError(f"{description.name}, split {split}: {faults[0]}{more}")
    return FileDataset(description, split, listing, max_pixels)


def size_mismatch(image: Path, seen: Sequence[int], mask: Path, labelled: Sequence[int]) -> str:
    """The line for an image and a mask of different size."""
    return (
        f"{image} is {seen[0]} x {seen[1]} (height x width) but {mask} is {labelled[0]} x "
        f"{labelled[1]}: both must show the same pixels; export the mask in the image's size"
    )


def find_dataset(
    name_or_dir: str | Path, root: str | Path | None = None
) -> tuple[Description, list[Path]]:
    """What a dataset is, and the root folders to try in turn."""
    name = str(name_or_dir)
    below = Path(root).expanduser() if root is not None else None
    if name == "folder":
        if below is None:
            raise UsageError("dataset folder needs a root: dataset.root=DIR, where your images lie")
        return describe_folder(below), [below]
    file = description_file(name)
    if file is None:
        folder = Path(name_or_dir).expanduser()
        if not folder.is_dir():
            raise DataError(_no_such_dataset(name))
        return describe_folder(folder), [below or folder]
    description = read_description(file)
    if below is not None or isinstance(description.origin, Generated):
        return description, [below] if below else []
    variable = description.origin.root_env
    if variable and os.environ.get(variable):
        return description, [Path(os.environ[variable]).expanduser()]
    checkout = Path(__file__).resolve().parents[2]
    return description, [Path("data") / name, checkout / "data" / name]


def _list(description: Description, origin: Files, places: list[Path], split: str) -> Listing:
    folders = list(origin.splits.values())
    place = next((p for p in places if has_images(p, origin.layouts, folders)), places[0])
    try:
        return list_split(place, origin.layouts, origin.splits[split])
    except DataError as fault:
        variable = f" or set ${origin.root_env}" if origin.root_env else ""
        raise DataError(
            f"{description.name}, split {split}: {fault}; give the folder that holds it "
            f"(dataset.root=DIR, --root DIR){variable}"
        ) from None


def _no_such_dataset(name: str) -> str:
    known = known_names()
    near = difflib.get_close_matches(name, known, n=1)
    mend = f"did you mean {near[0]}?" if near else f"known names are {', '.join(known)}"
    return f"{name!r} is neither a dataset nor a folder; {mend}"
