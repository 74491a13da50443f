"""Predicted and true masks in, one confusion matrix of a dataset out.

`confusion` counts one image in numpy, `ConfusionMatrix` batches on any device.
"""

import cv2
import numpy as np
import torch
from jaxtyping import Int64, UInt8
from numpy import ndarray
from torch import Tensor
from torchmetrics import Metric

from effunet.labels import IGNORE
from effunet.tensors import Mask

_EXACT = 2**24
"""OpenCV hands its counts out as float32, which is exact up to this many pixels at once."""


def confusion(
    truth: UInt8[ndarray, "H W"], predicted: UInt8[ndarray, "H W"], classes: int
) -> Int64[ndarray, "K K"]:
    """Count pixels by (true class, predicted class); a truth of 255 (IGNORE) is not counted.

    Raises ValueError for different shapes or an index that is no class, in either mask, also where
    the truth is ignored.
    """
    pairs = joint_counts(truth, predicted)
    # Whatever is no class stands in rows and columns of its own: the check reads no pixel again.
    check_indices("truth", np.delete(pairs.sum(1), IGNORE), classes)
    check_indices("prediction", pairs.sum(0), classes)
    return pairs[:classes, :classes].copy()


def joint_counts(
    rows: UInt8[ndarray, "H W"], columns: UInt8[ndarray, "H W"]
) -> Int64[ndarray, "256 256"]:
    """Count pixels by the values of two planes: [r, c] is how many hold r in one, c in the other.

    Raises ValueError for different shapes.
    """
    if rows.shape != columns.shape:
        raise ValueError(
            f"two masks of one image must have one shape, got {rows.shape} and {columns.shape}"
        )
    counts = np.zeros(256 * 256, np.int64)
    row_values, column_values = np.ravel(rows), np.ravel(columns)
    for start in range(0, rows.size, _EXACT):
        part = slice(start, start + _EXACT)
        # Two bytes side by side are one number of 16 bits (the lower byte first on every machine
        # that OpenCV has wheels for), and OpenCV counts those faster than any bincount.
        both = cv2.merge([column_values[part], row_values[part]]).view(np.uint16)
        histogram = cv2.calcHist([both.reshape(1, -1)], [0], None, [counts.size], [0, counts.size])
        counts += histogram.ravel().astype(np.int64)
    return counts.reshape(256, 256)


def check_indices(what: str, pixels: Int64[ndarray, " n"], classes: int) -> None:
    """Raise ValueError where pixels were counted of an index that is no class.

    Args:
        what: the mask that is checked, for the message.
        pixels: of each index from 0 on; IGNORE's only where it is not allowed.
        classes: how many classes there are, 1 to 255.
    """
    if not 1 <= classes <= IGNORE:
        raise ValueError(f"there are 1 to {IGNORE} classes, got {classes}")
    if pixels[classes:].any():
        found = classes + int(np.flatnonzero(pixels[classes:])[0])
        allowed = f"{classes} classes are 0 to {classes - 1}"
        raise ValueError(
            f"{what} holds class index {found}, but {allowed} (and {IGNORE} for ignored truth)"
        )


class ConfusionMatrix(Metric):
    """Counts pixels in int64, rows the truth, columns the prediction; sums over processes."""

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    matrix: Tensor

    def __init__(self, classes: int, ignore_index: int = IGNORE):
        """Count `classes` classes; pixels whose truth is `ignore_index` are never counted."""
        super().__init__()
        if classes < 1:
            raise ValueError(f"a confusion matrix needs at least 1 class, got {classes}")
        self.classes = classes
        self.ignore_index = ignore_index
        self.add_state(
            "matrix", torch.zeros(classes, classes, dtype=torch.int64), dist_reduce_fx="sum"
        )

    def update(self, prediction: Mask, target: Mask) -> None:
        """Add one batch; both hold class indices, the target may hold ignore_index too.

        Raises ValueError for different shapes or an index that is no class.
        """
        if prediction.shape != target.shape:
            raise ValueError(
                f"prediction and target must have one shape, "
                f"got {tuple(prediction.shape)} and {tuple(target.shape)}"
            )
        if target.numel() == 0:
            return
        predicted = prediction.flatten().long()
        truth = target.flatten().long()
        # Ignored pixels get a row of their own, cut off below: cheaper than picking the others out.
        rows = truth.where(truth != self.ignore_index, self.classes)
        self._check("prediction", predicted, self.classes - 1)
        self._check("target", rows, self.classes)
        counts = torch.bincount(
            rows * self.classes + predicted, minlength=(self.classes + 1) * self.classes
        )
        self.matrix += counts.view(self.classes + 1, self.classes)[:-1]

    def compute(self) -> Tensor:
        """The K x K counts so far, of all processes."""
        return self.matrix

    def set_dtype(self, dst_type: str | torch.dtype) -> "ConfusionMatrix":
        """Stay int64: a float32 count stops growing at 2^24 = 16 777 216 pixels."""
        return self

    def _check(self, what: str, indices: Tensor, highest: int) -> None:
        low, high = (int(bound) for bound in indices.aminmax())
        if low < 0 or high > highest:
            raise ValueError(
                f"{what} holds class index {low if low < 0 else high}, "
                f"but {self.classes} classes are 0 to {self.classes - 1} "
                f"(and {self.ignore_index} for ignored truth)"
            )
