"""The confusion matrix of groups of classes, from that of the classes.

The category scores of Cityscapes follow from it (cityscapesScripts 2.3.0, getIouScoreForCategory of
evaluation/evalPixelLevelSemanticLabeling.py): a pixel that is taken for another class of its own
category is right, and the category mIoU is the mean of the IoU of this matrix. Pixels whose truth
is ignored count nowhere, though the official table gives some of them a category (parking is flat,
a caravan a vehicle); void is no category, since all that it holds is ignored.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, Integer
from numpy import ndarray


def merged(
    confusion: Integer[ndarray, "*images K K"], groups: Sequence[Sequence[int]]
) -> Int64[ndarray, "*images G G"]:
    """Sum the blocks of matrices of pixels (rows the truth), so that each group is one class.

    Args:
        confusion: one matrix, or a stack of them.
        groups: the class indices of each group; each class stands in one of them, once
            (`LabelMap.categories.values()`).

    Raises:
        ValueError: a class stands in no group or in two: its pixels would be lost or count twice.
    """
    classes = confusion.shape[-1]
    listed = sorted(index for group in groups for index in group)
    if listed != list(range(classes)) or not all(groups):
        raise ValueError(
            f"groups must hold each of the classes 0 to {classes - 1} once, got "
            f"{[list(group) for group in groups]}"
        )
    member = np.zeros((len(groups), classes), np.int64)
    for number, group in enumerate(groups):
        member[number, list(group)] = 1
    return member @ confusion.astype(np.int64) @ member.T
