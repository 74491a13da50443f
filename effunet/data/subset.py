"""A few samples of a dataset as a dataset: some of its indices, or their middles held in memory."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Integer, Shaped, UInt8

from effunet.data.augment.presets import GREY
from effunet.data.dataset import Dataset, Sample
from effunet.labels import IGNORE, IndexMask


def evenly(whole: int, count: int) -> list[int]:
    """At most `count` of the indices below `whole`, evenly spread: the middles of equal parts."""
    count = min(count, whole)
    return [(2 * place + 1) * whole // (2 * count) for place in range(count)]


class Wrapped(Dataset):
    """Samples of another dataset, `whole`, which says what is known of them."""

    whole: Dataset

    def place(self, index: int) -> int:
        """The index of a sample in the whole."""
        return index

    @property
    def scored(self) -> tuple[bool, ...] | None:
        """As of the whole."""
        return self.whole.scored

    @property
    def instance_sizes(self) -> Mapping[str, float]:
        """As of the whole."""
        return self.whole.instance_sizes

    @property
    def has_instances(self) -> bool:
        """As of the whole."""
        return self.whole.has_instances

    def instances(self, index: int) -> Integer[np.ndarray, "H W"] | None:
        """Which instance each pixel of a sample belongs to; None where nothing says it."""
        return self.whole.instances(self.place(index))

    def image_path(self, index: int) -> Path | None:
        """The file that the image is read from; None where it is made."""
        return self.whole.image_path(self.place(index))

    def mask_path(self, index: int) -> Path | None:
        """The file that the mask is read from; None where it is made."""
        return self.whole.mask_path(self.place(index))


class Subset(Wrapped):
    """Chosen samples of another dataset, under their own names; a part of a part is one."""

    def __init__(self, whole: Dataset, indices: Sequence[int]) -> None:
        if type(whole) is Subset:
            whole, indices = whole.whole, [whole.indices[index] for index in indices]
        super().__init__(
            whole.name,
            whole.split,
            whole.labels,
            [whole.ids[index] for index in indices],
            whole.pixels,
            whole.notices,
        )
        self.whole = whole
        self.indices = tuple(indices)

    def __getitem__(self, index: int) -> Sample:
        return self.whole[self.indices[index]]

    @property
    def weights(self) -> Float32[np.ndarray, " N"] | None:
        """Those of the chosen samples; None: all alike, as also where none would ever be drawn."""
        if self.whole.weights is None:
            return None
        chosen = self.whole.weights[list(self.indices)]
        return chosen if chosen.any() else None

    def read_image(self, index: int) -> UInt8[np.ndarray, "H W C"]:
        """The image of a sample without its mask."""
        return self.whole.read_image(self.indices[index])

    def read_mask(self, index: int) -> IndexMask:
        """The mask of a sample without its image."""
        return self.whole.read_mask(self.indices[index])

    def place(self, index: int) -> int:
        """The index of a sample in the whole."""
        return self.indices[index]


class Middles(Subset):
    """The middle of each chosen sample, cut or filled to one size; read once and then kept."""

    def __init__(self, whole: Dataset, indices: Sequence[int], size: tuple[int, int]) -> None:
        """`size` is (height, width); what lies outside an image is grey and ignored."""
        super().__init__(whole, indices)
        self.size = size
        self.held: dict[int, Sample] = {}

    @property
    def weights(self) -> None:
        """None: each is learnt as much as the others."""
        return None

    @property
    def has_instances(self) -> bool:
        """No: what is cut off an instance is missing from its size."""
        return False

    def instances(self, index: int) -> None:
        """None, as has_instances says."""

    def read_image(self, index: int) -> UInt8[np.ndarray, "H W C"]:
        """The middle of the image."""
        return self[index].image

    def read_mask(self, index: int) -> IndexMask:
        """The middle of the mask."""
        return self[index].mask

    def __getitem__(self, index: int) -> Sample:
        if index not in self.held:
            sample = super().__getitem__(index)
            self.held[index] = Sample(
                _middle(sample.image, self.size, GREY),
                _middle(sample.mask, self.size, IGNORE),
                sample.name,
            )
        return self.held[index]


def _middle(
    pixels: Shaped[np.ndarray, "H W ..."], size: tuple[int, int], fill: int
) -> Shaped[np.ndarray, "h w ..."]:
    """Cut the middle out of what is too long, and fill up round what is too short."""
    parts: list[slice] = []
    edges = [(0, 0)] * pixels.ndim
    for axis, wanted in enumerate(size):
        first = max(0, pixels.shape[axis] - wanted) // 2
        parts.append(slice(first, first + wanted))
        missing = max(0, wanted - pixels.shape[axis])
        edges[axis] = (missing // 2, missing - missing // 2)
    cut = np.pad(pixels[tuple(parts)], edges, constant_values=fill)
    return np.ascontiguousarray(cut)
