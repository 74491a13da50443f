"""Every score that a confusion matrix of a dataset says.

The mIoU here is that of the segmentation benchmarks: pixels are summed over all images first, then
one IoU per class, then the mean over the classes that occur (Everingham et al., the VOC challenge,
2010). An average of per-image IoUs is a different, usually lower or higher, number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


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

    @property
    def hits(self) -> NDArray[np.int64]:
        """Rightly predicted pixels of each class."""
        return np.diagonal(self.confusion)

    @property
    def pixels(self) -> NDArray[np.int64]:
        """True pixels of each class."""
        return self.confusion.sum(axis=1)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Predicted pixels of each class."""
        return self.confusion.sum(axis=0)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class; NaN for one in neither truth nor prediction."""
        return self._of_scored(_ratio(self.hits, self.pixels + self.predicted - self.hits))

    @property
    def dice(self) -> NDArray[np.float64]:
        """2 x intersection over the sum of both areas (= F1); NaN as for `iou`."""
        return self._of_scored(_ratio(2 * self.hits, self.pixels + self.predicted))

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Share of each class's true pixels that were found (recall); NaN without true pixels."""
        return _ratio(self.hits, self.pixels)

    @property
    def miou(self) -> float:
        """Mean IoU over the `counted` classes; NaN when there are none."""
        return _mean(self.iou)

    @property
    def mean_accuracy(self) -> float:
        """Mean `accuracy` over the classes with true pixels; NaN when there are none."""
        return _mean(self.accuracy)

    @property
    def pixel_accuracy(self) -> float:
        """Share of all counted pixels that are right; NaN when none was counted."""
        return float(_ratio(self.hits.sum(), self.confusion.sum()))

    @property
    def counted(self) -> int:
        """How many classes the mean IoU runs over: those in the truth or in the prediction."""
        return int(np.isfinite(self.iou).sum())

    def _of_scored(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values if self.scored is None else np.where(self.scored, values, np.nan)

    def to_plain(self, names: Sequence[str]) -> dict[str, Any]:
        """The scores as metrics.json holds them; null (None) where nothing can be said."""
        if len(names) != len(self.confusion):
            raise ValueError(f"{len(self.confusion)} classes need as many names, got {len(names)}")
        per_class = zip(names, self.iou, self.accuracy, self.pixels, strict=True)
        return {
            "miou": _or_none(self.miou),
            "counted": self.counted,
            "pixel_accuracy": _or_none(self.pixel_accuracy),
            "mean_accuracy": _or_none(self.mean_accuracy),
            "pixels": int(self.confusion.sum()),
            "classes": [
                {"name": name, "iou": _or_none(iou), "accuracy": _or_none(found), "pixels": int(n)}
                for name, iou, found, n in per_class
            ],
            "confusion": self.confusion.tolist(),
        }


def _ratio(part: Any, whole: Any) -> NDArray[np.float64]:
    """Part / whole in float64, NaN (and no warning) where the whole is nothing."""
    whole = np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of the finite values, NaN (and no warning) when there are none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
