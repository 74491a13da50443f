"""What a person sees of a training: how it starts, a bar or a line a validation, how it ended."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
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

from effunet.data.dataset import Dataset
from effunet.evaluation.table import number_lines, part_lines, table_of
from effunet.model.foreign import SmpPlan
from effunet.model.kinds import AnyPlan, Network
from effunet.training.config.schema import Config
from effunet.training.debug import announcement, verdict
from effunet.training.module import Training
from effunet.training.output.clock import Clock, Speed
from effunet.training.output.record import Record
from effunet.training.parts import crop_of


def announce(
    folder: Path,
    config: Config,
    network: Network,
    train: Dataset,
    val: Dataset,
    total: int,
    trainer: pl.Trainer,
) -> None:
    """Say what is about to be trained, on what, for how long, and where it goes."""
    if not trainer.is_global_zero:
        return
    height, width = crop_of(config)
    parameters = sum(weight.numel() for weight in network.parameters()) / 1e6
    macs = network.macs(height, width) / 1e9
    taken = f", as in {config.init_from}" if config.init_from is not None else ""
    lines = (
        f"network   {network.plan.title}{taken}, {parameters:.2f} M parameters,"
        f" {macs:.2f} GMACs at {height} x {width}",
        *_decoder(network.plan),
        f"encoder   {_origin(config)} ({_numerics(network.plan)})",
        f"data      {config.dataset.name}: {len(train)} images to train on, {len(val)} to"
        f" validate on, {len(train.labels)} classes",
        f"training  {total} steps of {config.batch_size} crops, {trainer.precision}, on"
        f" {trainer.strategy.root_device}",
        f"run       {folder}",
        *announcement(config),
    )
    print("\n".join(lines), flush=True)


def _origin(config: Config) -> str:
    """Say where the weights come from."""
    if config.init_from is None:
        return "from scratch" if config.encoder.weights == "none" else config.encoder.weights
    rest = "the decoder; a fresh head" if config.network.reset_head else "decoder and head"
    return f"from {config.init_from}, with {rest}"


def _decoder(plan: AnyPlan) -> list[str]:
    """Say which decoder; smp's is in the network's own name."""
    return [] if isinstance(plan, SmpPlan) else [f"decoder   {plan.decoder.title}"]


def _numerics(plan: AnyPlan) -> str:
    """Say what the encoder was built with."""
    range_ = f"mean {_short(plan.mean)}, std {_short(plan.std)}"
    if isinstance(plan, SmpPlan):
        return range_
    return f"padding {plan.numerics.padding}, eps {plan.numerics.eps:g}, {range_}"


def conclude(folder: Path, config: Config, record: Record, step: int) -> None:
    """Show what the best segmenter scored, and what to type next."""
    assert record.facts is not None  # a run ends with a validation
    if record.waited():
        print(
            f"ended early behind step {step}: {record.since_best} validations in a row brought no"
            f" better {config.monitor} (patience={config.patience})"
        )
    if left_out := record.rows[-1]["steps_left_out"]:
        print(f"notice    {left_out} steps were left out: loss or gradient was not finite")
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table_of(record.facts, plain=not console.is_terminal))
    data, run = config.dataset, shlex.quote(str(folder))
    for line in (*number_lines(record.facts), *part_lines(record.facts)):
        print(line)
    for line in verdict(config, record.facts["miou"]):
        print(f"\n{line}")
    named = data.root or "" if data.name == "folder" else data.name
    named = data.parts[0] if data.name == "mixture" else named
    words = ["--data", f"{named}:{data.variant}" if data.variant else named]
    below = f"{data.root}/{named.partition(':')[0]}" if data.name == "mixture" else data.root
    words += ["--root", str(below)] if data.root and data.name != "folder" else []
    words += ["--fold", str(data.fold)] if data.fold is not None else []
    words += ["--split", data.val_split] if data.val_split != "val" else []
    print(
        f"\nbest segmenter  {folder}/segmenter.safetensors"
        f"\npictures        {folder}/predictions.png, {folder}/curves.png"
        f"\n\nnext:\n  effunet evaluate {run} {shlex.join(words)}"
        f"\n  effunet predict {run} IMAGE_OR_FOLDER --out out --overlay"
    )


QUIET = 60.0
"""Seconds after which output that is no terminal gets a line between two validations."""


class Watch(pl.Callback):
    """Shows progress: a bar on a terminal, elsewhere a line a minute, and a line a validation."""

    def __init__(self, total_steps: int) -> None:
        """Watch a training of `total_steps` steps."""
        self.total_steps = total_steps
        self.console = Console(file=sys.stdout)
        self.bar: Progress | None = None
        self.clock = Clock()
        self.told = time.monotonic()
        self.speed = Speed(0.0, 0.0)
        """The pace of the steps before the latest validation."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar where there is a terminal."""
        if trainer.is_global_zero and self.console.is_terminal:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(16),  # so that all fits into 80 columns
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
        self.clock.batch_ready()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count a step; the loss is read now and then, for reading it waits for the device."""
        self.clock.step_done(len(batch["image"]) * trainer.world_size)
        assert isinstance(pl_module, Training)
        if self.bar is None:
            if trainer.is_global_zero and time.monotonic() - self.told >= QUIET:
                self._tell(
                    f"step {trainer.global_step:6d}/{self.total_steps}"
                    f"  train loss {pl_module.train_loss.mean():.4f}"
                    f"  {self.clock.speed().images_per_second:.1f} images/s"
                )
            return
        fields: dict[str, Any] = {"completed": trainer.global_step}
        if trainer.global_step % 10 == 0:
            fields["loss"] = f"{pl_module.train_loss.mean():.4f}"
            fields["speed"] = f"{self.clock.speed().images_per_second:.1f}"
        self.bar.update(self.task, **fields)

    def validating(self) -> None:
        """Say what the pause is for."""
        if self.bar is not None:
            self.bar.update(self.task, description="validating")

    def validated(self, row: dict[str, float | int | None]) -> None:
        """Print the line of a validation."""
        self.speed = self.clock.take()
        line = (
            f"epoch {row['epoch']:6.2f}  step {row['step']:6d}/{self.total_steps}"
            f"  train loss {_number(row['train_loss'])}  val loss {_number(row['val_loss'])}"
            f"  mIoU {_number(row['miou'])}  {self.speed.images_per_second:.1f} images/s"
            f"  data {self.speed.waiting_share * 100:.0f} %"
        )
        self._tell(line)
        if self.bar is not None:
            self.bar.update(self.task, description="training")

    def _tell(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)
        self.told = time.monotonic()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar, so that the error stands alone."""
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _number(value: float | int | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"


def _short(numbers: tuple[float, ...]) -> str:
    return " ".join(f"{number:g}" for number in numbers)
