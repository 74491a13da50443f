"""Config -> the parts of a training: network with its weights, loss, augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import nn

from effunet.data.augment.augment import Augment
from effunet.data.catalog import Choice, open_dataset, open_mixture
from effunet.data.check.statistics import split_statistics
from effunet.data.dataset import Dataset
from effunet.data.files.pixels import Pixels
from effunet.data.loading.cache_folder import cached
from effunet.data.loading.epochs import Epochs
from effunet.data.loading.kept import whereabouts_of
from effunet.data.loading.whereabouts import Progress, Whereabouts
from effunet.data.subset import Subset, evenly
from effunet.errors import UsageError
from effunet.model import pretrained
from effunet.model.architectures import TWINS
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.foreign import SmpNetwork, SmpPlan
from effunet.model.kinds import Network
from effunet.model.network import EffUNet
from effunet.model.scaling import Plan, Skip, compound, published
from effunet.training import initial, machine
from effunet.training.config.data import Data
from effunet.training.config.schema import Config
from effunet.training.recipe import balance
from effunet.training.recipe.losses import build_loss


def opened(data: Data, split: str) -> Dataset:
    """Open one split of what the config names.

    Raises:
        DataError, UsageError: as for effunet.data.catalog.
    """
    paired = data.check == "none"
    if data.name == "mixture":
        return open_mixture(
            data.parts,
            split,
            data.root,
            target=data.classes_of,
            shares=data.part_shares or None,
            paired=paired,
        )
    choice = Choice(data.variant, data.fold)
    return open_dataset(data.name, split, data.root, choice=choice, paired=paired)


def learnt(data: Data, train: Dataset) -> Dataset:
    """Return what dataset.train_share leaves of a training split: images evenly spread over it."""
    whole = len(train)
    count = max(1, round(whole * data.train_share))
    if count == whole:
        return train
    return Subset(train, evenly(whole, count))


def network_of(config: Config, classes: int, pixels: Pixels) -> Network:
    """Build the network that a config describes, with its weights read and in place.

    Images are normalised with the mean and std that the weights were trained with; without
    weights, and for other channels than red, green and blue, with those of the dataset.

    Raises:
        ModelError: the weights are not there or do not fit.
        UsageError: smp has no such encoder, or cannot join it with the architecture.
    """
    torch.manual_seed(config.seed)
    if config.init_from is not None:
        return initial.network(config, classes)
    if config.network.name == "smp":
        return _smp_network(config, classes, pixels)
    part, weights = config.encoder, weights_of(config)
    encoder = EfficientNet(
        encoder_plan(config),
        channels=pixels.channels,
        numerics=_numerics(weights, pixels, part.stem_rule),
        drop_path=part.drop_path,
        checkpointing=part.checkpointing,
        skip=cast("Skip", part.skip),
    )
    if weights is not None:
        pretrained.load(encoder, weights, stem=part.stem_rule)
    return EffUNet(encoder, classes, config.decoder.plan(encoder.plan))


def _numerics(weights: pretrained.Weights | None, pixels: Pixels, stem_rule: str) -> Numerics:
    if weights is None:
        numerics = Numerics.for_channels(pixels.channels)
    else:
        numerics = pretrained.numerics_for(weights, pixels.channels, stem_rule)
    if pixels.mean and (weights is None or pixels.channels != 3):
        return replace(numerics, mean=pixels.mean, std=pixels.std)
    return numerics


def _smp_network(config: Config, classes: int, pixels: Pixels) -> SmpNetwork:
    part, weights, rule = config.network, weights_of(config), config.encoder.stem_rule
    assert part.architecture is not None  # as config.py has checked
    encoder = part.encoder or TWINS[config.encoder.name]
    numerics, channels = _numerics(weights, pixels, rule), pixels.channels
    plan = SmpPlan(part.architecture, encoder, classes, channels, numerics.mean, numerics.std)
    drop_path = config.encoder.drop_path if part.encoder is None else None
    network = SmpNetwork(plan, drop_path=drop_path)
    if weights is not None:
        network.load_encoder(weights, rule)
    return network


def weights_of(config: Config) -> pretrained.Weights | None:
    """Read the encoder's weights; None for fresh ones.

    Raises:
        ModelError: they are not there, or in no known naming.
    """
    part = config.encoder
    if part.weights == "none":
        return None
    return pretrained.find(
        part.weights,
        numerics=part.numerics,
        variant=encoder_plan(config).name,
        notify=print if machine.is_first() else lambda line: None,
    )


def encoder_plan(config: Config) -> Plan:
    """Return the published variant, or what the compound law gives at the encoder's phi."""
    part = config.encoder
    if part.phi is not None:
        return compound(part.phi, part.alpha, part.beta, part.gamma)
    return published(part.name)


def loss_of(
    config: Config, classes: int, class_weights: Sequence[float] | None = None
) -> nn.Module:
    """Build the loss; class_weights, such as those of `class_weights_of`, win over the config's.

    Raises:
        UsageError: options that do not go together or do not fit the classes.
    """
    part = config.loss
    weights = part.class_weights if class_weights is None else list(class_weights)
    try:
        return build_loss(part.name, classes, replace(part, class_weights=weights))
    except ValueError as error:
        raise UsageError(f"loss: {error}") from error


def class_weights_of(config: Config, train: Dataset) -> tuple[list[float], list[str]] | None:
    """Weigh the classes by loss.weighting from the masks of the training split; None without it.

    Returns the weights and the lines to show. The same dataset gives the same weights, so that a
    resumed training, and each process of one, may compute them anew.

    Raises:
        DataError: a mask cannot be read.
    """
    part = config.loss
    if part.weighting == "none":
        return None
    statistics = split_statistics(train)
    weights = balance.class_weights(part.weighting, statistics, part.effective_beta)
    return weights, balance.lines(part.weighting, statistics, weights)


def find_classes(config: Config, train: Dataset, progress: Progress) -> Whereabouts | None:
    """Find where the classes of the training split are; None where no choice needs to know.

    The same masks give the same result, so that each process, and a resumed training, may look.

    Raises:
        DataError: a mask cannot be read, or no mask has a pixel of any class.
    """
    part = config.sampling
    if part.classes == "none" and not part.copy_paste:
        return None
    return whereabouts_of(train, progress, skip=config.dataset.on_error == "skip")


def epochs_of(config: Config, train: Dataset, where: Whereabouts | None) -> Epochs:
    """Build what says how an epoch of `train` is drawn; `where` is of find_classes."""
    part = config.sampling
    return Epochs(
        weights=train.weights,
        where=where,
        classes=part.classes,
        share=part.share,
        temperature=part.temperature,
        copy_paste=part.copy_paste,
        mix=None if part.mix == "none" else part.mix,
        mix_chance=part.mix_chance,
    )


def augment_of(config: Config, channels: int) -> Augment:
    """Build what draws a training crop from an image and its mask."""
    scale = config.augment.scale
    return Augment(
        config.augment.preset,
        crop_of(config),
        (scale[0], scale[1]) if scale is not None else None,
        channels,
    )


def cached_of(config: Config, train: Dataset, val: Dataset) -> tuple[Dataset, Dataset]:
    """Return the datasets, with their decoded samples kept where dataset.cache says.

    Raises:
        UsageError: the cache would lie in the data's folder.
        ResourceError: its disk has too little space, or the folder cannot be made.
    """
    if config.dataset.cache is None:
        return train, val
    train, val = cached((train, val), config.dataset.cache)
    return train, val


def crop_of(config: Config) -> tuple[int, int]:
    """Return height and width of a training crop, pixels."""
    height, width = config.dataset.crop
    return height, width
