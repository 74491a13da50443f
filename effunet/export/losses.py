"""What an export loses of the mIoU on a dataset, class by class, and how much it may."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from effunet.errors import ModelError
from effunet.evaluation.report import Report
from effunet.metrics.scores import or_none

COLLAPSED = 0.5
"""Share of its IoU below which a class has collapsed."""

SEEN = 0.05
"""IoU from which on a class counts as learnt: one that is not cannot collapse."""


@dataclass(frozen=True)
class Losses:
    """Reports of both on the same images."""

    before: Report
    after: Report

    @property
    def drop(self) -> float:
        """What the mIoU has fallen by, in points."""
        return 100 * (self.before.scores.miou - self.after.scores.miou)

    @property
    def collapsed(self) -> list[str]:
        """Classes that lost more than half of their IoU."""
        return [
            name
            for name, before, after in self._classes()
            if before >= SEEN and not after >= COLLAPSED * before
        ]

    def check(self, most: float, precision: str) -> None:
        """Refuse an export that lost too much.

        Args:
            most: points of mIoU that may be lost.
            precision: for the advice.

        Raises:
            ModelError: it lost more, or a class has collapsed.
        """
        what = ""
        if not self.drop <= most:
            what = f"it loses {self.drop:.2f} points of mIoU, of which {most:g} are allowed"
        elif self.collapsed:
            what = f"it loses more than half of the IoU of {', '.join(self.collapsed)}"
        if what:
            raise ModelError(f"nothing was written: {what}; {ADVICE[precision]}")

    def lines(self) -> Iterator[str]:
        """For a person: the mIoU of both, and the classes that change most."""
        before, after = (report.scores.miou for report in (self.before, self.after))
        yield (
            f"mIoU      {100 * before:.2f} -> {100 * after:.2f} on {self.before.dataset} "
            f"{self.before.split}, {self.before.images} images"
        )
        known = [found for found in self._classes() if found[1] == found[1]]
        changed = sorted(known, key=lambda found: found[2] - found[1])
        width = max(len(name) for name, _, _ in changed)
        for name, old, new in changed:
            yield f"          {name:<{width}} {100 * old:6.2f} -> {100 * new:6.2f}"

    def to_plain(self) -> dict[str, Any]:
        """For the file's metadata: shares 0..1."""
        return {
            "dataset": self.before.dataset,
            "split": self.before.split,
            "images": self.before.images,
            "miou": [or_none(report.scores.miou) for report in (self.before, self.after)],
            "classes": {name: [or_none(old), or_none(new)] for name, old, new in self._classes()},
        }

    def _classes(self) -> list[tuple[str, float, float]]:
        names = self.before.labels.names
        both = (report.scores.iou for report in (self.before, self.after))
        return [(name, float(old), float(new)) for name, old, new in zip(names, *both, strict=True)]


ADVICE = {
    "fp32": "this is a bug of ours: please report it",
    "fp16": "take --precision fp32",
    "int8": "take --precision fp16, which loses next to nothing, or allow more by --max-drop",
}
"""What to do instead, by precision."""
