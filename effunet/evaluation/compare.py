"""Several segmenters on one split: each against the first, and the spread over seeds.

The bootstrap draws the same images for both sides of a difference. What one image makes hard for
both then cancels out, so that a small difference can be sure where both intervals overlap.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from effunet.errors import DataError
from effunet.evaluation.report import Report
from effunet.evaluation.table import percent, range_of
from effunet.metrics.bootstrap import LEVEL, paired_difference
from effunet.metrics.rows import SCALARS
from effunet.metrics.scores import or_none


@dataclass(frozen=True)
class Comparison:
    """Reports of several segmenters on the same images."""

    names: tuple[str, ...]
    reports: tuple[Report, ...]
    seeds: tuple[tuple[int, ...], ...] = ()
    """Places of reports whose segmenters differ in the seed of their training alone."""

    def __post_init__(self) -> None:
        first = self.reports[0]
        for name, report in zip(self.names, self.reports, strict=True):
            if not np.array_equal(report.counts.images, first.counts.images):
                raise DataError(
                    f"{name}: not the same images could be read as for {self.names[0]}: "
                    "evaluate them again while the files stay as they are"
                )

    @cached_property
    def differences(self) -> list[dict[str, Any]]:
        """What each other segmenter has more than the first, score by score, with intervals."""
        return [self._difference(place) for place in range(1, len(self.reports))]

    @cached_property
    def spreads(self) -> list[dict[str, Any]]:
        """Mean and standard deviation of each score over the seeds of one config."""
        return [self._spread(places) for places in self.seeds]

    def to_plain(self) -> dict[str, Any]:
        """The contents of metrics.json of several segmenters."""
        models = [
            {"name": name, **report.to_plain()}
            for name, report in zip(self.names, self.reports, strict=True)
        ]
        return {"models": models, "differences": self.differences, "seeds": self.spreads}

    def table(self, *, plain: bool = False) -> Table:
        """A line a segmenter: mIoU, and what it has more than the first, with the interval."""
        table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("segmenter", no_wrap=True)
        for heading in ("mIoU", f"{LEVEL:.0%} interval", "more than the first", "boundary IoU"):
            table.add_column(heading, justify="right")
        more = ["", *(signed(difference["miou"]) for difference in self.differences)]
        for model, more_than_first in zip(self.to_plain()["models"], more, strict=True):
            table.add_row(
                Text(model["name"]),
                percent(model["miou"], none="n/a"),
                range_of((model.get("intervals") or {}).get("miou")),
                more_than_first,
                percent(model["boundary_iou"]),
            )
        return table

    def seed_lines(self) -> list[str]:
        """A line for each training that was run with several seeds."""
        return [
            f"{len(spread['runs'])} seeds of one config ({', '.join(spread['runs'])}): mIoU "
            f"{percent(spread['miou']['mean'])}, "
            f"standard deviation {100 * spread['miou']['std']:.2f}"
            for spread in self.spreads
            if spread["miou"] is not None
        ]

    def _difference(self, place: int) -> dict[str, Any]:
        first, other = self.reports[0].counts, self.reports[place].counts
        assert first is not None and other is not None
        rows = first.rows
        found = rows.scalars_and_ious(other.sums) - rows.scalars_and_ious(first.sums)
        if self.reports[0].resamples and len(first.images) > 1:
            spread = paired_difference(
                first.table,
                other.table,
                rows.scalars_and_ious,
                resamples=self.reports[0].resamples,
            )
        else:
            spread = np.full((len(found), 2), np.nan)
        entries = [
            {
                "difference": or_none(value),
                "interval": pair.tolist() if np.isfinite(pair).all() else None,
            }
            for value, pair in zip(found, spread, strict=True)
        ]
        names = self.reports[0].labels.names
        classes = zip(names, entries[len(SCALARS) :], strict=True)
        return {
            "name": self.names[place],
            "to": self.names[0],
            **dict(zip(SCALARS, entries, strict=False)),
            "classes": [{"name": name} | entry for name, entry in classes],
        }

    def _spread(self, places: Sequence[int]) -> dict[str, Any]:
        spread: dict[str, Any] = {"runs": [self.names[place] for place in places]}
        for name in SCALARS:
            values = [self.reports[place].numbers[name] for place in places]
            spread[name] = (
                {
                    "mean": statistics.fmean(values),
                    "std": statistics.stdev(values),
                    "values": values,
                }
                if np.isfinite(values).all()
                else None
            )
        return spread


def signed(entry: dict[str, Any]) -> str:
    """A difference in percentage points with its interval, like '+1.2 (-0.3 to +2.6)'."""
    if entry["difference"] is None:
        return "-"
    text = f"{100 * entry['difference']:+.1f}"
    pair = entry["interval"]
    return text if pair is None else f"{text} ({100 * pair[0]:+.1f} to {100 * pair[1]:+.1f})"
