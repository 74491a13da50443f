"""Run: a whole training as one frozen object; fit() -> the best Segmenter.

config --> datasets, checked --> network, loss, loader --> Lightning --> runs/NAME/
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from effunet.data.check.preflight import require
from effunet.data.dataset import Dataset
from effunet.data.loading.cache_folder import unkept
from effunet.data.loading.loader import SegmentationData
from effunet.data.loading.whereabouts import Whereabouts
from effunet.errors import ResourceError, UsageError
from effunet.evaluation.split import tally_of
from effunet.model.architectures import ARCHITECTURES
from effunet.progress import progress
from effunet.segmenter import Segmenter
from effunet.training import initial, machine
from effunet.training.config.installed import require_loggers
from effunet.training.config.schema import Config
from effunet.training.course import Course, Milestones
from effunet.training.debug import debug_config, debug_datasets, debug_network
from effunet.training.module import Training
from effunet.training.output import folder as run_folder
from effunet.training.output.folder import Resumption
from effunet.training.output.journal import Journal
from effunet.training.output.progress import Watch, announce, conclude
from effunet.training.output.record import Record
from effunet.training.parts import (
    augment_of,
    cached_of,
    class_weights_of,
    crop_of,
    epochs_of,
    find_classes,
    learnt,
    loss_of,
    network_of,
    opened,
)
from effunet.training.recipe.ema import Ema
from effunet.training.stop import Stop
from effunet.training.trainer import build_trainer, faults
from effunet.training.validation import Validation


@dataclass(frozen=True)
class Run:
    """A training that is ready to start: its config, its checked data, and the folder it fills."""

    config: Config
    train: Dataset
    val: Dataset
    folder: Path
    class_weights: list[float] | None = None  # what loss.weighting made of the training split
    where: Whereabouts | None = field(default=None, compare=False)  # its classes, for sampling

    @classmethod
    def from_config(cls, config: Config) -> Run:
        """Open and check the data; makes no file and no folder.

        Raises:
            UsageError: values that do not go together, or a run name that is taken.
            DataError: the dataset is missing or faulty; the text says what mends it.
            ModelError: init_from is no segmenter, or one of other classes.
            ResourceError: the machine lacks the device that is asked for.
        """
        require_loggers(config.loggers)
        config = debug_config(config)
        machine.require(config)
        config = initial.settled(config)
        folder, data = run_folder.choose(config), config.dataset
        train, val = (opened(data, split) for split in (data.train_split, data.val_split))
        initial.check_classes(config, train.labels, train.channels)
        loss_of(config, len(train.labels))
        whole, train = train, learnt(data, train)
        chosen, measured = debug_datasets(config, train, val)
        _check_batch(config, chosen)
        notices = [*train.notices, *val.notices]
        if data.check != "none":
            notices += require(
                whole,
                val,
                everything=data.check == "all",
                strict=data.strict,
                crop=crop_of(config),
            )
        weights, lines = class_weights_of(config, train) or (None, [])
        notices += lines
        with progress("looking for the classes", machine.is_first()) as told:
            where = find_classes(config, chosen, told)
        notices += epochs_of(config, chosen, where).lines(chosen.labels.names)
        if data.cache is not None:
            cached_of(config, chosen, measured)  # whose faults are told before anything is made
            notices += unkept((chosen, measured))
        for notice in dict.fromkeys(notices) if machine.is_first() else ():
            print(f"notice    {notice}")
        return cls(config, chosen, measured, folder, weights, where)

    def fit(self, started: Callable[[Path], None] = lambda _: None) -> Segmenter:
        """Train, write the run folder, and return the best segmenter by the monitored score.

        Args:
            started: called by the first process with the folder, once it is there.

        Raises:
            ModelError: encoder.weights do not fit, or the checkpoint to resume is refused.
            DivergedError: too many steps in a row had a loss or gradient that was not finite.
            ResourceError: the disk, the memory or a permission is missing.
            KeyboardInterrupt: Ctrl-C; the run can be resumed from the step that it ended behind.
            SystemExit: SIGTERM, with 143; likewise.
        """
        config, classes = self.config, len(self.train.labels)
        network = network_of(config, classes, self.train.pixels)
        debug_network(config, network)
        data = self._data()
        per_epoch = data.batches_per_epoch(machine.processes(config).world) / config.accumulate
        milestones = Milestones(
            total=config.max_steps or max(1, round(config.max_epochs * per_epoch)),
            validate_every=max(1, round(config.val_every * per_epoch)),
            save_every=config.save_every,
        )
        total = milestones.total
        start = Resumption(None)
        if config.resume is not None:
            start = run_folder.resumption(self.folder, config, total, network.plan, self.train)
            if start.finished:
                _say_first(
                    f"{self.folder} is already finished, behind step {start.step} of {total}"
                )
                return Segmenter.load(self.folder)
        elif twin := run_folder.unfinished_twin(config, total):
            print(f"notice    {twin}")

        loss = loss_of(config, classes, self.class_weights)
        module = Training(network, loss, config, total, partial(tally_of, self.val))
        if config.channels_last:
            network.to(memory_format=torch.channels_last)
        folder = run_folder.make(self.folder, config)
        if machine.is_first():
            started(folder)
        plan = network.plan.to_plain()
        record = Record(folder, config, self.val, per_epoch, plan)
        watch = Watch(total)
        ema = Ema(network, config.ema) if config.ema is not None else None
        journal = Journal(record, watch)
        with Stop(speaks=machine.is_first()) as stop, machine.quiet(), journal:
            validation = Validation(data, stop)
            course = Course(milestones, validation, record, watch, journal, stop, ema)
            trainer = build_trainer(config, module, folder, total, [watch, course])
            announce(folder, config, network, self.train, self.val, total, trainer)
            with closing(data), _out_of_memory(config), faults(trainer, stop):
                trainer.fit(module, data, ckpt_path=start.checkpoint, weights_only=True)
                course.catch_up(trainer, module)
                # The first process's own, which the others have only guessed.
                folder = trainer.strategy.broadcast(folder)
            if stop.taken is not None:
                _say_first(
                    f"stopped behind step {trainer.global_step}: {run_folder.how_to_go_on(folder)}"
                )
                # A process that follows the first one has done its part, and ends well.
                stop.raise_again() if machine.is_first() else sys.exit(0)
        if machine.is_first():
            record.finish()
            conclude(folder, config, record, trainer.global_step)
            for line in (*data.skipped_train.summary(), *data.skipped_val.summary()):
                print(line)
        return Segmenter.load(folder)

    def _data(self) -> SegmentationData:
        train, val = cached_of(self.config, self.train, self.val)
        return SegmentationData(
            train,
            val,
            augment_of(self.config, self.train.channels),
            batch_size=self.config.batch_size,
            num_workers=machine.workers(self.config),
            seed=self.config.seed,
            skip=self.config.dataset.on_error == "skip",
            epochs=epochs_of(self.config, self.train, self.where),
        )


@contextmanager
def _out_of_memory(config: Config) -> Generator[None]:
    """Say what would need less memory where the device has too little."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        host = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
        if not (host or isinstance(error, torch.OutOfMemoryError)):
            raise
        size = config.batch_size
        fewer = f"batch_size={size // 2} accumulate={2 * config.accumulate}, " if size > 1 else ""
        ours = config.network.name == "effunet"
        frugal = "encoder.checkpointing=true" if ours else "a smaller encoder"
        raise ResourceError(
            f"the {'machine' if host else 'device'}'s memory is full: try {fewer}{frugal}, or a"
            f" dataset.crop smaller than {config.dataset.crop}"
        ) from error


def _say_first(line: str) -> None:
    if machine.is_first():
        print(line, flush=True)


def _check_batch(config: Config, train: Dataset) -> None:
    """Refuse a batch that leaves BatchNorm one value a channel, which has no variance."""
    images = min(config.batch_size, len(train) // machine.processes(config).world)
    architecture = config.network.architecture
    if images == 1 and architecture is not None and ARCHITECTURES[architecture].pools:
        raise UsageError(
            f"{train.name}: with {len(train)} training images a batch is 1 crop, which leaves the"
            f" BatchNorm behind {architecture}'s global pooling a single value: use another"
            " network.architecture, or more images"
        )
    if images == 1 and max(crop_of(config)) <= 32:
        raise UsageError(
            f"{train.name}: with {len(train)} training images a batch is 1 crop, and one of"
            f" {crop_of(config)} leaves BatchNorm a single value: use a dataset.crop over 32"
            " pixels, or more images"
        )
