"""Dataset: one split of images with masks of class indices, read or made when they are asked for.

The kinds of datasets are in effunet/data/sources; effunet/data/catalog.py opens them by name.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float32, Integer, UInt8
from numpy import ndarray

from effunet.data.files.pixels import Pixels
from effunet.labels import IndexMask, LabelMap


@dataclass(frozen=True)
class Sample:
    """An image, its class indices with IGNORE, and a name unique in its split."""

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
        pixels: Pixels | int = 3,
        notices: Sequence[str] = (),
    ) -> None:
        """`pixels` says what an image's numbers mean, or is its number of channels."""
        self.name, self.split, self.labels = name, split, labels
        self.pixels = Pixels(pixels) if isinstance(pixels, int) else pixels
        self.lossy = labels.rest == "nearest"
        """Whether masks may be in formats that change what they store. It stays where the check
        reads the same samples by a stricter map."""
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

    @property
    def channels(self) -> int:
        """Of every image; 3 is RGB."""
        return self.pixels.channels

    @property
    def weights(self) -> Float32[ndarray, " N"] | None:
        """How often each image is drawn in training, against the others; None: all alike."""
        return None

    @property
    def scored(self) -> tuple[bool, ...] | None:
        """Whether its truth can hold each class; None: it can hold all."""
        return None

    @property
    def instance_sizes(self) -> Mapping[str, float]:
        """Average pixels of an instance, by class name, of the classes that are told apart."""
        return {}

    @property
    def has_instances(self) -> bool:
        """Whether `instances` gives those of every image; DataError where only some have a file."""
        return False

    @property
    def sources(self) -> "tuple[Dataset, ...]":
        """The datasets that it is made of, each in its own classes; itself where it is not."""
        return (self,)

    def read_image(self, index: int) -> UInt8[ndarray, "H W C"]:
        """The image of a sample, without its mask where that saves reading it."""
        return self[index].image

    def read_mask(self, index: int) -> IndexMask:
        """The mask of a sample, without its image where that saves reading it."""
        return self[index].mask

    def instances(self, index: int) -> Integer[ndarray, "H W"] | None:
        """Which instance each pixel of a sample belongs to; None where nothing says it.

        An id of 1000 and more is an instance: the raw value of its class x 1000, and a number. A
        smaller one is the raw value itself: no instance, or a group that nobody could divide.
        """
        return None

    def image_path(self, index: int) -> Path | None:
        """The file that the image is read from; None where it is made."""
        return None

    def mask_path(self, index: int) -> Path | None:
        """The file that the mask is read from; None where it is made."""
        return None
