"""What a run leaves behind: after each validation the numbers, the best segmenter, the pictures.

validation --> metrics.csv, curves.png, predictions.png
           --> segmenter.safetensors, metrics.json   (when the monitored score is the best yet)
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
from torch import Tensor

from effunet.artifact import write
from effunet.data.dataset import Dataset
from effunet.data.faults import Skipped
from effunet.errors import EffunetError
from effunet.evaluate import Report
from effunet.infer import predict_mask
from effunet.metrics import Scores
from effunet.pictures import Row, curves, png, sheet
from effunet.segmenter import Segmenter
from effunet.training.forgiving import Forgiving
from effunet.training.module import Training
from effunet.training.schema import Config

LAST = Path("checkpoints") / "last.ckpt"


class Record(pl.Callback):
    """Writes the run folder; holds the history, so that a resumed run writes the same files."""

    def __init__(
        self,
        folder: Path,
        config: Config,
        val: Dataset,
        steps_per_epoch: int,
        skipped: Skipped | None = None,
    ) -> None:
        """Record into `folder`; `val` gives pictures and class names, `skipped` its gaps."""
        self.folder = folder
        self.config = config
        self.val = val
        self.steps_per_epoch = steps_per_epoch
        self.skipped = skipped
        self.forgiving = Forgiving(folder)
        self.pictures: list[Row] = []  # of the latest validation that drew some
        self.rows: list[dict[str, float | int | None]] = []
        self.best: float | None = None
        self.report: Report | None = None
        self.validated: int | None = None  # the step of the latest validation
        self.exception: BaseException | None = None  # what ended the training early

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Turn the confusion matrix of this validation into files."""
        assert isinstance(pl_module, Training)
        # Every process takes part in the matrix and the checkpoint; the first one writes.
        matrix = pl_module.confusion.compute()
        self.validated = trainer.global_step
        if trainer.is_global_zero:
            self._write(matrix, trainer, pl_module)
        pl_module.train_loss.reset()
        trainer.save_checkpoint(self.folder / LAST)

    def _write(self, matrix: Tensor, trainer: pl.Trainer, module: Training) -> None:
        report = self._report(matrix)
        row = self._row(report.scores, module, trainer)
        self.rows.append(row)
        with self.forgiving.writing("metrics.csv"):
            write(self.folder / "metrics.csv", _csv(self.rows).encode())
        segmenter = Segmenter(module.network, self.val.labels, self._facts(report))
        best = self._is_best(row)
        if best or self.config.loggers:
            training = module.training
            self.pictures = self._pictures(segmenter)
            module.train(training)
        if best:
            self.report = report
            segmenter.save(self.folder / "segmenter.safetensors")
            report.save(self.folder)
            self._draw()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Keep what it was: Lightning turns some into a plain SystemExit."""
        self.exception = exception

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the curves once more, now whole."""
        if trainer.is_global_zero and self.rows:
            self._curves()

    def state_dict(self) -> dict[str, Any]:
        """Return the history, as plain values."""
        matrix = self.report.scores.confusion.tolist() if self.report is not None else None
        return {"rows": self.rows, "best": self.best, "matrix": matrix}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the history of the run that is resumed."""
        self.rows = list(state_dict["rows"])
        self.best = state_dict["best"]
        if state_dict["matrix"] is not None:
            self.report = self._report(torch.tensor(state_dict["matrix"]))

    def _report(self, matrix: Tensor) -> Report:
        return Report.from_matrix(
            matrix,
            self.val.labels,
            images=len(self.val) - len(self.skipped or ()),
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
            **{
                f"iou/{name}": _finite(float(iou))
                for name, iou in zip(self.val.labels.names, scores.iou, strict=True)
            },
        }

    def _is_best(self, row: dict[str, float | int | None]) -> bool:
        value = row[self.config.monitor]
        if value is None:
            return not self.rows[:-1]
        score = -value if self.config.monitor == "val_loss" else value
        if self.best is not None and score <= self.best:
            return False
        self.best = score
        return True

    def _facts(self, report: Report) -> dict[str, Any]:
        plain = report.to_plain()
        shown = ("miou", "pixel_accuracy", "counted", "dataset", "split", "images", "classes")
        return {
            "dataset": self.config.dataset.name,
            "training_size": list(self.config.dataset.crop),
            "scores": {name: plain[name] for name in shown},
        }

    def _draw(self) -> None:
        """Refresh the pictures."""
        if self.pictures:
            with self.forgiving.writing("predictions.png"):
                picture = sheet(self.pictures, self.val.labels)
                write(self.folder / "predictions.png", png(picture))
        self._curves()

    def _pictures(self, segmenter: Segmenter) -> list[Row]:
        rows: list[Row] = []
        for index in _spread(len(self.val), 4):
            try:
                sample = self.val[index]
            except (EffunetError, OSError):
                continue  # told where the training met it
            prediction = predict_mask(segmenter, sample.image).cpu().numpy()
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
