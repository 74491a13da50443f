"""The rules that bind several keys; no torch."""

from __future__ import annotations

from effunet.errors import UsageError
from effunet.training.config import loss_rules, sampling
from effunet.training.config.data import Data
from effunet.training.config.network import Encoder
from effunet.training.config.network_rules import check_network
from effunet.training.config.recipe import Optim
from effunet.training.config.schema import Config


def check_together(config: Config, where: str) -> None:
    """Check the rules that bind several keys."""
    encoder, scale = config.encoder, config.augment.scale
    check_network(config, where)
    if len(config.dataset.crop) != 2:
        raise UsageError(
            f"{where}: dataset.crop is [height, width], like [256,256], got {config.dataset.crop}"
        )
    if scale is not None and (len(scale) != 2 or scale[0] > scale[1]):
        raise UsageError(f"{where}: augment.scale is [low, high], such as [0.5,2], got {scale}")
    if (encoder.name == "phi") != (encoder.phi is not None):
        raise UsageError(
            f"{where}: encoder.phi goes with encoder=phi alone: use `encoder=phi encoder.phi=1.5`,"
            " or leave encoder.phi out"
        )
    for constant in ("alpha", "beta", "gamma") if encoder.phi is None else ():
        if (value := getattr(encoder, constant)) != getattr(Encoder(), constant):
            raise UsageError(
                f"{where}: encoder.{constant} goes with encoder=phi alone: leave out"
                f" encoder.{constant}={value}, or add encoder=phi"
            )
    if config.dataset.name == "folder" and config.dataset.root is None:
        raise UsageError(f"{where}: dataset=folder needs dataset.root=DIR, where your images lie")
    # At 32 pixels the coarsest feature is one pixel: BatchNorm has no variance over one value.
    cells = -(-config.dataset.crop[0] // 32) * -(-config.dataset.crop[1] // 32)
    if config.batch_size * cells < 2:
        raise UsageError(
            f"{where}: a batch of 1 with a {config.dataset.crop} crop leaves BatchNorm a single"
            " value: use batch_size=2 or a crop over 32 pixels"
        )
    wrong = (
        _unmixed(config.dataset)
        or loss_rules.fault(config.loss)
        or _unheard(config.optim)
        or sampling.fault(config.sampling)
    )
    if wrong:
        raise UsageError(f"{where}: {wrong}")


def _unmixed(data: Data) -> str | None:
    """Keys of mixtures and of single datasets that do not go together."""
    if data.name == "mixture":
        if data.part_shares and len(data.part_shares) != len(data.parts):
            return (
                f"dataset.part_shares has {len(data.part_shares)} numbers for {len(data.parts)}"
                " parts: give one for each"
            )
        single = {"variant": data.variant, "fold": data.fold}
        if set_one := next((key for key, value in single.items() if value is not None), None):
            return f"dataset.{set_one} is of one dataset: write dataset.parts=[NAME:VARIANT,...]"
        return None
    mixed = {"parts": data.parts, "part_shares": data.part_shares, "classes_of": data.classes_of}
    if set_one := next((key for key, value in mixed.items() if value), None):
        return f"dataset.{set_one} goes with dataset=mixture alone: leave one of them out"
    return None


def _unheard(part: Optim) -> str | None:
    """Return the key of `optim` that is set and that its choices have no use for, or None."""
    default = Optim()
    for key, group, user in (("momentum", "name", "sgd"), ("power", "schedule", "poly")):
        if getattr(part, key) != getattr(default, key) and getattr(part, group) != user:
            return f"optim.{key} goes with optim.{group}={user} alone: leave one of them out"
    return None
