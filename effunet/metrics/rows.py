"""One row of whole counts for each image, from whose sums every score of a dataset follows.

Scores of a dataset are functions of sums over its images, so a bootstrap draws images, sums their
rows anew, and asks the same functions. Whole numbers make every sum exact, in whatever order, and
so equal for one process and for many.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Float64, Int64, Integer, UInt8
from numpy import ndarray

from effunet.metrics import areas
from effunet.metrics.boundary import (
    F_SHARE,
    IOU_SHARE,
    band_counts,
    boundary_f,
    boundary_iou,
    contour_counts,
    reach,
)
from effunet.metrics.calibration import BINS, expected_calibration_error, reliability_counts
from effunet.metrics.categories import merged
from effunet.metrics.instances import Things, iiou, instance_counts
from effunet.metrics.ratio import ratio

WEIGHT_UNIT = 2**20
"""Weighted pixels of instances are kept in whole units of one part of a pixel in this many."""

IMAGE_UNIT = 2**32
"""An image's own mIoU is kept in whole units of one part in this many."""

SCALARS = (
    "miou",
    "image_miou",
    "frequency_weighted_iou",
    "pixel_accuracy",
    "mean_accuracy",
    "mean_dice",
    "boundary_iou",
    "boundary_f",
    "ece",
    "category_miou",
    "iiou",
    "category_iiou",
)
"""The scores of a whole dataset, as metrics.json names them."""

Sums = Int64[ndarray, "*R M"]
"""Rows, or sums of rows."""


