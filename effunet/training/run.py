"""Run: a whole training as one frozen object; fit() -> the best Segmenter.

config --> datasets, checked --> network, loss, loader --> Lightning --> runs/NAME/
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import cast

import pytorch_lightning as pl
import torch
import yaml
from rich.console import Console
from torch import nn

from effunet.data.augment import Augment
from effunet.data.check import require
from effunet.data.dataset import Dataset, open_dataset
from effunet.data.loader import SegmentationData
from effunet.errors import ModelError, ResourceError, UsageError
from effunet.model import pretrained
from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet
from effunet.model.scaling import Plan, Skip, compound, published
from effunet.segmenter import Segmenter
from effunet.training import machine
from effunet.training.checkpoint import AtomicCheckpointIO
from effunet.training.config import to_plain
from effunet.training.losses import LossOptions, build_loss
from effunet.training.module import Training
from effunet.training.progress import Watch
from effunet.training.record import LAST, Record
from effunet.training.schema import Config

RUNS = Path("runs")


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
        """
        data = config.dataset
        root = Path(data.root) if data.root is not None else None
        train, val = (
            open_dataset(data.name, split, root, paired=data.check == "none")
            for split in (data.train_split, data.val_split)
        )
        _loss(config, len(train.labels))
        notices = [*train.notices, *val.notices]
        if data.check != "none":
            notices += require(train, val, everything=data.check == "all")
        for notice in dict.fromkeys(notices):
            print(f"notice    {notice}")
        return cls(config, train, val, _folder(config))

    def fit(self) -> Segmenter:
        """Train, write the run folder, and return the best segmenter by the monitored score.

        Raises:
            ModelError: encoder.weights do not fit, or the checkpoint to resume is refused.
            DivergedError: the loss became no number.
            ResourceError: the disk, the memory or a permission is missing.
            KeyboardInterrupt: Ctrl-C; the run can be resumed from its last validation.
        """
        config = self.config
        network = build_network(config, len(self.train.labels))
        data = SegmentationData(
            self.train,
            self.val,
            Augment(
                config.augment.preset,
                _crop(config),
                _scale(config),
            ),
            batch_size=config.batch_size,
            num_workers=machine.workers(config),
            seed=config.seed,
        )
        processes = machine.devices(config)
        per_epoch = data.batches_per_epoch(processes)
        total = config.max_steps or config.max_epochs * per_epoch
        checkpoint = self._checkpoint(total)
        if checkpoint is None and config.resume is not None:
            print(f"{self.folder} is already finished: {total} steps of {total}")
            return Segmenter.load(self.folder)
        self._make_folder()

        module = Training(
            network, _loss(config, len(self.train.labels)), config.optim, total, config.seed
        )
        record = Record(self.folder, config, self.val, per_epoch)
        watch = Watch(record, total, config.batch_size)
        with machine.quiet():
            trainer = pl.Trainer(
                max_steps=total,
                # One long epoch for Lightning: a step's data follow from its number alone, so
                # there is no position within an epoch that a resumed training could miss.
                max_epochs=1,
                check_val_every_n_epoch=None,
                val_check_interval=per_epoch * config.val_every,
                accelerator=config.accelerator,
                devices=processes,
                precision=machine.precision(config),
                gradient_clip_val=config.optim.clip,
                callbacks=[record, watch],
                plugins=[AtomicCheckpointIO()],
                default_root_dir=self.folder,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
            )
            if machine.channels_last(config):
                network.to(memory_format=torch.channels_last)
            self._announce(network, total, trainer)
            self._train(trainer, module, data, checkpoint, watch)
            if not record.rows or record.rows[-1]["step"] != total:
                trainer.validate(module, data, verbose=False)
        return self._finish(record)

    def _train(
        self,
        trainer: pl.Trainer,
        module: Training,
        data: SegmentationData,
        checkpoint: Path | None,
        watch: Watch,
    ) -> None:
        try:
            trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as stop:
            # Lightning turns Ctrl-C into exit code 1; what it was, it tells its callbacks.
            if not isinstance(watch.exception, KeyboardInterrupt):
                raise
            print(f"\ninterrupted: go on with  python train.py resume={self.folder}")
            raise KeyboardInterrupt from stop
        except torch.OutOfMemoryError as error:
            half = max(1, self.config.batch_size // 2)
            raise ResourceError(
                f"the device's memory is full: try batch_size={half},"
                " encoder.checkpointing=true or a smaller dataset.crop"
            ) from error

    def _checkpoint(self, total: int) -> Path | None:
        """Return the checkpoint to go on from, or None for a new run and for a finished one."""
        if self.config.resume is None:
            return None
        file = self.folder / LAST
        if not file.is_file():
            raise ModelError(
                f"resume={self.folder}: no {file}: this run never reached a validation"
            )
        step = AtomicCheckpointIO().load_checkpoint(file)["global_step"]
        return file if step < total else None

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=self.config.resume is not None)
            text = yaml.safe_dump(to_plain(self.config), sort_keys=False, allow_unicode=True)
            if self.config.resume is None:
                (self.folder / "config.yaml").write_text(text, encoding="utf-8")
            latest = self.folder.parent / "latest"
            if latest.is_symlink() or not latest.exists():
                latest.unlink(missing_ok=True)
                latest.symlink_to(self.folder.name, target_is_directory=True)
        except OSError as error:
            raise ResourceError(
                f"{self.folder}: cannot write the run folder ({error.strerror}):"
                " mend the permission, or start where you may write"
            ) from error

    def _announce(self, network: EffUNet, total: int, trainer: pl.Trainer) -> None:
        config, (height, width) = self.config, _crop(self.config)
        parameters = sum(weight.numel() for weight in network.parameters()) / 1e6
        macs = network.macs(height, width) / 1e9
        numerics, weights = network.plan.numerics, config.encoder.weights
        print(
            f"network   EffUNet {network.plan.encoder.name}, {parameters:.2f} M parameters,"
            f" {macs:.2f} GMACs at {height} x {width}\n"
            f"encoder   {'from scratch' if weights == 'none' else weights}"
            f" (padding {numerics.padding}, eps {numerics.eps:g},"
            f" mean {_short(numerics.mean)}, std {_short(numerics.std)})\n"
            f"data      {config.dataset.name}: {len(self.train)} images to train on,"
            f" {len(self.val)} to validate on, {len(self.train.labels)} classes\n"
            f"training  {total} steps of {config.batch_size} crops, {trainer.precision},"
            f" on {trainer.strategy.root_device}\n"
            f"run       {self.folder}",
            flush=True,
        )

    def _finish(self, record: Record) -> Segmenter:
        """Show what the best segmenter scored, and what to type next."""
        segmenter = Segmenter.load(self.folder)
        if record.report is not None:
            console = Console(width=None if sys.stdout.isatty() else 100)
            console.print(record.report.table(plain=not console.is_terminal))
        data, root = self.config.dataset.name, self.config.dataset.root
        place = root if data == "folder" else data
        where = f" --root {root}" if root is not None and data != "folder" else ""
        print(
            f"\nbest segmenter: {self.folder}/segmenter.safetensors"
            f"\npictures:       {self.folder}/predictions.png, {self.folder}/curves.png"
            f"\n\nNext:\n  effunet evaluate {self.folder} --data {place}{where}"
            f"\n  effunet predict {self.folder} IMAGE_OR_FOLDER --out out --overlay"
        )
        return segmenter


