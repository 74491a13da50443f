"""What a run leaves behind: after each validation the numbers, the best segmenter, the pictures.

validation --> metrics.csv, curves.png, predictions.png
           --> segmenter.safetensors, metrics.json   (when the monitored score is the best yet)
           --> checkpoints/last.ckpt                 (last, so that it never runs ahead)
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from effunet.artifact import write
from effunet.data.dataset import Dataset
from effunet.errors import DataError
from effunet.evaluate import Report
from effunet.infer import predict_mask
from effunet.metrics import Scores
from effunet.pictures import Row, curves, png, sheet
from effunet.segmenter import Segmenter
from effunet.training.module import Training
from effunet.training.schema import Config

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
        """Record into `folder`; `val` gives the pictures and the class names, `plan` the network.

        `plan` (plain values) is kept in the checkpoint, so that no other network is resumed.
        """
        self.plan = plan
        self.folder = folder
        self.config = config
        self.val = val
        self.steps_per_epoch = steps_per_epoch
        self.rows: list[dict[str, float | int | None]] = []
        self.best: float | None = None
        self.since_best = 0  # validations that brought no better score
        self.report: Report | None = None
        self.validated: int | None = None  # the step of the latest validation

    def validation(self, trainer: pl.Trainer, module: Training) -> None:
        """Turn what a validation has counted into files; every process calls it, the first writes.

        The history is everyone's, for it decides when a training ends.
        """
        matrix = module.confusion.compute().cpu()
        module.train_loss.sum_over_processes()
        self.validated = trainer.global_step
        report = self._report(matrix)
        if report.pixels == 0:
            raise DataError(
                f"{self.val.name}, split {self.val.split}: nothing to count, mIoU n/a: all pixels"
                f" of its {len(self.val)} images are ignored; check the classes' values in"
                " dataset.yaml"
            )
        row = self._row(report.scores, module, trainer)
        self.rows.append(row)
        best = self._is_best(row)
        if best:
            self.report = report
        if trainer.is_global_zero:
            self._write(module, report, best)
        module.train_loss.reset()

    def _write(self, module: Training, report: Report, best: bool) -> None:
        write(self.folder / "metrics.csv", _csv(self.rows).encode())
        if best:
            segmenter = Segmenter(module.network, self.val.labels, self._facts(report))
            segmenter.save(self.folder / "segmenter.safetensors")
            report.save(self.folder)
            self._draw(segmenter)
            self._curves()

    def waited(self, patience: int | None) -> bool:
        """Tell whether the last `patience` validations have brought no better score."""
        return patience is not None and self.since_best >= patience

    def finish(self) -> None:
        """Draw the curves once more, now whole."""
        if self.rows:
            self._curves()

    def state_dict(self) -> dict[str, Any]:
        """Return the history, as plain values."""
        matrix = self.report.scores.confusion.tolist() if self.report is not None else None
        return {
            "rows": self.rows,
            "best": self.best,
            "since_best": self.since_best,
            "matrix": matrix,
            "validated": self.validated,
            "ended": self.waited(self.config.patience),
            "plan": self.plan,
            "labels": self.val.labels.to_plain(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the history of the run that is resumed."""
        self.rows = list(state_dict["rows"])
        self.best = state_dict["best"]
        self.since_best = state_dict["since_best"]
        self.validated = state_dict["validated"]
        if state_dict["matrix"] is not None:
            self.report = self._report(torch.tensor(state_dict["matrix"]))

    def _report(self, matrix: Tensor) -> Report:
        return Report.from_matrix(
            matrix,
            self.val.labels,
            images=len(self.val),
            dataset=self.val.name,
            split=self.val.split,
        )

    def _row(
        self, scores: Scores, module: Training, trainer: pl.Trainer
    ) -> dict[str, float | int | None]:
        step = trainer.global_step
        optimizers = trainer.optimizers
        return {
            "epoch": step / self.steps_per_epoch,
            "step": step,
            "lr": max(group["lr"] for group in optimizers[0].param_groups),
            "train_loss": _finite(module.train_loss.mean()),
            "val_loss": _finite(module.val_loss.mean()),
            "miou": _finite(scores.miou),
            "pixel_accuracy": _finite(scores.pixel_accuracy),
            "mean_accuracy": _finite(scores.mean_accuracy),
            "steps_left_out": module.guard.left_out,
            **{
                f"iou/{name}": _finite(float(iou))
                for name, iou in zip(self.val.labels.names, scores.iou, strict=True)
            },
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

    def _facts(self, report: Report) -> dict[str, Any]:
        plain = report.to_plain()
        shown = ("miou", "pixel_accuracy", "counted", "dataset", "split", "images", "classes")
        return {
            "dataset": self.config.dataset.name,
            "training_size": list(self.config.dataset.crop),
            "scores": {name: plain[name] for name in shown},
        }

    def _draw(self, segmenter: Segmenter) -> None:
        """Refresh the picture; the segmenter's network is left as it is, in evaluation mode."""
        with self._forgiving():
            picture = sheet(self._pictures(segmenter), self.val.labels)
            write(self.folder / "predictions.png", png(picture))

    def _pictures(self, segmenter: Segmenter) -> list[Row]:
        rows: list[Row] = []
        for index in _spread(len(self.val), 4):
            sample = self.val[index]
            prediction = predict_mask(segmenter, sample.image).cpu().numpy()
            rows.append(Row(sample.name, sample.image, sample.mask, prediction))
        return rows

    def _curves(self) -> None:
        with self._forgiving():
            curves(self.rows, self.folder / "curves.png")

    @contextmanager
    def _forgiving(self) -> Generator[None]:
        """A full disk costs a picture, never the training."""
        try:
            yield
        except OSError as error:
            print(f"notice    {self.folder}: no picture this time: {error}", flush=True)


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
