"""What was counted, where and how: every number under its full name, and metrics.json."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from effunet import artifact
from effunet.infer import WHOLE
from effunet.labels import LabelMap
from effunet.metrics.bootstrap import LEVEL, RESAMPLES, interval
from effunet.metrics.boundary import F_SHARE, IOU_SHARE
from effunet.metrics.calibration import BINS, reliability_curve
from effunet.metrics.instances import Things
from effunet.metrics.regions import DISTANCES, SIZES
from effunet.metrics.rows import SCALARS
from effunet.metrics.scores import Scores, or_none
from effunet.metrics.tally import Counts

CONFUSED = 12
"""Pairs of classes that metrics.json names as the most confused."""


@dataclass(frozen=True)
class Report:
    """What was counted, where and how."""

    counts: Counts
    labels: LabelMap
    dataset: str
    split: str
    how: str = WHOLE.describe()
    parts: tuple["Report", ...] = ()  # of a mixture: of each of its datasets alone
    unreadable: tuple[tuple[str, str], ...] = ()  # names of images, and why
    resamples: int = RESAMPLES
    """Of the bootstrap behind the intervals; 0: no intervals."""

    @property
    def images(self) -> int:
        """Images that were counted."""
        return len(self.counts.images)

    @cached_property
    def scores(self) -> Scores:
        """What the confusion matrix says."""
        return Scores(self.counts.confusion, self.counts.rows.scored)

    @property
    def pixels(self) -> int:
        """Pixels that were counted, which are those that are not ignored."""
        return int(self.counts.confusion.sum())

    @cached_property
    def numbers(self) -> dict[str, float]:
        """Every score of the whole split by its full name; NaN where it has no value."""
        values = self.counts.rows.scalars(self.counts.sums)
        return dict(zip(SCALARS, values.tolist(), strict=True))

    @cached_property
    def intervals(self) -> Float64[ndarray, "T 2"] | None:
        """Of `SCALARS`, then of each class's IoU: percentiles of a bootstrap over images."""
        counts = self.counts
        if not self.resamples or self.images < 2:
            return None
        return interval(counts.table, counts.rows.scalars_and_ious, resamples=self.resamples)

    def to_plain(self) -> dict[str, Any]:
        """The contents of metrics.json; null stands for what has no value (an absent class)."""
        plain = self.scores.to_plain(self.labels.names)
        plain |= {name: or_none(value) for name, value in self.numbers.items()}
        colours = self.labels.palette.tolist()
        for entry, colour in zip(plain["classes"], colours, strict=True):
            entry["color"] = colour
        plain |= {"images": self.images, "dataset": self.dataset, "split": self.split}
        plain["how"] = f"{self.how}; labels at their own size, never resized"
        self._add_counts(plain, self.counts)
        if self.unreadable:
            plain["unreadable"] = [{"name": name, "why": why} for name, why in self.unreadable]
        if self.parts:
            plain["parts"] = [part.to_plain() for part in self.parts]
        return plain

    def _add_counts(self, plain: dict[str, Any], counts: Counts) -> None:
        rows, sums = counts.rows, counts.sums
        plain["boundary_distances"] = {"iou": IOU_SHARE, "f": F_SHARE}
        per_class = {
            "boundary_iou": rows.boundary_iou(sums),
            "boundary_f": rows.boundary_f(sums),
        }
        for place, entry in enumerate(plain["classes"]):
            entry |= {name: or_none(values[place]) for name, values in per_class.items()}
            entry["images"] = int(rows.take("holds", sums)[place])
        if rows.groups:
            ious, areas = rows.category_iou(sums), rows.category_areas(sums)
            plain["categories"] = {
                "miou": plain["category_miou"],
                "classes": [
                    {"name": name, "iou": or_none(iou), "pixels": int(pixels)}
                    for name, iou, pixels in zip(
                        self.labels.categories, ious, areas[1], strict=True
                    )
                ],
            }
        if rows.things is not None:
            plain["iiou"] = self._instances(rows.things, rows.iiou(sums), plain)
        plain["calibration"] = {"ece": plain["ece"], "bins": _bins(rows.reliability(sums))}
        self._add_intervals(plain)
        if counts.regions is not None:
            plain["errors"] = self._errors(counts)

    def _instances(
        self, things: Things, found: Float64[ndarray, " N"], plain: Mapping[str, Any]
    ) -> dict[str, Any]:
        labels = self.labels
        named = [*labels.names, *labels.categories]
        entries = [
            {"name": name, "iiou": or_none(value)} if counts else None
            for name, value, counts in zip(named, found, things.counted, strict=True)
        ]
        return {
            "mean": plain["iiou"],
            "classes": [entry for entry in entries[: len(labels)] if entry],
            "category_mean": plain["category_iiou"],
            "categories": [entry for entry in entries[len(labels) :] if entry],
        }

    def _add_intervals(self, plain: dict[str, Any]) -> None:
        found = self.intervals
        if found is None:
            return
        pairs = _plain(found)
        of_scalars = dict(zip(SCALARS, pairs, strict=False))
        plain["intervals"] = {"level": LEVEL, "resamples": self.resamples, "seed": 0} | of_scalars
        for entry, pair in zip(plain["classes"], pairs[len(SCALARS) :], strict=True):
            entry["interval"] = pair

    def _errors(self, counts: Counts) -> dict[str, Any]:
        assert counts.regions is not None
        sizes, distances = counts.regions.sizes.sum(0), counts.regions.distances
        return {
            "sizes": [
                {"low": low, "high": high, "objects": objects, "pixels": pixels, "wrong": wrong}
                for (low, high), (objects, pixels, wrong) in zip(
                    _ranges(SIZES), sizes.tolist(), strict=True
                )
            ],
            "distances": [
                {"low": low, "high": high, "pixels": pixels, "wrong": wrong}
                for (low, high), (pixels, wrong) in zip(
                    _ranges(DISTANCES), distances.tolist(), strict=True
                )
            ],
            "confused": [
                {
                    "truth": self.labels.names[truth],
                    "predicted": self.labels.names[predicted],
                    "pixels": int(counts.confusion[truth, predicted]),
                    "share": float(counts.confusion[truth, predicted] / self.scores.pixels[truth]),
                }
                for truth, predicted in most_confused(counts, CONFUSED)
            ],
        }


