"""Whether a confidence of 0.9 is right nine times out of ten, and what mends it.

The confidence of a pixel is the probability of its predicted class. Expected calibration error, the
reliability curve and the temperature are those of Guo et al., "On calibration of modern neural
networks", ICML 2017 (section 2, equations 2, 3 and 5; section 4.2), over pixels. What is counted is
whole numbers: sums over images do not depend on their order.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int64, Integer, UInt8, UInt64
from numpy import ndarray
from scipy.optimize import minimize_scalar

from effunet.labels import IGNORE
from effunet.metrics.confusion import joint_counts
from effunet.metrics.ratio import ratio

BINS = 15
"""Bins of equal width, as in Guo et al.; each holds its lower edge, the last one 1.0 too."""

UNIT = 2**20
"""Confidences are summed in whole units of 1 / UNIT, to which each is rounded."""

LEVELS = 1024
"""Thresholds are told apart by 1 / LEVELS."""

PIXELS = 200_000
"""So many pixels at most are kept for a temperature, and twice as many on the way."""

VALUES = 2**24
"""So many log-probabilities at most: with 84 classes or more, fewer pixels are kept."""

COLDEST, HOTTEST = 0.05, 20.0
"""The temperatures between which one is sought."""

_AT_ONCE = 2**22  # pixels, of which bincount makes copies of 8 bytes each
_ROUNDED = 1e-4  # how far an average of float32 probabilities may lie above 1


def reliability_counts(
    confidence: Float32[ndarray, "H W"],
    predicted: UInt8[ndarray, "H W"],
    truth: UInt8[ndarray, "H W"],
) -> Int64[ndarray, "3 15"]:
    """Count pixels, right pixels, and confidences in whole 1 / UNIT, by bins of confidence.

    Args:
        confidence: the predicted class's probability, 0..1.
        predicted: class indices.
        truth: class indices, 255 where a pixel is not counted.

    Raises ValueError for a confidence outside of 0..1, or none (NaN).
    """
    counts = np.zeros((3, BINS), np.int64)
    planes = [np.ravel(plane) for plane in (_checked(confidence), predicted == truth, truth)]
    for first in range(0, truth.size, _AT_ONCE):
        sure, hit, true = (plane[first : first + _AT_ONCE] for plane in planes)
        bins = np.minimum(sure * np.float32(BINS), BINS - 1).astype(np.uint8)
        bins[true == IGNORE] = BINS
        wrong, right = joint_counts(hit.view(np.uint8)[None], bins[None])[:2, :BINS]
        # A power of two: the product is exact in float32, and so is the sum in float64.
        units = np.rint(sure * np.float32(UNIT))
        sums = np.bincount(bins, units, minlength=BINS + 1)[:BINS]
        counts += np.stack([wrong + right, right, sums.astype(np.int64)])
    return counts


def expected_calibration_error(counts: Integer[ndarray, "... 3 15"]) -> Float64[ndarray, "..."]:
    """Mean distance of accuracy and confidence over bins, weighted by their pixels; 0..1.

    NaN where nothing was counted.
    """
    pixels, right, units = np.moveaxis(counts.astype(np.float64), -2, 0)
    return ratio(np.abs(right - units / UNIT).sum(-1), pixels.sum(-1))


def reliability_curve(
    counts: Integer[ndarray, "... 3 15"],
) -> tuple[Float64[ndarray, "... 15"], Float64[ndarray, "... 15"]]:
    """Mean confidence and accuracy of each bin; NaN for an empty one."""
    pixels, right, units = np.moveaxis(counts.astype(np.float64), -2, 0)
    return ratio(units / UNIT, pixels), ratio(right, pixels)


class TemperatureFit:
    """Pixels of a validation split, and the temperature that fits them.

    Each image gives a sample of its counted pixels, each with a random number; its index alone
    decides on both. Of all samples those PIXELS (or fewer: VALUES) with the lowest numbers are
    kept: an even sample, that neither the order nor the number of processes changes.
    """

    def __init__(self, classes: int, pixels_an_image: int = 2000):
        """Take up to `pixels_an_image` pixels of each image."""
        if classes < 2 or pixels_an_image < 1:
            raise ValueError(
                "a temperature needs 2 classes and 1 pixel an image at least, "
                f"got {classes} and {pixels_an_image}"
            )
        self.classes = classes
        self.pixels_an_image = pixels_an_image
        self.limit = min(PIXELS, VALUES // classes)
        self._logs = np.zeros((0, classes), np.float32)
        self._tickets = np.zeros((0, 2), np.uint64)  # random number, true class
        self._waiting: list[tuple[ndarray, ndarray]] = []

    def add(
        self, probabilities: Float32[ndarray, "K H W"], truth: UInt8[ndarray, "H W"], index: int
    ) -> None:
        """Sample one image.

        Args:
            probabilities: of each class, 0..1, before any temperature.
            truth: class indices, 255 where a pixel is not counted.
            index: the image's in its split, 0 or more; no two images may share one.

        Raises ValueError for another number of classes, or a truth that is none of them.
        """
        classes = self.classes
        if len(probabilities) != classes:
            raise ValueError(f"probabilities are of {classes} classes, got {len(probabilities)}")
        places = np.flatnonzero(truth != IGNORE)
        draw = np.random.default_rng(index)
        if len(places) > self.pixels_an_image:
            places = np.sort(draw.choice(places, self.pixels_an_image, replace=False))
        labels = truth.ravel()[places]
        if labels.size and labels.max() >= classes:
            raise ValueError(f"truth holds class index {labels.max()}, of {classes} classes")
        numbers = draw.integers(2**64, size=len(places), dtype=np.uint64)
        rows, columns = np.divmod(places, truth.shape[1])
        logs = np.log(np.maximum(probabilities[:, rows, columns].T, np.finfo(np.float32).tiny))
        self.merge((logs, np.stack([numbers, labels.astype(np.uint64)], 1)))

    def state(self) -> tuple[Float32[ndarray, "n K"], UInt64[ndarray, "n 2"]]:
        """What was sampled so far, for `merge` of another process's fit."""
        if self._waiting:
            logs, tickets = zip((self._logs, self._tickets), *self._waiting, strict=True)
            self._waiting = []
            tickets = np.concatenate(tickets)
            order = np.argsort(tickets[:, 0], kind="stable")[: self.limit]
            self._logs, self._tickets = np.concatenate(logs)[order], tickets[order]
        return self._logs, self._tickets

    def merge(self, state: tuple[Float32[ndarray, "n K"], UInt64[ndarray, "n 2"]]) -> None:
        """Add what another process sampled, in any order."""
        self._waiting.append(state)
        # Sorting at every image would cost more than sampling it.
        if sum(len(tickets) for _, tickets in self._waiting) > self.limit:
            self.state()

    def fit(self) -> float:
        """Return the T in 0.05..20 for which softmax(log p / T) makes the truth likeliest.

        The loss is convex in 1 / T, so there is one best T.

        Raises ValueError if no pixel was added.
        """
        found = minimize_scalar(
            lambda log: self.loss(float(np.exp(log))),
            bounds=(np.log(COLDEST), np.log(HOTTEST)),
            method="bounded",
            options={"xatol": 1e-6},
        )
        return float(np.exp(found.x))

    def loss(self, temperature: float) -> float:
        """Mean negative log-likelihood of the kept pixels' truth at a temperature.

        Raises ValueError if no pixel was added.
        """
        logs, tickets = self.state()
        if not len(logs):
            raise ValueError("no counted pixel was added: a temperature needs some, on val")
        total = 0.0
        for first in range(0, len(logs), 2**14):
            part = slice(first, first + 2**14)
            scaled = logs[part].astype(np.float64) / temperature
            scaled -= scaled.max(1, keepdims=True)
            of_truth = np.take_along_axis(scaled, tickets[part, 1:].astype(np.intp), 1)
            total += float(np.log(np.exp(scaled).sum(1)).sum() - of_truth.sum())
        return total / len(logs)


