"""The course of a training: behind each optimizer step, what is due, and the end.

    step --> average --> validation, when due --> record --> checkpoint --> go on, or end

All of it follows from the step's number (and from a signal), never from what a process remembers:
a resumed training takes the same course.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from effunet.training.module import Training
from effunet.training.output.journal import Journal
from effunet.training.output.progress import Watch
from effunet.training.output.record import LAST, Record
from effunet.training.recipe.ema import Ema
from effunet.training.stop import Stop
from effunet.training.validation import Validation


@dataclass(frozen=True)
class Milestones:
    """Steps at which something is due; a step has one number from 1 to `total`."""

    total: int
    validate_every: int
    save_every: int | None = None

    def validates(self, step: int) -> bool:
        """Tell whether a validation is due behind this step; behind the last one it always is."""
        return step > 0 and (step % self.validate_every == 0 or step >= self.total)

    def saves(self, step: int) -> bool:
        """Tell whether a checkpoint is due behind this step, beside those of the validations."""
        return self.save_every is not None and step % self.save_every == 0


class Course(pl.Callback):
    """Drives validations, checkpoints, the average of the weights, and the end."""

    def __init__(
        self,
        milestones: Milestones,
        validation: Validation,
        record: Record,
        watch: Watch,
        journal: Journal,
        stop: Stop,
        ema: Ema | None = None,
    ) -> None:
        """Take a training's course.

        Args:
            milestones: when what is due.
            validation: counts the validation split.
            record: writes what was counted, and the checkpoints into its folder.
            watch: tells it to a person.
            journal: tells it to the loggers.
            stop: the signal that ends the training behind a step.
            ema: what is validated and kept instead of the last weights.
        """
        self.milestones = milestones
        self.validation = validation
        self.record = record
        self.watch = watch
        self.journal = journal
        self.stop = stop
        self.ema = ema
        self._done = 0  # the step that was last looked at

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Catch up with a validation that a signal has cut short, before the next step."""
        self._done = trainer.global_step
        self.catch_up(trainer, pl_module)

    def catch_up(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate if this step's validation is due and not done; Lightning skips its last one."""
        assert isinstance(pl_module, Training)
        step = trainer.global_step
        if trainer.is_global_zero:
            self.journal.open(step)
        if self.milestones.validates(step) and self.record.validated != step:
            pl_module.to(trainer.strategy.root_device)
            self._settle(trainer, pl_module, validate=True, save=False)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Do what is due behind a whole optimizer step."""
        assert isinstance(pl_module, Training)
        step = trainer.global_step
        if step == self._done:
            return  # in the middle of a step, which takes several batches
        self._done = step
        if self.ema is not None:
            self.ema.update(step)
        stopped = self.stop.agreed() is not None
        due = self.milestones.validates(step)
        save = due or self.milestones.saves(step) or stopped
        self._settle(trainer, pl_module, validate=due and not stopped, save=save)
        self.watch.clock.wait()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what Lightning does not know of: the history, the counters, the average."""
        assert isinstance(pl_module, Training)
        checkpoint["effunet"] = {
            "record": self.record.state_dict(),
            "counters": pl_module.counters(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "processes": trainer.world_size,
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take up what was saved."""
        assert isinstance(pl_module, Training)
        state = checkpoint["effunet"]
        self.record.load_state_dict(state["record"])
        pl_module.take_up(state["counters"])
        if self.ema is not None:
            # A run that is forced to have an average from now on starts it with its weights.
            network = {
                name.removeprefix("network."): value
                for name, value in checkpoint["state_dict"].items()
            }
            self.ema.load_state_dict(state["ema"] or network)

    def _settle(self, trainer: pl.Trainer, module: Training, *, validate: bool, save: bool) -> None:
        validated = validate and self._validate(trainer, module)
        if validated or save:
            trainer.save_checkpoint(self.record.folder / LAST)
        # Said last: what a person has read of is on the disk.
        if validated and trainer.is_global_zero:
            self.watch.validated(self.record.rows[-1])
            self.journal.validated(trainer.global_step)
        if self.stop.taken is not None or self.record.waited():
            trainer.should_stop = True

    def _validate(self, trainer: pl.Trainer, module: Training) -> bool:
        self.watch.validating()
        with self.ema.applied() if self.ema is not None else nullcontext():
            whole = self.validation.run(trainer, module)
            if whole:
                self.record.validation(trainer, module)
        return whole
