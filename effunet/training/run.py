"""Run: a whole training as one frozen object; fit() -> the best Segmenter.

config --> datasets, checked --> network, loss, loader --> Lightning --> runs/NAME/
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException

from effunet.data.check import require
from effunet.data.dataset import Dataset, open_dataset
from effunet.data.loader import SegmentationData
from effunet.errors import ResourceError, UsageError
from effunet.segmenter import Segmenter
from effunet.training import folder as run_folder
from effunet.training import machine
from effunet.training.checkpoint import AtomicCheckpointIO
from effunet.training.debug import debug_config, debug_datasets, debug_network
from effunet.training.journal import Journal
from effunet.training.loggers import require_loggers
from effunet.training.module import Training
from effunet.training.parts import augment_of, crop_of, loss_of, network_of
from effunet.training.progress import Watch, announce, conclude
from effunet.training.record import Record
from effunet.training.schema import Config


@dataclass(frozen=True)
class Run:
    """A training that is ready to start: its config, its checked data, and the folder it fills."""

    config: Config
    train: Dataset
    val: Dataset
    folder: Path

    @classmethod
    def from_config(cls, config: Config) -> Run:
        """Open and check the data; makes no file and no folder.

        Raises:
            UsageError: values that do not go together, or a run name that is taken.
            DataError: the dataset is missing or faulty; the text says what mends it.
            ResourceError: the machine lacks the device that is asked for.
        """
        require_loggers(config.loggers)
        config = debug_config(config)
        machine.require(config)
        folder, data = run_folder.choose(config), config.dataset
        root = Path(data.root) if data.root is not None else None
        train, val = (
            open_dataset(data.name, split, root, paired=data.check == "none")
            for split in (data.train_split, data.val_split)
        )
        loss_of(config, len(train.labels))
        chosen, measured = debug_datasets(config, train, val)
        _check_batch(config, chosen)
        notices = [*train.notices, *val.notices]
        if data.check != "none":
            notices += require(train, val, everything=data.check == "all")
        for notice in dict.fromkeys(notices) if machine.is_first() else ():
            print(f"notice    {notice}")
        return cls(config, chosen, measured, folder)

    def fit(self) -> Segmenter:
        """Train, write the run folder, and return the best segmenter by the monitored score.

        Raises:
            ModelError: encoder.weights do not fit, or the checkpoint to resume is refused.
            DivergedError: the loss became no number.
            ResourceError: the disk, the memory or a permission is missing.
            KeyboardInterrupt: Ctrl-C; the run can be resumed from its last validation.
            SystemExit: SIGTERM, with 143; likewise.
        """
        config, processes = self.config, machine.devices(self.config)
        data = SegmentationData(
            self.train,
            self.val,
            augment_of(config, self.train.channels),
            batch_size=config.batch_size,
            num_workers=machine.workers(config),
            seed=config.seed,
            skip=config.dataset.on_error == "skip",
            notify=_say_first,
        )
        per_epoch = data.batches_per_epoch(processes)
        total = config.max_steps or config.max_epochs * per_epoch
        classes = len(self.train.labels)
        network = network_of(config, classes, self.train.channels)
        debug_network(config, network)
        checkpoint = None
        if config.resume is not None:
            checkpoint = run_folder.checkpoint(self.folder, total, network.plan, self.train)
            if checkpoint is None:
                print(f"{self.folder} is already finished: all of its {total} steps are done")
                return Segmenter.load(self.folder)

        module = Training(network, loss_of(config, classes), config.optim, total, config.seed)
        run_folder.make(self.folder, config)
        record = Record(self.folder, config, self.val, per_epoch, data.skipped_val)
        watch = Watch(record, total)
        journal = Journal(record, watch)
        with machine.quiet(), journal:
            trainer = self._trainer(total, per_epoch * config.val_every, [record, watch, journal])
            if config.channels_last:
                network.to(memory_format=torch.channels_last)
            announce(self.folder, config, network, self.train, self.val, total, trainer)
            self._train(trainer, module, data, checkpoint, record)
        # The first process's own, which has by now written all that it writes.
        folder = trainer.strategy.broadcast(self.folder)
        if machine.is_first():
            conclude(folder, config, record)
            for line in (*data.skipped_train.summary(), *data.skipped_val.summary()):
                print(line)
        return Segmenter.load(folder)

    def _trainer(self, total: int, val_every: int, callbacks: list[pl.Callback]) -> pl.Trainer:
        config = self.config
        return pl.Trainer(
            max_steps=total,
            # One long epoch for Lightning: a step's data follow from its number alone, so that
            # there is no position within an epoch that a resumed training could miss.
            max_epochs=1,
            check_val_every_n_epoch=None,
            val_check_interval=val_every,
            accelerator=config.accelerator,
            devices=machine.devices(config),
            precision=machine.precision(config),
            gradient_clip_val=config.optim.clip,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO()],
            default_root_dir=self.folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )

    def _train(
        self,
        trainer: pl.Trainer,
        module: Training,
        data: SegmentationData,
        checkpoint: Path | None,
        record: Record,
    ) -> None:
        handler = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
            if record.validated != trainer.max_steps:
                trainer.validate(module, data, verbose=False)
        except SystemExit as stop:
            # Lightning ends a Ctrl-C with exit code 1, a SIGTERM with 0, and tells its callbacks.
            if isinstance(record.exception, KeyboardInterrupt):
                signal.signal(signal.SIGINT, handler)  # which Lightning has turned off
                print(f"\ninterrupted: {run_folder.how_to_go_on(self.folder)}")
                raise KeyboardInterrupt from stop
            if isinstance(record.exception, SIGTERMException):
                print(f"\nterminated: {run_folder.how_to_go_on(self.folder)}")
                raise SystemExit(128 + signal.SIGTERM) from stop
            raise
        except torch.OutOfMemoryError as error:
            half = max(1, self.config.batch_size // 2)
            raise ResourceError(
                f"the device's memory is full: try batch_size={half},"
                " encoder.checkpointing=true or a smaller dataset.crop"
            ) from error


def _say_first(line: str) -> None:
    if machine.is_first():
        print(line, flush=True)


def _check_batch(config: Config, train: Dataset) -> None:
    """Refuse a batch that leaves BatchNorm one value a channel, which has no variance."""
    images = min(config.batch_size, len(train) // machine.devices(config))
    if images == 1 and max(crop_of(config)) <= 32:
        raise UsageError(
            f"{train.name}: with {len(train)} training images a batch is 1 crop, and one of"
            f" {crop_of(config)} leaves BatchNorm a single value: use a dataset.crop over 32"
            " pixels, or more images"
        )