class ThresholdFit:
    """Histograms of class 1's probability, and the threshold that gives the highest mIoU.

    A pixel is class 1 where its probability is the threshold or more.
    """

    counts: Int64[ndarray, "2 1024"]
    """Pixels by (true class, whole 1024ths of the probability); sums over processes."""

    def __init__(self):
        self.counts = np.zeros((2, LEVELS), np.int64)

    def add(self, foreground: Float32[ndarray, "H W"], truth: UInt8[ndarray, "H W"]) -> None:
        """Count one image: class 1's probability 0..1, and the truth: 0, 1, or 255 (not counted).

        Raises ValueError for a probability outside of 0..1, or another truth.
        """
        known = truth != IGNORE
        labels = truth[known]
        if labels.size and labels.max() > 1:
            raise ValueError(f"a threshold is for classes 0 and 1, truth holds {labels.max()}")
        levels = np.minimum(_checked(foreground)[known] * np.float32(LEVELS), LEVELS - 1)
        both = levels.astype(np.uint16) + labels * np.uint16(LEVELS)
        self.counts += np.bincount(both, minlength=2 * LEVELS).reshape(2, LEVELS)

    def fit(self) -> float:
        """Return the threshold, a multiple of 1/1024 within 0..1, of the highest mIoU.

        Of equally good ones the nearest to 0.5. Raises ValueError if no pixel was added.
        """
        scores = self._mious()
        best = 1 + np.flatnonzero(scores >= scores.max() - 1e-12)
        return float(min(best, key=lambda level: abs(level - LEVELS / 2))) / LEVELS

    def miou(self, threshold: float) -> float:
        """Dataset mIoU, 0..1, at a threshold, a multiple of 1/1024 between 0 and 1 (without them).

        Raises ValueError for another threshold, or if no pixel was added.
        """
        level = threshold * LEVELS
        if level != int(level) or not 0 < level < LEVELS:
            raise ValueError(f"a threshold is a multiple of 1/{LEVELS} in 0..1, got {threshold}")
        return float(self._mious()[int(level) - 1])

    def _mious(self) -> Float64[ndarray, " levels"]:
        """The mIoU at 1/1024, 2/1024, ... 1023/1024, over classes in truth or prediction."""
        if not self.counts.any():
            raise ValueError("no counted pixel was added: a threshold needs some, on val")
        below = np.cumsum(self.counts, axis=1)[:, :-1]
        above = self.counts.sum(1, keepdims=True) - below
        background = ratio(below[0], below[0] + above[0] + below[1])
        foreground = ratio(above[1], below[1] + above[1] + above[0])
        return np.nanmean([background, foreground], axis=0)


def _checked(values: Float32[ndarray, "H W"]) -> Float32[ndarray, "H W"]:
    """The values, those that float32 made larger than 1 as 1; raises ValueError for others."""
    if not values.size:
        return values
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1 + _ROUNDED):
        raise ValueError(f"probabilities lie in 0..1, got {low:g} to {high:g}")
    return np.minimum(values, np.float32(1)) if high > 1 else values
