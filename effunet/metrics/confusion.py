"""Predicted and true masks in, one confusion matrix of a dataset out."""

import torch
from torch import Tensor
from torchmetrics import Metric

from effunet.labels import IGNORE
from effunet.tensors import Mask


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
