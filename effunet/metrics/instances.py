"""The instance-level IoU of Cityscapes, iIoU: each instance counts alike, however large it is.

iIoU = iTP / (iTP + FP + iFN) (Cordts et al., CVPR 2016, section 4.1). iTP and iFN are the found and
the missed pixels of the truth's instances, each weighted by the average size of an instance of its
class over the size of its own; FP are pixels as they are, since a prediction has no instances.

As in cityscapesScripts 2.3.0 (evaluation/evalPixelLevelSemanticLabeling.py): an instance is what
the instance file says, whatever the mask says there. A group that nobody could divide gives neither
iTP nor iFN, and no FP where it is taken for its own class. An instance of an ignored class counts
nowhere. In a category an instance keeps the weight of its class, and is found where any class of
the category is predicted; a category has an iIoU if all its classes have instances.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer, UInt8
from numpy import ndarray

from effunet.labels import IGNORE, LabelMap
from effunet.metrics.categories import merged
from effunet.metrics.ratio import ratio

PER_VALUE = 1000
"""An id of an instance is the raw value of its class times this, plus a number; a smaller id is the
raw value itself: no instance, or a group that nobody could divide."""

MOST_IDS = 2**22
"""Every id is below; Cityscapes' are below 34 000."""


@dataclass(frozen=True)
class Things:
    """Which classes have instances, how large these are, and what stands for them in the files.

    Of N = K + G scores the first K are those of the classes, the others those of the categories.
    """

    classes: int
    sizes: Mapping[int, float]
    """Average pixels of an instance, by class index."""
    owners: Mapping[int, int]
    """The class index of each raw value."""
    groups: tuple[tuple[int, ...], ...] = ()
    """The class indices of each category: each class stands in one; or there are none."""

    @classmethod
    def of(cls, labels: LabelMap, sizes: Mapping[str, float]) -> "Things":
        """The things of a dataset: its own label map, and the average sizes by class name."""
        values = ((v, i) for i, label in enumerate(labels.classes) for v in label.values)
        owners = {value: index for value, index in values if isinstance(value, int)}
        by_index = {labels.names.index(name): size for name, size in sizes.items()}
        return cls(len(labels), by_index, owners, tuple(labels.categories.values()))

    @cached_property
    def counted(self) -> Bool[ndarray, " N"]:
        """Whether each class and category has an iIoU."""
        alone = [index in self.sizes for index in range(self.classes)]
        together = [all(index in self.sizes for index in group) for group in self.groups]
        return np.array(alone + together)

    @cached_property
    def group_of(self) -> Int64[ndarray, " K"]:
        """The place, K and up, of the score of each class's category, where there are groups."""
        places = np.zeros(self.classes, np.int64)
        for place, group in enumerate(self.groups, self.classes):
            places[list(group)] = place
        return places

    def owner(self, ids: Int64[ndarray, " I"]) -> Int64[ndarray, " I"]:
        """The class index of instances; -1 for those of a raw value that no class has."""
        values = ids // PER_VALUE
        owner = np.full(len(ids), -1)
        for value, index in self.owners.items():
            owner[values == value] = index
        return owner


def instance_counts(
    truth: UInt8[ndarray, "H W"],
    predicted: UInt8[ndarray, "H W"],
    instances: Integer[ndarray, "H W"],
    things: Things,
) -> Float64[ndarray, "3 N"]:
    """Count one image: rows iTP, iFN and FP (whole numbers), columns as Things says.

    Counts of several images add up; a column without an iIoU is 0.

    Args:
        truth: class indices, or IGNORE: says where FP are.
        predicted: class indices.
        instances: ids as in the files (PER_VALUE): say where iTP and iFN are.
        things: of the dataset.

    Raises:
        ValueError: an index is no class, or an id is beyond MOST_IDS.
    """
    if predicted.size and predicted.max() >= things.classes:
        raise ValueError(f"predicted holds {predicted.max()}, of {things.classes} classes")
    counts = np.zeros((3, len(things.counted)))
    counts[:2] = _found_and_missed(predicted, instances, things)
    counts[2] = _taken_wrongly(truth, predicted, things)
    counts[:, ~things.counted] = 0
    return counts


def iiou(sums: Float64[ndarray, "*several 3 N"]) -> Float64[ndarray, "*several N"]:
    """The iIoU of each class and category, 0..1, of summed counts; NaN where there is none."""
    return ratio(sums[..., 0, :], sums.sum(axis=-2))


def _found_and_missed(
    predicted: UInt8[ndarray, "H W"], instances: Integer[ndarray, "H W"], things: Things
) -> Float64[ndarray, "2 N"]:
    """The weighted pixels of instances that are predicted as their class, and the others."""
    single = instances >= PER_VALUE
    found, seen = instances[single], predicted[single]
    if len(found) and found.max() >= MOST_IDS:
        raise ValueError(f"ids of instances are below {MOST_IDS}, got {found.max()}")
    # A table of all ids costs a fortieth of sorting the pixels of those that are there.
    table = np.bincount(found)
    ids = np.flatnonzero(table)
    pixels, owner = table[ids], things.owner(ids)
    weights = np.array([things.sizes.get(index, 0.0) for index in owner.tolist()]) / pixels
    goals = [(owner, seen)]
    if things.groups:
        goals.append((things.group_of[owner], things.group_of[seen]))
    counts = np.zeros((2, len(things.counted)))
    for goal, shown in goals:
        wanted = np.zeros(len(table), np.int64)
        wanted[ids] = goal
        hits = np.bincount(found[shown == wanted[found]], minlength=len(table))[ids]
        # Without an average size the weight is 0, also of the owner -1, which is the last place.
        np.add.at(counts[0], goal, hits * weights)
        np.add.at(counts[1], goal, (pixels - hits) * weights)
    return counts


def _taken_wrongly(
    truth: UInt8[ndarray, "H W"], predicted: UInt8[ndarray, "H W"], things: Things
) -> Float64[ndarray, " N"]:
    """Pixels of known truth that are predicted as a class or category that they are not of."""
    wrong = (truth != predicted) & (truth != IGNORE)
    cells = truth[wrong].astype(np.int64) * (IGNORE + 1) + predicted[wrong]
    matrix = np.bincount(cells, minlength=(IGNORE + 1) ** 2).reshape(IGNORE + 1, IGNORE + 1)
    matrix = matrix[: things.classes, : things.classes]
    if matrix.sum() != len(cells):
        raise ValueError(f"truth holds an index that is neither {IGNORE} nor a class")
    if not things.groups:
        return matrix.sum(axis=0).astype(np.float64)
    blocks = merged(matrix, things.groups)
    between = blocks.sum(axis=0) - np.diagonal(blocks)
    return np.concatenate([matrix.sum(axis=0), between]).astype(np.float64)
