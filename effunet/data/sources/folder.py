"""FileDataset: one split whose images and masks are read from files when they are asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import Integer, UInt8
from numpy import ndarray

from effunet.data.dataset import Dataset, Sample
from effunet.data.describe.description import IGNORED, Description
from effunet.data.describe.layouts import Shapes
from effunet.data.files.images import read_image, read_upright_size
from effunet.data.files.masks import read_instances, read_mask
from effunet.data.files.opening import MAX_PIXELS
from effunet.data.sources.listing import Listing, Truth, several, shorten
from effunet.errors import DataError
from effunet.labels import IGNORE, IndexMask
from effunet.values import UnknownValues

if TYPE_CHECKING:
    from effunet.data.shapes.drawing import Drawing


class FileDataset(Dataset):
    """Pairs of an image file and a mask file, or of an image and what is drawn on it."""

    def __init__(
        self,
        description: Description,
        split: str,
        listing: Listing,
        max_pixels: int = MAX_PIXELS,
        place: Path | None = None,
    ) -> None:
        super().__init__(
            description.name,
            split,
            description.labels,
            listing.pairs.names,
            description.pixels,
            (*description.notices, *listing.notices),
        )
        self.listing = listing
        self.description = description
        self.max_pixels = max_pixels
        self.place = place  # the root folder, below which nothing is ever written

    def __getitem__(self, index: int) -> Sample:
        pair = self.listing.pairs[index]
        image = self.read_image(index)
        mask = self.read_mask(index)
        if image.shape[:2] != mask.shape:
            raise DataError(size_mismatch(pair.image, image.shape, pair.mask, mask.shape))
        return Sample(image, mask, pair.name)

    @property
    def weights(self) -> ndarray | None:
        """How often each image is drawn in training, against the others; None: all alike."""
        return self.listing.weights

    @property
    def instance_sizes(self) -> Mapping[str, float]:
        """Average pixels of an instance of each class, as the description says; empty: of none."""
        return self.description.instance_sizes

    @property
    def has_instances(self) -> bool:
        """Whether each image has a file of instances; without any there is no fault.

        Raises:
            DataError: only some of the images have one.
        """
        without = self.listing.without_instances
        if without:
            raise DataError(
                f"{self.name}, split {self.split}: {several(len(without), 'mask')} of "
                f"{len(self)} without a file of instances: {shorten(without, 3)}; add "
                f"{self.listing.instances_wanted}, or move all of these away to do without"
            )
        return self.listing.pairs.have_instances

    def instances(self, index: int) -> Integer[ndarray, "H W"] | None:
        """Which instance each pixel belongs to; None where no image of the split has a file.

        Raises:
            DataError: only some have one; a file that is damaged, or of another size.
        """
        if not self.has_instances:
            return None
        pair = self.listing.pairs[index]
        assert pair.instances is not None
        ids = read_instances(pair.instances, self.max_pixels)
        size = read_upright_size(pair.image, self.max_pixels)
        if ids.shape != size:
            raise DataError(size_mismatch(pair.image, size, pair.instances, ids.shape))
        return ids

    def read_image(self, index: int) -> UInt8[ndarray, "H W C"]:
        """The image of a sample without its mask."""
        return read_image(self.image_path(index), self.pixels, self.max_pixels)

    def read_mask(self, index: int) -> IndexMask:
        """The mask of a sample without its image."""
        try:
            if self.listing.truth is not None:
                return self._painted(self.listing.truth, index)
            file = self.mask_path(index)
            return read_mask(file, self.labels, self.max_pixels, lossy=self.lossy)
        except UnknownValues as fault:
            raise UnknownValues(f"{fault} in {self.description.where}", fault.counts) from None

    def image_path(self, index: int) -> Path:
        """The image file of a sample."""
        return self.listing.pairs[index].image

    def mask_path(self, index: int) -> Path:
        """The file that the mask of a sample is read or drawn from."""
        return self.listing.pairs[index].mask

    def _painted(self, truth: Truth, index: int) -> IndexMask:
        from effunet.data.shapes.formats import FORMATS
        from effunet.data.shapes.paint import paint

        layout, drawing = truth.layout, self._drawing(truth, index)
        # The image's own, so that annotations of another size are told as such.
        size = read_upright_size(self.image_path(index), self.max_pixels)
        return paint(
            drawing,
            size,
            self.labels.meaning,
            _unpainted(layout, self.labels.names),
            layout.paint or FORMATS[layout.format].order,
            layout.crowd,
        )

    def _drawing(self, truth: Truth, index: int) -> "Drawing":
        from effunet.data.shapes.formats import FORMATS

        if truth.annotations is not None and truth.entries is not None:
            return truth.annotations.drawing(int(truth.entries[index]))
        return FORMATS[truth.layout.format].read(self.mask_path(index)).drawing(0)


def size_mismatch(image: Path, seen: Sequence[int], mask: Path, labelled: Sequence[int]) -> str:
    """The line for an image and a mask of different size."""
    return (
        f"{image} is {seen[0]} x {seen[1]} (height x width) but {mask} is {labelled[0]} x "
        f"{labelled[1]}: both must show the same pixels; export the mask in the image's size"
    )


def _unpainted(layout: Shapes, names: tuple[str, ...]) -> int:
    """The class index of pixels that no shape covers."""
    if layout.unpainted == IGNORED:
        return IGNORE
    name = layout.unpainted or "background"
    return names.index(name) if name in names else IGNORE
