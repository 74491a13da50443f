"""Segmenter x dataset -> Report: one confusion matrix over all images, at the labels' own size.

The same Report is what a training writes about its validation images. Several processes share the
images without padding: each is counted once, and their matrices are summed.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Integer
from rich import box
from rich.table import Table
from rich.text import Text
from torch import Tensor

from effunet import artifact, processes
from effunet.data.dataset import Dataset, Sample
from effunet.errors import DataError, ModelError
from effunet.infer import predict_mask
from effunet.labels import LabelMap
from effunet.metrics import ConfusionMatrix, Scores
from effunet.segmenter import Segmenter

SHOWN_DIFFERENCES = 6


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


def evaluate(
    segmenter: Segmenter,
    dataset: Dataset,
    *,
    tile: int | None = None,
    flip: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Predict every image at its own size and count every pixel whose truth is known.

    In a process that has initialised torch.distributed, every process of the group must call it
    (with the same segmenter and dataset): each takes the images rank, rank + world, ..., all get
    the same report of the whole split, and a fault of one is raised in all.

    Args:
        segmenter: its classes must be the dataset's, by name and order.
        dataset: one split.
        tile: predict in tiles of this size (`effunet.infer`); None: whole images.
        flip: average with the mirrored image.
        progress: called after each image with (images done, all images) of this process.

    Raises:
        ModelError: the segmenter's classes or channels are not those of the dataset.
        DataError: an unreadable sample, or no pixel to count in the whole split.
    """
    check_fit(segmenter, dataset)
    mine = range(processes.rank(), len(dataset), processes.world())
    matrix, done = ConfusionMatrix(len(segmenter.labels)).to(segmenter.device), 0
    with processes.together() as fault_elsewhere:
        for sample in _one_ahead(dataset, mine):
            prediction = predict_mask(segmenter, sample.image, tile=tile, flip=flip)
            truth = torch.from_numpy(sample.mask).to(segmenter.device)
            matrix.update(prediction[None], truth[None])
            done += 1
            if progress is not None:
                progress(done, len(mine))
            if fault_elsewhere():
                break
    if not processes.alike(len(dataset)):
        raise DataError(
            f"{dataset.name}, split {dataset.split}: {len(dataset)} images here, and another "
            "number for other processes: give all of them the same files"
        )
    # The state itself: compute() would gather it by a way of torchmetrics' own.
    images, *cells = processes.add_up([done, *matrix.matrix.flatten().tolist()])
    how = f"tiles of {tile} pixels" if tile else "whole images"
    report = Report.from_matrix(
        torch.tensor(cells).view_as(matrix.matrix),
        segmenter.labels,
        images=images,
        dataset=dataset.name,
        split=dataset.split,
        how=how + (", with the mirrored image" if flip else ""),
        scored=dataset.scored,
    )
    if report.pixels == 0:
        raise DataError(
            f"{dataset.name}, split {dataset.split}: nothing to count, mIoU n/a: all pixels of its "
            f"{len(dataset)} images are ignored; check the classes' values in dataset.yaml"
        )
    return report


def check_fit(segmenter: Segmenter, dataset: Dataset) -> None:
    """Raise ModelError unless the segmenter can be measured on the dataset.

    Equal numbers of classes in another order would give a number that looks like a bad network.
    """
    differences = segmenter.labels.differences(dataset.labels)
    if differences:
        shown = "; ".join(differences[:SHOWN_DIFFERENCES])
        more = len(differences) - SHOWN_DIFFERENCES
        shown += f"; and {more} more" if more > 0 else ""
        raise ModelError(
            f"the segmenter's classes (here) are not those of {dataset.name} (there): {shown}. "
            "Name the dataset that it was trained on, or train one on this"
        )
    if segmenter.channels != dataset.channels:
        raise ModelError(
            f"the segmenter takes images of {segmenter.channels} channels, "
            f"and {dataset.name} has {dataset.channels}: train one on this dataset"
        )


def percent(share: float | None, none: str = "-") -> str:
    """A share as '61.3 %', and '-' for what has no value."""
    return none if share is None else f"{100 * share:.1f} %"


def _one_ahead(dataset: Dataset, places: Sequence[int]) -> Iterator[Sample]:
    """The samples at these places; while one is worked on, a thread reads the next, and no more."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(dataset.__getitem__, places[0]) if places else None
        for after in (*places[1:], None):
            if coming is None:
                return
            sample = coming.result()
            coming = None if after is None else reader.submit(dataset.__getitem__, after)
            yield sample
