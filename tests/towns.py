"""Masks in which one class is rare, and where it is."""

import numpy as np

from effunet.data.loading.whereabouts import Whereabouts, rows_of
from effunet.labels import IGNORE


def of_masks(*masks: np.ndarray) -> Whereabouts:
    parts = [rows_of(mask, index) for index, mask in enumerate(masks)]
    starts = np.cumsum([0, *(len(labels) for labels, _, _ in parts)]).astype(np.uint32)
    widths = np.array([mask.shape[1] for mask in masks], np.uint32)
    return Whereabouts(starts, widths, *(np.concatenate(p) for p in zip(*parts, strict=True)))


def town(count=40, size=(40, 60)):
    """Masks of a common class 0, a class 1 in every fifth and a speck of class 2 in two of them."""
    masks = np.zeros((count, *size), np.uint8)
    masks[:, :, -3:] = IGNORE
    for index in range(0, count, 5):
        masks[index, 5:9, 10:30] = 1
    for index in (3, 17):
        masks[index, index, index : index + 2] = 2
    return masks


TOWN = town()
WHERE = of_masks(*TOWN)