@dataclass(frozen=True)
class Rows:
    """What stands where in a row, and what sums of rows say."""

    classes: int
    groups: tuple[tuple[int, ...], ...] = ()
    """The class indices of each category."""
    scored: tuple[bool, ...] | None = None
    """Which classes have a score; None: all. One that the truth cannot hold has none."""
    things: Things | None = None
    """Which classes have instances; None: the truth has none."""

    @cached_property
    def places(self) -> dict[str, slice]:
        """The stretch of each kind of count within a row."""
        lengths = {
            "areas": 3 * self.classes,
            "bands": 3 * self.classes,
            "contours": 4 * self.classes,
            "categories": 3 * len(self.groups),
            "things": 3 * len(self.things.counted) if self.things else 0,
            "reliability": 3 * BINS,
            "image": 2,  # the image's mIoU in units, and 1 where it has one
            "holds": self.classes,  # 1 for each class that the truth holds
        }
        ends = np.cumsum([0, *lengths.values()]).tolist()
        stretches = zip(lengths, ends[:-1], ends[1:], strict=True)
        return {name: slice(start, end) for name, start, end in stretches}

    @property
    def length(self) -> int:
        """Numbers in a row."""
        return self.places["holds"].stop

    def of_image(
        self,
        truth: UInt8[ndarray, "H W"],
        predicted: UInt8[ndarray, "H W"],
        confidence: Float32[ndarray, "H W"] | None,
        matrix: Int64[ndarray, "K K"],
        instances: Integer[ndarray, "H W"] | None = None,
    ) -> Int64[ndarray, " M"]:
        """Count one image.

        Args:
            truth: class indices, 255 where nothing is counted.
            predicted: class indices.
            confidence: the probability of the predicted class, 0..1; None: not known.
            matrix: its confusion matrix, rows the truth.
            instances: the ids of its instances, where `things` says that there are any.
        """
        (height, width), own = truth.shape, areas.areas_of(matrix)
        score = areas.mean(self._of_scored(areas.iou(own)))
        has_score = bool(np.isfinite(score))
        counts = {
            "areas": own,
            "bands": band_counts(truth, predicted, self.classes, reach(height, width, IOU_SHARE)),
            "contours": contour_counts(
                truth, predicted, self.classes, reach(height, width, F_SHARE)
            ),
            "categories": areas.areas_of(merged(matrix, self.groups)) if self.groups else [],
            "things": self._instances(truth, predicted, instances),
            "reliability": (
                np.zeros((3, BINS))
                if confidence is None
                else reliability_counts(confidence, predicted, truth)
            ),
            "image": [round(float(score) * IMAGE_UNIT) if has_score else 0, has_score],
            "holds": own[1] > 0,
        }
        row = np.zeros(self.length, np.int64)
        for name, place in self.places.items():
            row[place] = np.asarray(counts[name]).reshape(-1)
        return row

    def scalars(self, sums: Sums) -> Float64[ndarray, "*R S"]:
        """The scores of `SCALARS`, NaN where one has no value."""
        own, ious, of_things = self.areas(sums), self.iou(sums), self.iiou(sums)
        values = [
            areas.mean(ious),
            self.image_scores(sums),
            areas.frequency_weighted(ious, own),
            areas.pixel_accuracy(own),
            areas.mean(areas.accuracy(own)),
            areas.mean(self._of_scored(areas.dice(own))),
            areas.mean(self.boundary_iou(sums)),
            areas.mean(self.boundary_f(sums)),
            expected_calibration_error(self.reliability(sums)),
            areas.mean(self.category_iou(sums)),
            areas.mean(of_things[..., : self.classes]),
            areas.mean(of_things[..., self.classes :]),
        ]
        return np.stack(values, -1)

    def scalars_and_ious(self, sums: Sums) -> Float64[ndarray, "*R T"]:
        """The scores of `SCALARS`, then the IoU of each class: what gets an interval."""
        return np.concatenate([self.scalars(sums), self.iou(sums)], -1)

    def areas(self, sums: Sums) -> Int64[ndarray, "*R 3 K"]:
        """Hits, true pixels and predicted pixels of each class."""
        return self._folded("areas", sums, 3)

    def iou(self, sums: Sums) -> Float64[ndarray, "*R K"]:
        """Intersection over union of each class (Everingham et al. 2010)."""
        return self._of_scored(areas.iou(self.areas(sums)))

    def boundary_iou(self, sums: Sums) -> Float64[ndarray, "*R K"]:
        """IoU of each class within its boundary bands (Cheng et al. 2021)."""
        return self._of_scored(boundary_iou(self._folded("bands", sums, 3)))

    def boundary_f(self, sums: Sums) -> Float64[ndarray, "*R K"]:
        """F measure of each class's contour (Csurka et al. 2013)."""
        return self._of_scored(boundary_f(self._folded("contours", sums, 4)))

    def category_areas(self, sums: Sums) -> Int64[ndarray, "*R 3 G"]:
        """Hits, true pixels and predicted pixels of each category: its classes taken as one."""
        return self._folded("categories", sums, 3)

    def category_iou(self, sums: Sums) -> Float64[ndarray, "*R G"]:
        """Intersection over union of each category."""
        return areas.iou(self.category_areas(sums))

    def iiou(self, sums: Sums) -> Float64[ndarray, "*R N"]:
        """Instance-level IoU of each class, then of each category (Cordts et al. 2016)."""
        weighted = self._folded("things", sums, 3).astype(np.float64)
        return iiou(weighted / WEIGHT_UNIT)

    def reliability(self, sums: Sums) -> Int64[ndarray, "*R 3 b"]:
        """Pixels, right ones and confidence by bins of confidence (calibration.py)."""
        return self._folded("reliability", sums, 3)

    def image_scores(self, sums: Sums) -> Float64[ndarray, "*R"]:
        """The mean of the images' own mIoUs, over classes that each holds or is taken to hold."""
        units, has_score = np.moveaxis(self.take("image", sums), -1, 0)
        return ratio(units, IMAGE_UNIT * has_score)

    def take(self, name: str, sums: Sums) -> Int64[ndarray, "*R n"]:
        """One kind of count, by its name in `places`."""
        return sums[..., self.places[name]]

    def _instances(
        self,
        truth: UInt8[ndarray, "H W"],
        predicted: UInt8[ndarray, "H W"],
        instances: Integer[ndarray, "H W"] | None,
    ) -> Int64[ndarray, "..."]:
        if self.things is None:
            return np.zeros(0, np.int64)
        if instances is None:
            raise ValueError("the split has instances, and none were given for this image")
        weighted = instance_counts(truth, predicted, instances, self.things)
        return np.rint(weighted * WEIGHT_UNIT).astype(np.int64)

    def _folded(self, name: str, sums: Sums, parts: int) -> Int64[ndarray, "*R p n"]:
        taken = self.take(name, sums)
        return taken.reshape(*taken.shape[:-1], parts, taken.shape[-1] // parts)

    def _of_scored(self, values: Float64[ndarray, "*R K"]) -> Float64[ndarray, "*R K"]:
        return values if self.scored is None else np.where(self.scored, values, np.nan)
