"""What a person sees while training: a bar on a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from effunet.training.module import Training
from effunet.training.record import Record


class Watch(pl.Callback):
    """Shows progress; `record` is asked for the numbers of the latest validation."""

    def __init__(self, record: Record, total_steps: int, batch_size: int) -> None:
        """Watch a training of `total_steps` steps."""
        self.record = record
        self.total_steps = total_steps
        self.batch_size = batch_size
        self.console = Console(file=sys.stdout)
        self.bar: Progress | None = None
        self.exception: BaseException | None = None  # what ended the training early
        self.images, self.seconds = 0, 0.0
        self.started = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar where there is a terminal."""
        if trainer.is_global_zero and self.console.is_terminal:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]}"),
                TextColumn("{task.fields[speed]} images/s"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
            )
            self.bar.start()
            self.task = self.bar.add_task(
                "training",
                total=self.total_steps,
                completed=trainer.global_step,
                loss="-",
                speed="-",
            )

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock of a step."""
        self.started = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count a step; the loss is read now and then, for reading it waits for the device."""
        self.seconds += time.monotonic() - self.started
        self.images += len(batch["image"]) * trainer.world_size
        if self.bar is None:
            return
        fields: dict[str, Any] = {"completed": trainer.global_step}
        if trainer.global_step % 10 == 0:
            assert isinstance(pl_module, Training)
            fields["loss"] = f"{pl_module.train_loss.mean():.4f}"
            fields["speed"] = f"{self.images / self.seconds:.1f}"
        self.bar.update(self.task, **fields)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what the pause is for."""
        if self.bar is not None:
            self.bar.update(self.task, description="validating")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line of this validation."""
        if not trainer.is_global_zero:
            return
        row = self.record.rows[-1]
        speed = self.images / self.seconds if self.seconds else 0.0
        self.images, self.seconds = 0, 0.0
        line = (
            f"epoch {row['epoch']:6.2f}  step {row['step']:6d}/{self.total_steps}"
            f"  train loss {_number(row['train_loss'])}  val loss {_number(row['val_loss'])}"
            f"  mIoU {_number(row['miou'])}  {speed:.1f} images/s"
        )
        self.console.print(line, highlight=False, soft_wrap=True)
        if self.bar is not None:
            self.bar.update(self.task, description="training")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar, so that the error stands alone, and keep what it was."""
        self.exception = exception
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _number(value: float | int | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"