def build_network(config: Config, classes: int) -> EffUNet:
    """Build the network that a config describes, with its encoder's weights read and in place.

    Raises:
        ModelError: the weights are not there or do not fit the encoder.
    """
    part = config.encoder
    torch.manual_seed(config.seed)
    source = None if part.weights == "none" else part.weights
    encoder = EfficientNet(
        encoder_plan(config),
        numerics=None if source is None else pretrained.numerics_of(source),
        drop_path=part.drop_path,
        checkpointing=part.checkpointing,
        skip=cast("Skip", part.skip),
    )
    if source is not None:
        pretrained.load(encoder, source)
    return EffUNet(encoder, classes, config.decoder.widths)


def encoder_plan(config: Config) -> Plan:
    """Return the published variant, or what the compound law gives at encoder.phi."""
    if config.encoder.phi is not None:
        return compound(config.encoder.phi)
    return published(config.encoder.name)


def _loss(config: Config, classes: int) -> nn.Module:
    part = config.loss
    weights = tuple(part.class_weights) if part.class_weights is not None else None
    try:
        options = LossOptions(
            label_smoothing=part.label_smoothing, class_weights=weights, dice=part.dice
        )
        return build_loss(part.name, classes, options)
    except ValueError as error:
        raise UsageError(f"loss: {error}") from error


def _folder(config: Config) -> Path:
    """Return the folder of the run: the one to resume, the one named, or the next free number."""
    if config.resume is not None:
        return Path(config.resume)
    if config.name is not None:
        folder = RUNS / config.name
        if folder.exists():
            raise UsageError(
                f"name={config.name}: {folder} exists: choose another name,"
                f" or go on with it by resume={folder}"
            )
        return folder
    stem = f"{config.dataset.name}-{config.encoder.name}"
    return next(folder for number in count(1) if not (folder := RUNS / f"{stem}-{number}").exists())


def _crop(config: Config) -> tuple[int, int]:
    height, width = config.dataset.crop
    return height, width


def _scale(config: Config) -> tuple[float, float] | None:
    if config.augment.scale is None:
        return None
    low, high = config.augment.scale
    return low, high


def _short(numbers: tuple[float, ...]) -> str:
    return " ".join(f"{number:g}" for number in numbers)
