"""Every score that a confusion matrix of a dataset says.

The mIoU here is that of the segmentation benchmarks: pixels are summed over all images first, then
one IoU per class, then the mean over the classes that occur (Everingham et al., the VOC challenge,
2010). An average of per-image IoUs is a different, usually lower or higher, number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from numpy.typing import NDArray
from torch import Tensor

from effunet.metrics import areas


@dataclass(frozen=True, eq=False)
class Scores:
    """What a confusion matrix says: fractions 0..1 in float64; NaN where nothing can be said."""

    confusion: NDArray[np.int64]
    """Pixels by (true class, predicted class)."""
    scored: tuple[bool, ...] | None = None
    """Whether the truth can hold each class; None: all. One that it cannot hold has no score,
    but a pixel that is taken for it is still an error of its true class."""

    @classmethod
    def from_confusion(
        cls, matrix: NDArray[Any] | Tensor, scored: tuple[bool, ...] | None = None
    ) -> "Scores":
        """Read a K x K matrix of counts, rows the truth."""
        counts = np.asarray(matrix.cpu() if isinstance(matrix, Tensor) else matrix)
        if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
            raise ValueError(f"a confusion matrix is square, got shape {counts.shape}")
        if not np.issubdtype(counts.dtype, np.integer):
            raise ValueError(f"a confusion matrix holds whole counts, got {counts.dtype}")
        return cls(counts.astype(np.int64), scored)

    @cached_property
    def areas(self) -> Int64[ndarray, "3 K"]:
        """Rightly predicted, true and predicted pixels of each class."""
        return areas.areas_of(self.confusion)

    @property
    def hits(self) -> Int64[ndarray, " K"]:
        """Rightly predicted pixels of each class."""
        return self.areas[0]

    @property
    def pixels(self) -> Int64[ndarray, " K"]:
        """True pixels of each class."""
        return self.areas[1]

    @property
    def predicted(self) -> Int64[ndarray, " K"]:
        """Predicted pixels of each class."""
        return self.areas[2]

    @property
    def iou(self) -> Float64[ndarray, " K"]:
        """Intersection over union of each class; NaN for one in neither truth nor prediction."""
        return self._of_scored(areas.iou(self.areas))

    @property
    def dice(self) -> Float64[ndarray, " K"]:
        """2 x intersection over the sum of both areas (= F1); NaN as for `iou`."""
        return self._of_scored(areas.dice(self.areas))

    @property
    def accuracy(self) -> Float64[ndarray, " K"]:
        """Share of each class's true pixels that were found (recall); NaN without true pixels."""
        return areas.accuracy(self.areas)

    @property
    def precision(self) -> Float64[ndarray, " K"]:
        """Share of each class's predicted pixels that are right; NaN without predicted pixels."""
        return areas.precision(self.areas)

    @property
    def miou(self) -> float:
        """Mean IoU over the `counted` classes; NaN when there are none."""
        return float(areas.mean(self.iou))

    @property
    def mean_accuracy(self) -> float:
        """Mean `accuracy` over the classes with true pixels; NaN when there are none."""
        return float(areas.mean(self.accuracy))

    @property
    def mean_dice(self) -> float:
        """Mean `dice` over the classes that have one; NaN when there are none."""
        return float(areas.mean(self.dice))

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean IoU, each class weighted by its share of the true pixels; NaN without pixels."""
        return float(areas.frequency_weighted(self.iou, self.areas))

    @property
    def pixel_accuracy(self) -> float:
        """Share of all counted pixels that are right; NaN when none was counted."""
        return float(areas.pixel_accuracy(self.areas))

    @property
    def counted(self) -> int:
        """How many classes the mean IoU runs over: those in the truth or in the prediction."""
        return int(np.isfinite(self.iou).sum())

    def _of_scored(self, values: Float64[ndarray, " K"]) -> Float64[ndarray, " K"]:
        return values if self.scored is None else np.where(self.scored, values, np.nan)

    def to_plain(self, names: Sequence[str]) -> dict[str, Any]:
        """The scores as metrics.json holds them; null (None) where nothing can be said."""
        if len(names) != len(self.confusion):
            raise ValueError(f"{len(self.confusion)} classes need as many names, got {len(names)}")
        per_class = zip(
            names, self.iou, self.accuracy, self.precision, self.dice, *self.areas[1:], strict=True
        )
        return {
            "miou": or_none(self.miou),
            "counted": self.counted,
            "frequency_weighted_iou": or_none(self.frequency_weighted_iou),
            "pixel_accuracy": or_none(self.pixel_accuracy),
            "mean_accuracy": or_none(self.mean_accuracy),
            "mean_dice": or_none(self.mean_dice),
            "pixels": int(self.confusion.sum()),
            "classes": [
                {
                    "name": name,
                    "iou": or_none(iou),
                    "accuracy": or_none(found),
                    "precision": or_none(right),
                    "dice": or_none(dice),
                    "pixels": int(true),
                    "predicted": int(taken),
                }
                for name, iou, found, right, dice, true, taken in per_class
            ],
            "confusion": self.confusion.tolist(),
        }


def or_none(value: float) -> float | None:
    """The value, None where it is not finite: JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
