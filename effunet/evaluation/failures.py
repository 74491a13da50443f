"""Where a segmenter fails, to be looked at: worst images, confused classes, doubtful labels.

The counts name the images; those few are predicted once more and drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from numpy import ndarray

from effunet.data.dataset import Dataset
from effunet.evaluation.page.parts import Figure, Panel, Section
from effunet.evaluation.report import Report, most_confused
from effunet.evaluation.table import percent
from effunet.infer import Way, predict_decided
from effunet.labels import LabelMap
from effunet.metrics.boundary import IOU_SHARE, band, reach
from effunet.metrics.regions import SURE, suspect_pixels
from effunet.metrics.tally import Counts
from effunet.pictures.errors import (
    class_errors,
    confidence_map,
    crop_around,
    error_map,
    marked_map,
)
from effunet.pictures.overlay import shown_image
from effunet.predictor import Predictor

WORST, PAIRS, SUSPECTS = 6, 6, 6
"""Figures of each section."""

KEPT = 4
"""Images whose prediction is kept while several figures are drawn of them."""


@dataclass(frozen=True)
class Look:
    """One image with its truth and what was predicted."""

    name: str
    image: UInt8[ndarray, "H W C"]
    truth: UInt8[ndarray, "H W"]
    predicted: UInt8[ndarray, "H W"]
    confidence: Float32[ndarray, "H W"] | None
    labels: LabelMap

    @property
    def near(self) -> int:
        """Distance in pixels up to which a place counts as near a boundary."""
        return reach(self.truth.shape[0], self.truth.shape[1], IOU_SHARE)

    def sure(self) -> tuple[Panel, ...]:
        """How sure the prediction is, where it says so."""
        if self.confidence is None:
            return ()
        return (Panel("confidence", confidence_map(self.confidence), smooth=True),)

    def panels(self, window: tuple[slice, slice]) -> tuple[Panel, ...]:
        """Image, truth and prediction within a window."""
        image, truth, predicted = (
            array[window] for array in (self.image, self.truth, self.predicted)
        )
        return (
            Panel("image", shown_image(image), smooth=True),
            Panel("truth", self.labels.colorize(truth), smooth=False),
            Panel("prediction", self.labels.colorize(predicted), smooth=False),
        )


def sections(
    report: Report, segmenter: Predictor, dataset: Dataset, way: Way | None = None
) -> list[Section]:
    """The sections of figures of a report whose regions were counted."""
    counts = report.counts
    if counts.regions is None:
        raise ValueError("figures need a report with regions: evaluate(..., regions=True)")

    @lru_cache(KEPT)
    def look(index: int) -> Look:
        sample = dataset[index]
        predicted, sure = predict_decided(segmenter, sample.image, way or Way())
        arrays = predicted.cpu().numpy(), sure.cpu().numpy() if segmenter.weighs else None
        return Look(sample.name, sample.image, sample.mask, *arrays, segmenter.labels)

    found = [_worst(counts, look), _confused(counts, look), _suspects(counts, look)]
    return [section for section in found if section.figures]


def _worst(counts: Counts, look: Callable[[int], Look]) -> Section:
    scores = counts.rows.image_scores(counts.table)
    order = np.argsort(scores, kind="stable")  # NaN, an image without a score, comes last
    figures: list[Figure] = []
    worst = _apart(order[np.isfinite(scores[order])], len(scores), WORST)
    for place in worst:
        seen = look(int(counts.images[place]))
        hits, true, predicted = counts.rows.areas(counts.table[place])
        wrong = true + predicted - 2 * hits
        index = int(np.argmax(wrong))
        name = seen.labels.names[index]
        everything = seen.truth.shape
        window = (slice(0, everything[0]), slice(0, everything[1]))
        edge = band(seen.truth, seen.near)
        figures.append(
            Figure(
                seen.name,
                f"mIoU of this image {percent(float(scores[place]))}; most errors have to do with "
                f"{name}: {int(true[index] - hits[index]):,} pixels missed, "
                f"{int(predicted[index] - hits[index]):,} seen where it is not",
                (
                    *seen.panels(window),
                    Panel(
                        "errors",
                        error_map(seen.truth, seen.predicted, edge, seen.image),
                        smooth=False,
                    ),
                    Panel(
                        f"errors of {name}",
                        class_errors(seen.truth, seen.predicted, index, seen.image),
                        smooth=False,
                    ),
                    *seen.sure(),
                ),
            )
        )
    return Section(
        "worst",
        "Worst images",
        "The images with the lowest mIoU of their own, each from another stretch of the split, for "
        "frames of one film fail alike. Errors away from any boundary are mistakes; "
        "those in the band along a boundary are often no more than an unsure outline.",
        tuple(figures),
    )


def _confused(counts: Counts, look: Callable[[int], Look]) -> Section:
    assert counts.regions is not None
    figures: list[Figure] = []
    for truth, predicted in most_confused(counts, PAIRS):
        seen = look(int(counts.regions.examples[truth, predicted]))
        names = seen.labels.names
        pixels = int(counts.confusion[truth, predicted])
        share = pixels / int(counts.confusion[truth].sum())
        wrong = (seen.truth == truth) & (seen.predicted == predicted)
        figures.append(
            Figure(
                f"{names[truth]} taken for {names[predicted]}",
                f"{pixels:,} pixels of the split, {percent(share)} of {names[truth]}; "
                f"here in {seen.name}",
                _closer(seen, wrong),
            )
        )
    return Section(
        "confused",
        "Most confused classes",
        "The pairs with the most wrong pixels, each where it is worst. Where both names fit what "
        "the image shows, the classes' definitions want a look before the network does.",
        tuple(figures),
    )


def _suspects(counts: Counts, look: Callable[[int], Look]) -> Section:
    assert counts.regions is not None
    suspects = counts.regions.suspects
    figures: list[Figure] = []
    order = np.argsort(-suspects, kind="stable")
    for index in _apart(order[suspects[order] > 0], len(suspects), SUSPECTS):
        seen = look(index)
        assert seen.confidence is not None  # without it, none is suspect
        doubtful = suspect_pixels(seen.truth, seen.predicted, seen.confidence, seen.near)
        largest = _largest(doubtful)
        truth, predicted = (
            seen.labels.names[int(np.bincount(mask[largest]).argmax())]
            for mask in (seen.truth, seen.predicted)
        )
        sure = float(seen.confidence[largest].mean())
        figures.append(
            Figure(
                seen.name,
                f"labelled {truth}, predicted {predicted} with {percent(sure)} confidence on "
                f"{int(largest.sum()):,} pixels",
                _closer(seen, largest),
            )
        )
    return Section(
        "suspects",
        "Labels to check",
        "Regions away from any boundary where the network contradicts the truth with at least "
        f"{SURE:.0%} confidence: either a mistake that it is sure of, or a wrong label.",
        tuple(figures),
    )


def _apart(order: Int64[ndarray, " n"], images: int, wanted: int) -> list[int]:
    """The first of these places that do not lie close to one that was taken before."""
    taken: list[int] = []
    for place in order.tolist():
        if all(abs(place - other) > images // (4 * wanted) for other in taken):
            taken.append(place)
    return taken[:wanted]


def _closer(seen: Look, wrong: Bool[ndarray, "H W"]) -> tuple[Panel, ...]:
    """A window round the largest connected region of these pixels, and the pixels in it."""
    rows, columns = (np.flatnonzero(_largest(wrong).any(axis)) for axis in (1, 0))
    place = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    window = crop_around(place, seen.truth.shape)
    drawn = marked_map(wrong[window], seen.truth[window], seen.image[window])
    return (*seen.panels(window), Panel("in question", drawn, smooth=False))


def _largest(mask: Bool[ndarray, "H W"]) -> Bool[ndarray, "H W"]:
    """The largest of the connected regions; the mask holds one."""
    _, regions, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return regions == 1 + int(np.argmax(facts[1:, cv2.CC_STAT_AREA]))
