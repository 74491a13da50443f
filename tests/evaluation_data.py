"""A small split for the tests of evaluation: coarse scenes that a segmenter partly gets right."""

import numpy as np
from tiny_segmenter import LABELS, random_image

from effunet.data.dataset import Dataset, Sample
from effunet.errors import DataError


class Blocks(Dataset):
    """Images of random blocks, with masks that follow the blocks; one may be unreadable."""

    def __init__(self, count: int = 6, broken: int | None = None) -> None:
        super().__init__("blocks", "val", LABELS, [f"street {i}" for i in range(count)])
        self.broken = broken

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self))[index]
        if index == self.broken:
            raise DataError(f"images/{index}.png is cut: copy it anew")
        size = (48 + 8 * index, 64)
        image = random_image(*size, seed=index)
        mask = (image[..., 0] // 90).clip(0, 2).astype(np.uint8)
        mask[:4] = 255
        return Sample(image, mask, self.ids[index])
