"""Two short trainings that prove a set-up before hours go into it; their scores say nothing else.

overfit  learns a handful of images by heart: mIoU near 1 proves labels, loss and network
fast     two steps and a small validation: every part has run once
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from effunet.data.dataset import Dataset
from effunet.data.subset import Middles, Subset
from effunet.training import machine
from effunet.training.config.sampling import Sampling
from effunet.training.config.schema import Config

IMAGES = 8
"""Most images that overfit learns; a smaller batch_size makes it fewer."""

STEPS = 300
"""Steps of overfit, unless max_steps says otherwise."""

LEARNT = 0.9
"""mIoU that overfit reaches where nothing is wrong."""


def debug_config(config: Config) -> Config:
    """Return the config that `debug` makes of it; twice is the same as once."""
    if config.debug is None:
        return config
    changes = {"overfit": _overfit, "fast": _fast}[config.debug](config)
    if config.name is not None and not config.name.endswith(f"-{config.debug}"):
        changes = replace(changes, name=f"{config.name}-{config.debug}")
    return changes


def debug_datasets(config: Config, train: Dataset, val: Dataset) -> tuple[Dataset, Dataset]:
    """Return the few samples that a debug run uses; `config` is one of `debug_config`."""
    if config.debug == "overfit":
        height, width = config.dataset.crop
        learnt = Middles(train, range(min(config.batch_size, len(train))), (height, width))
        return learnt, learnt
    if config.debug == "fast":
        batch = config.batch_size * machine.processes(config).world
        few = Subset(train, range(min(batch, len(train))))
        return few, Subset(val, range(min(2, len(val))))
    return train, val


def debug_network(config: Config, network: nn.Module) -> None:
    """Let BatchNorm's running statistics follow at once in an overfit run.

    They lag by a hundred steps at the usual momentum, while the weights of so short a training
    still move: validation would see another network than the one that has learnt the images.
    """
    if config.debug != "overfit":
        return
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5


def announcement(config: Config) -> list[str]:
    """Return the lines that say that this is no real training; none when it is."""
    if config.debug is None:
        return []
    what = {
        "overfit": f"learns up to {config.batch_size} images of {config.dataset.train_split} by"
        " heart and is measured on the same ones",
        "fast": "two steps and a validation of two images, to run every part once",
    }
    return [
        f"debug     {config.debug}: {what[config.debug]}; a DEBUG RUN, its numbers mean nothing"
    ]


def verdict(config: Config, miou: float) -> list[str]:
    """Return the lines that say what a debug run has shown; none for a real training."""
    if config.debug == "fast":
        return ["debug run fast: every part has run once; its numbers mean nothing"]
    if config.debug != "overfit":
        return []
    if miou >= LEARNT:
        return [
            f"debug run overfit: mIoU {miou:.4f} on images learnt by heart: labels, loss and"
            " network work together; the number means nothing else"
        ]
    return [
        f"debug run overfit: mIoU {miou:.4f}, below {LEARNT}, on the very images it has learnt:"
        " look at predictions.png for wrong labels, and try more max_steps or another optim.lr"
    ]


def _overfit(config: Config) -> Config:
    """No augmentation, nothing that holds learning back, one batch of the same images a step."""
    steps = config.max_steps or STEPS
    return replace(
        config,
        encoder=replace(config.encoder, drop_path=0.0, freeze=0.0, freeze_norms=0.0),
        augment=replace(config.augment, preset="none", scale=None),
        sampling=Sampling(),
        loss=replace(config.loss, label_smoothing=0.0),
        optim=replace(config.optim, weight_decay=0.0),
        ema=None,  # which would lag behind so short a training
        patience=None,
        batch_size=min(config.batch_size, IMAGES),
        max_steps=steps,
        val_every=max(1, steps // 6),
        devices=1,
        num_workers=0,
    )


def _fast(config: Config) -> Config:
    """Two steps, each of which is an epoch over what debug_datasets leaves."""
    return replace(config, max_steps=2, val_every=2)
