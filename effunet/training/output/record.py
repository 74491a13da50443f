"""What a run leaves behind: after each validation the numbers, the best segmenter, the pictures.

validation --> metrics.csv, curves.png
           --> segmenter.safetensors, metrics.json, predictions.png   (when it is the best yet)
           --> checkpoints/last.ckpt                 (last, so that it never runs ahead)
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from effunet.artifact import write
from effunet.data.dataset import Dataset
from effunet.errors import DataError, EffunetError
from effunet.evaluation.report import Report, save
from effunet.evaluation.split import report_of
from effunet.infer import predict_mask
from effunet.pictures.curves import curves
from effunet.pictures.palettes import png
from effunet.pictures.sheet import Row, sheet
from effunet.segmenter import Segmenter
from effunet.training.config.schema import Config
from effunet.training.module import Training
from effunet.training.output.forgiving import Forgiving
from effunet.training.output.pace import Pace

LAST = Path("checkpoints") / "last.ckpt"


class Record:
    """Writes the run folder; holds the history, so that a resumed run writes the same files."""

    def __init__(
        self,
        folder: Path,
        config: Config,
        val: Dataset,
        steps_per_epoch: float,
        plan: dict[str, Any] | None = None,
    ) -> None:
        """Record into `folder`.

        Args:
            folder: of the run.
            config: what is trained.
            val: gives the pictures and the class names.
            steps_per_epoch: optimizer steps that see each training image once.
            plan: of the network, as plain values; it is kept in the checkpoint, so that no other
                network is resumed.
        """
        self.plan = plan
        self.folder = folder
        self.config = config
        self.val = val
        self.steps_per_epoch = steps_per_epoch
        self.forgiving = Forgiving(folder)
        self._pace = Pace()
        self.pictures: list[Row] = []  # of the latest validation that drew some
        self.rows: list[dict[str, float | int | None]] = []
        self.best: float | None = None
        self.since_best = 0  # validations that brought no better score
        self.facts: dict[str, Any] | None = None
        """The metrics.json of the best validation."""
        self.validated: int | None = None  # the step of the latest validation

    def validation(self, trainer: pl.Trainer, module: Training) -> None:
        """Turn what a validation has counted into files; every process calls it, the first writes.

        The history is everyone's, for it decides when a training ends.
        """
        counts = module.tally.counts()
        module.train_loss.sum_over_processes()
        self.validated = trainer.global_step
        report = report_of(counts, self.val)
        if report.pixels == 0:
            raise DataError(
                f"{self.val.name}, split {self.val.split}: nothing to count, mIoU n/a: all pixels"
                f" of its {len(self.val)} images are ignored; check the classes' values in"
                " dataset.yaml"
            )
        row = self._row(report, module, trainer)
        self.rows.append(row)
        best = self._is_best(row)
        if best:
            self.facts = report.to_plain()
        if trainer.is_global_zero:
            self._write(module, best)
        module.train_loss.reset()

    def _write(self, module: Training, best: bool) -> None:
        with self.forgiving.writing("metrics.csv"):
            write(self.folder / "metrics.csv", _csv(self.rows).encode())
        segmenter = Segmenter(module.network, self.val.labels, self._metadata())
        if best or self.config.loggers:
            self.pictures = self._pictures(segmenter)
        if best:
            assert self.facts is not None
            segmenter.save(self.folder / "segmenter.safetensors")
            save(self.facts, self.folder)
            self._sheet()
        self._pace(self._curves)

    def waited(self) -> bool:
        """Tell whether the last `patience` validations have brought no better score."""
        patience = self.config.patience
        return patience is not None and self.since_best >= patience

    def finish(self) -> None:
        """Draw the curves once more, now whole."""
        if self.rows:
            self._curves()

    def state_dict(self) -> dict[str, Any]:
        """Return the history, as plain values."""
        return {
            "rows": self.rows,
            "best": self.best,
            "since_best": self.since_best,
            "measure": self._measure(),
            "facts": self.facts,
            "validated": self.validated,
            "plan": self.plan,
            "labels": self.val.labels.to_plain(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the history of the run that is resumed."""
        self.rows = list(state_dict["rows"])
        # A score of another kind, after resume_force, is no measure for the ones to come.
        if state_dict["measure"] == self._measure():
            self.best, self.since_best = state_dict["best"], state_dict["since_best"]
        self.validated = state_dict["validated"]
        self.facts = state_dict["facts"]

    def _measure(self) -> list[str]:
        """Name what a score is: of which kind, on what; a loss by all its keys."""
        config = self.config
        loss = str(config.loss) if config.monitor == "val_loss" else ""
        data = config.dataset
        what = [data.name, data.variant or "", *data.parts, data.classes_of or ""]
        return [config.monitor, " ".join(what), data.val_split, loss]

    def _row(
        self, report: Report, module: Training, trainer: pl.Trainer
    ) -> dict[str, float | int | None]:
        step = trainer.global_step
        optimizers = trainer.optimizers
        return {
            "epoch": step / self.steps_per_epoch,
            "step": step,
            "lr": max(group["lr"] for group in optimizers[0].param_groups),
            "train_loss": _finite(module.train_loss.mean()),
            "val_loss": _finite(module.val_loss.mean()),
            **{name: _finite(value) for name, value in report.numbers.items()},
            "steps_left_out": module.guard.left_out,
            **{
                f"iou/{name}": _finite(float(iou))
                for name, iou in zip(self.val.labels.names, report.scores.iou, strict=True)
            },
            **{f"miou/{part.dataset}": _finite(part.scores.miou) for part in report.parts},
        }

    def _is_best(self, row: dict[str, float | int | None]) -> bool:
        value = row[self.config.monitor]
        if value is None:
            self.since_best += 1
            return not self.rows[:-1]
        score = -value if self.config.monitor == "val_loss" else value
        if self.best is not None and score <= self.best:
            self.since_best += 1
            return False
        self.best, self.since_best = score, 0
        return True

    def _metadata(self) -> dict[str, Any]:
        plain = self.facts or {}
        shown = ("miou", "pixel_accuracy", "counted", "dataset", "split", "images", "classes")
        facts: dict[str, Any] = {
            "dataset": self.config.dataset.name,
            "training_size": list(self.config.dataset.crop),
            "scores": {name: plain.get(name) for name in shown},
        }
        if self.val.pixels.ranges:
            facts["pixel_ranges"] = [list(ends) for ends in self.val.pixels.ranges]
        return facts

    def _sheet(self) -> None:
        """Draw what the segmenter that is kept predicts."""
        if self.pictures:
            with self.forgiving.writing("predictions.png"):
                picture = sheet(self.pictures, self.val.labels)
                write(self.folder / "predictions.png", png(picture))

    def _pictures(self, segmenter: Segmenter) -> list[Row]:
        rows: list[Row] = []
        for index in _spread(len(self.val), 4):
            try:
                sample = self.val[index]
            except (EffunetError, OSError):
                continue  # told where the training met it
            try:
                prediction = predict_mask(segmenter, sample.image).cpu().numpy()
            except torch.OutOfMemoryError:
                continue  # the validation has said so; a picture is worth no training
            rows.append(Row(sample.name, sample.image, sample.mask, prediction))
        return rows

    def _curves(self) -> None:
        with self.forgiving.writing("curves.png"):
            curves(self.rows, self.folder / "curves.png")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _spread(count: int, wanted: int) -> list[int]:
    """Return the same few indices every time, spread over all images."""
    return (
        [count * place // wanted for place in range(wanted)] if count > wanted else [*range(count)]
    )


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
