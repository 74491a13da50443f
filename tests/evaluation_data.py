"""A small split for the tests of evaluation: coarse scenes that a segmenter partly gets right."""

from collections.abc import Sequence

import numpy as np
from tiny_segmenter import LABELS, random_image

from effunet.data.dataset import Dataset, Sample
from effunet.errors import DataError
from effunet.evaluation.report import Report
from effunet.evaluation.split import report_of, tally_of
from effunet.labels import IGNORE, LabelMap


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


def counted(dataset: Dataset, predictions: Sequence[np.ndarray]) -> Report:
    """What `evaluate` says of a network that predicts exactly this, with full confidence."""
    tally = tally_of(dataset)
    for index, (sample, guess) in enumerate(zip(dataset, predictions, strict=True)):
        tally.add(index, sample.mask, guess, np.ones(guess.shape, np.float32))
    return report_of(tally.counts(), dataset, resamples=0)


class Stored(Dataset):
    """Masks alone, one image each."""

    def __init__(self, masks: Sequence[np.ndarray], labels: LabelMap = LABELS) -> None:
        super().__init__("stored", "test", labels, [str(place) for place in range(len(masks))])
        self.masks = masks

    def __getitem__(self, index: int) -> Sample:
        mask = self.masks[index]
        return Sample(np.zeros((*mask.shape, 3), np.uint8), mask, self.ids[index])


def of_matrix(matrix: Sequence[Sequence[int]], labels: LabelMap = LABELS) -> Report:
    """The report of two images whose pixels have this confusion matrix, rows the truth."""
    counts = np.array(matrix)
    truth, predicted = (
        indices.repeat(counts.ravel()).astype(np.uint8)[None]
        for indices in np.indices(counts.shape).reshape(2, -1)
    )
    half = -(-truth.shape[1] // 2)
    parts = [(mask[:, :half], mask[:, half:]) for mask in (truth, predicted)]
    # An image without pixels is none: one whose only pixel is ignored counts as little.
    none = np.full((1, 1), IGNORE, np.uint8)
    masks = [mask if mask.size else none for mask in parts[0]]
    guesses = [mask if mask.size else none * 0 for mask in parts[1]]
    return counted(Stored(masks, labels), guesses)