def save(facts: Mapping[str, Any], folder: Path) -> Path:
    """Write metrics.json into a folder, which is made if need be; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "metrics.json"
    artifact.write(file, (to_json(facts) + "\n").encode())
    return file


def to_json(facts: Mapping[str, Any]) -> str:
    """The text of metrics.json; NaN has no place in it."""
    return json.dumps(facts, indent=1, allow_nan=False, ensure_ascii=False)


def most_confused(counts: Counts, at_most: int) -> list[tuple[int, int]]:
    """The (true, predicted) classes with the most wrong pixels, the most first."""
    wrong = counts.confusion.copy()
    np.fill_diagonal(wrong, 0)
    places = np.argsort(-wrong, axis=None, kind="stable")[:at_most]
    pairs = [divmod(int(place), len(wrong)) for place in places]
    return [(truth, predicted) for truth, predicted in pairs if wrong[truth, predicted]]


def _bins(counts: Int64[ndarray, "3 b"]) -> list[dict[str, float | int | None]]:
    confidence, accuracy = reliability_curve(counts)
    return [
        {
            "low": place / BINS,
            "high": (place + 1) / BINS,
            "pixels": int(counts[0, place]),
            "confidence": or_none(confidence[place]),
            "accuracy": or_none(accuracy[place]),
        }
        for place in range(BINS)
    ]


def _plain(values: Float64[ndarray, "T 2"]) -> list[list[float] | None]:
    return [pair.tolist() if np.isfinite(pair).all() else None for pair in values]


def _ranges(edges: Sequence[float]) -> list[tuple[float, float | None]]:
    """From one edge to the next: from 0 to the first, and from the last on."""
    return [*zip([0, *edges], [*edges, None], strict=True)]
