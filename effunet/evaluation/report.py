"""What was counted, where and how: the table, and metrics.json."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Integer
from rich import box
from rich.table import Table
from rich.text import Text
from torch import Tensor

from effunet import artifact
from effunet.labels import LabelMap
from effunet.metrics.scores import Scores


@dataclass(frozen=True)
class Report:
    """What was counted, where and how."""

    scores: Scores  # with the matrix that they follow from
    labels: LabelMap
    images: int
    dataset: str
    split: str
    how: str = "whole images"
    parts: tuple["Report", ...] = ()  # of a mixture: of each of its datasets alone

    @classmethod
    def from_matrix(
        cls,
        matrix: Integer[Tensor, "K K"],
        labels: LabelMap,
        *,
        images: int,
        dataset: str,
        split: str,
        how: str = "whole images",
        scored: tuple[bool, ...] | None = None,
        parts: tuple["Report", ...] = (),
    ) -> "Report":
        """Make the report of any evaluator that counts pixels (rows are the truth)."""
        scores = Scores.from_confusion(matrix, scored)
        return cls(scores, labels, images, dataset, split, how, parts)

    @property
    def pixels(self) -> int:
        """Pixels that were counted, which are those that are not ignored."""
        return int(self.scores.confusion.sum())

    def to_plain(self) -> dict[str, Any]:
        """The contents of metrics.json; null stands for what has no value (an absent class)."""
        where = {"images": self.images, "dataset": self.dataset, "split": self.split}
        how = {"how": f"{self.how}; labels at their own size, never resized"}
        plain = self.scores.to_plain(self.labels.names) | where | how
        return plain | {"parts": [part.to_plain() for part in self.parts]} if self.parts else plain

    def table(self, *, plain: bool = False) -> Table:
        """A line a class, and the means; plain: without rules and colours, for a file or a pipe."""
        facts = self.to_plain()
        table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
        counted = f"mIoU over {facts['counted']} of {len(self.labels)} classes"
        table.add_column("class", counted, no_wrap=True)
        table.add_column("IoU", percent(facts["miou"], none="n/a"), justify="right")
        # The mean over the classes that have an accuracy: those that the truth holds.
        table.add_column("accuracy", percent(facts["mean_accuracy"]), justify="right")
        table.add_column("pixels", f"{self.pixels:,}", justify="right")
        for entry in facts["classes"]:
            table.add_row(
                Text(entry["name"]),
                percent(entry["iou"]),
                percent(entry["accuracy"]),
                f"{entry['pixels']:,}",
            )
        return table

    def part_lines(self) -> list[str]:
        """A line for each dataset of a mixture, by that dataset's own rules."""
        facts = [part.to_plain() for part in self.parts]
        return [
            f"{part['dataset']}: mIoU {percent(part['miou'], none='n/a')} over {part['counted']} "
            f"of {len(self.labels)} classes, {part['images']} images"
            for part in facts
        ]

    def save(self, folder: Path) -> Path:
        """Write metrics.json into a folder, which is made if need be; returns the file."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "metrics.json"
        text = json.dumps(self.to_plain(), indent=1, allow_nan=False, ensure_ascii=False)
        artifact.write(file, (text + "\n").encode())
        return file


def percent(share: float | None, none: str = "-") -> str:
    """A share as '61.3 %', and '-' for what has no value."""
    return none if share is None else f"{100 * share:.1f} %"
