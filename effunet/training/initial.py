"""init_from: a segmenter's file in; the config that describes its network, and its weights, out.

Keys of network and encoder at their defaults are taken from the file; any other must say what the
file says. The decoder is the file's: a dataset's recipe may set another one, and overrides.py
refuses a word for it. A run keeps the network in its own segmenter, and is resumed from that.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from effunet.artifact import FILE_NAME
from effunet.errors import ModelError, UsageError
from effunet.labels import LabelMap
from effunet.model import kinds
from effunet.model.architectures import TWINS
from effunet.model.foreign import SmpPlan
from effunet.model.kinds import AnyPlan, Network
from effunet.model.scaling import Plan, law_of
from effunet.segmenter import Segmenter
from effunet.training import machine
from effunet.training.config import network as keys
from effunet.training.config.read import to_config, to_plain
from effunet.training.config.schema import Config
from effunet.training.output.folder import LATEST

ENCODERS = (*TWINS, "phi")
LAW = ("phi", "alpha", "beta", "gamma")
"""Keys of the encoder that say a law."""


def source(config: Config) -> str | Path | None:
    """Return where the network comes from: init_from, or the resumed run that has begun with it."""
    if config.init_from is None:
        return None
    if config.resume is not None and (Path(config.resume) / FILE_NAME).is_file():
        return Path(config.resume)
    return config.init_from


def settled(config: Config) -> Config:
    """Return the config with the keys of the network as init_from's file has them.

    Raises:
        ModelError: no segmenter is there, or none that can be read.
        UsageError: a key names another network, or the link to the newest run is no lasting name.
    """
    file = source(config)
    if file is None:
        return config
    config = replace(config, init_from=_lasting(config))
    found = described(Segmenter.load(file).network.plan)
    values = to_plain(config)
    for name, theirs in found.items():
        group, key = name.split(".")
        ours = values[group][key]
        default = getattr(getattr(Config(), group), key)
        if group != "decoder" and ours not in (default, theirs):
            raise UsageError(
                f"{name}={_shown(ours)}: init_from={config.init_from} has {name}={_shown(theirs)}:"
                f" leave {name} out, or start without init_from"
            )
        # An encoder that no key describes has a name of its own: it comes from the file alone.
        if name != "encoder.name" or theirs in ENCODERS:
            values[group][key] = theirs
    resume, values["resume"] = values["resume"], None
    return replace(to_config(values, f"init_from={config.init_from}"), resume=resume)


def described(plan: AnyPlan) -> dict[str, Any]:
    """Return the keys that describe a network, as far as keys can: the plan itself says more."""
    default = Config()
    found: dict[str, Any] = {
        f"{group}.{item.name}": getattr(getattr(default, group), item.name)
        for group, part in (("network", keys.Network), ("decoder", keys.Decoder))
        for item in fields(part)
        if item.name != "reset_head"
    }
    if isinstance(plan, SmpPlan):
        twin = {encoder: name for name, encoder in TWINS.items()}.get(plan.encoder)
        other = plan.encoder if twin is None else None
        found |= {"network.name": "smp", "network.architecture": plan.architecture}
        return found | {
            "network.encoder": other, "encoder.name": twin or default.encoder.name,
            "encoder.skip": default.encoder.skip,
            **{f"encoder.{name}": getattr(default.encoder, name) for name in LAW},
        }  # fmt: skip
    return found | _encoder_keys(plan.encoder) | {
        "encoder.skip": plan.skip,
        "decoder.name": plan.decoder.name, "decoder.widths": list(plan.decoder.widths),
        "decoder.repeats": list(plan.decoder.repeats) or None,
    }  # fmt: skip


def _encoder_keys(plan: Plan) -> dict[str, Any]:
    """Return the keys that say the plan; its own name as encoder.name where no key describes it."""
    law, default = law_of(plan), keys.Encoder()
    name = plan.name if law is None else "phi"
    values = law or [getattr(default, key) for key in LAW]
    return {"encoder.name": name} | {
        f"encoder.{key}": value for key, value in zip(LAW, values, strict=True)
    }


def check_classes(config: Config, labels: LabelMap, channels: int) -> None:
    """Refuse a dataset whose classes or channels are not those of the segmenter.

    Raises:
        ModelError: other classes without network.reset_head, or other channels.
    """
    if config.init_from is None or config.resume is not None:
        return  # a resumed run is held against its own segmenter
    segmenter = Segmenter.load(config.init_from)
    if segmenter.channels != channels:
        raise ModelError(
            f"init_from={config.init_from}: it takes images of {segmenter.channels} channels, and"
            f" the dataset has {channels}: start without init_from"
        )
    mismatch = segmenter.labels.mismatch(labels)
    if mismatch and not config.network.reset_head:
        raise ModelError(
            f"init_from={config.init_from}: its classes (here) are not those of the dataset"
            f" (there): {mismatch}: network.reset_head=true"
            " starts with a fresh head for the dataset's classes"
        )


def network(config: Config, classes: int) -> Network:
    """Build init_from's network with its weights, for so many classes.

    Raises:
        ModelError: no segmenter is there, or none that can be read.
    """
    file = source(config)
    assert file is not None
    kept = Segmenter.load(file).network
    other = isinstance(kept.plan, SmpPlan) and kept.plan.encoder not in TWINS.values()
    fresh = kinds.build(
        replace(kept.plan, classes=classes),
        drop_path=None if other else config.encoder.drop_path,
        checkpointing=config.encoder.checkpointing,
    )
    weights = kept.state_dict()
    if config.network.reset_head:
        heads = {name: w for name, w in fresh.state_dict().items() if name.startswith("head.")}
        weights = weights | heads
    fresh.load_state_dict(weights)
    return fresh


def _lasting(config: Config) -> str:
    """Return init_from without the link to the newest run, which turns to the run that starts."""
    assert config.init_from is not None
    given = Path(config.init_from)
    link = given if given.name == LATEST else given.parent
    if not link.is_symlink() or link.name != LATEST or config.resume is not None:
        return config.init_from
    target = link.parent / link.readlink() / given.relative_to(link)
    if (
        machine.processes(config).world > 1
    ):  # further processes start with the same words, but later
        raise UsageError(
            f"init_from={given}: turns to the new run before all processes"
            f" have read it: use init_from={target}"
        )
    return str(target)


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).replace(" ", "")
