"""Weights in a known naming -> the tensors of an encoder: all of them, or none."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from effunet.errors import ModelError
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.pretrained.dialects import (
    CLASSIFIER,
    UNUSED_LEAF,
    Modules,
    few,
    timm_modules,
    variant_of,
)
from effunet.model.pretrained.stem import widen, widen_numerics
from effunet.model.pretrained.weights import Weights, find
from effunet.model.scaling import Plan

Names = dict[str, str]
"""Tensors of a network -> those of a file."""


def load(network: nn.Module, source: str | Path | Weights, *, stem: str = "auto") -> Numerics:
    """Replace every weight of an encoder, or none; give the numerics that they need.

    Args:
        network: an EfficientNet, or a network with one as its `encoder`.
        source: what `find` takes, or what it gave.
        stem: how a stem for RGB is brought to other channels; a rule of `stem.widen`.

    Raises:
        ModelError: no such weights, or they do not fit: lists what is missing and left over.
    """
    encoder = network if isinstance(network, EfficientNet) else network.get_submodule("encoder")
    if not isinstance(encoder, EfficientNet):
        raise TypeError(f"an EfficientNet takes these weights, not a {type(encoder).__name__}")
    found = source if isinstance(source, Weights) else find(source, variant=encoder.plan.name)
    modules = found.dialect.modules(encoder.plan)
    theirs: Names = {}
    for name in encoder.state_dict():
        module, _, leaf = name.rpartition(".")
        if leaf != UNUSED_LEAF:
            theirs[name] = f"{modules[module]}.{leaf}"
    tensors = _with_stem(found, modules, encoder.channels, stem)
    spare = [modules[module] for module in CLASSIFIER]
    _check_fit(encoder, theirs, spare, encoder.plan.name, found, tensors)
    numerics = numerics_for(found, encoder.channels, stem)
    if encoder.numerics != numerics:
        raise ModelError(
            f"{found.source}: the weights need {numerics}, the encoder has {encoder.numerics}: "
            f"build it with numerics=numerics_of(source)"
        )
    _fill(encoder, theirs, tensors, found.source)
    return numerics


def load_timm(
    encoder: nn.Module,
    found: Weights,
    plan: Plan,
    channels: int,
    left_out: Sequence[str],
    stem: str = "auto",
) -> None:
    """Replace every weight of timm's own tf_efficientnet, or none.

    Args:
        encoder: timm's features-only network.
        found: the weights.
        plan: of the published variant that the encoder is.
        channels: of its images.
        left_out: timm's names of modules that it lacks, whose weights may be left over.
        stem: as in `load`.

    Raises:
        ModelError: the weights do not fit, or need other numerics than timm's tf_efficientnet.
    """
    name, numerics = f"timm's tf_efficientnet_{plan.name}", found.numerics
    if (numerics.padding, numerics.eps) != (Numerics().padding, Numerics().eps):
        raise ModelError(
            f"{found.source}: the weights need padding {numerics.padding} and eps "
            f"{numerics.eps:g}, {name} has {Numerics().padding} and {Numerics().eps:g}: "
            "take TensorFlow's weights, or network=effunet, which follows its weights"
        )
    modules = found.dialect.modules(plan)
    ours = {timm: our for our, timm in timm_modules(plan).items()}
    theirs: Names = {}
    for tensor in encoder.state_dict():
        module, _, leaf = tensor.rpartition(".")
        if leaf != UNUSED_LEAF:
            theirs[tensor] = f"{modules[ours[module]]}.{leaf}"
    dropped = tuple(f"{module}." for module in left_out)
    spare = [modules[our] for our in CLASSIFIER]
    spare += [modules[our] for timm, our in ours.items() if f"{timm}.".startswith(dropped)]
    tensors = _with_stem(found, modules, channels, stem)
    _check_fit(encoder, theirs, spare, name, found, tensors)
    _fill(encoder, theirs, tensors, found.source)


def numerics_of(
    source: str | Path | Weights,
    *,
    channels: int = 3,
    numerics: str = "auto",
    variant: str = "",
    stem: str = "auto",
) -> Numerics:
    """Say which numerics weights need: build the encoder with them, then load.

    Args:
        source: what `find` takes, with `numerics` and `variant`, or what it gave.
        channels: of the images.
        numerics: one of LINEAGES, or "auto".
        variant: the encoder's name, which a preset needs.
        stem: as in `load`.

    Raises:
        ModelError: as `find`.
    """
    found = (
        source if isinstance(source, Weights) else find(source, numerics=numerics, variant=variant)
    )
    return numerics_for(found, channels, stem)


def numerics_for(found: Weights, channels: int, stem: str = "auto") -> Numerics:
    """The numerics of weights for images of so many channels."""
    if len(found.numerics.mean) in (1, channels):
        return found.numerics
    return widen_numerics(found.numerics, channels, stem)


def _with_stem(found: Weights, modules: Modules, channels: int, rule: str) -> dict[str, Tensor]:
    """The tensors, with a stem for RGB brought to the encoder's channels."""
    name = f"{modules['stem.conv']}.weight"
    weight = found.tensors.get(name)
    if weight is None or weight.ndim != 4 or weight.shape[1] != 3 or channels == 3:
        return found.tensors
    return {**found.tensors, name: widen(weight, channels, rule)}


def _check_fit(
    network: nn.Module,
    theirs: Names,
    spare: Sequence[str],
    name: str,
    found: Weights,
    tensors: dict[str, Tensor],
) -> None:
    weights, shapes = network.state_dict(), {key: tuple(t.shape) for key, t in tensors.items()}
    wanted = {other: tuple(weights[ours].shape) for ours, other in theirs.items()}
    missing = [key for key in wanted if key not in shapes]
    allowed = tuple(f"{module}." for module in spare)
    left_over = [
        key
        for key in shapes
        if key not in wanted and not key.endswith(UNUSED_LEAF) and not key.startswith(allowed)
    ]
    other = [
        f"{key} {shapes[key]} for {shape}"
        for key, shape in wanted.items()
        if key in shapes and shapes[key] != shape
    ]
    faults = [("lacks", missing), ("has left over", left_over), ("has other shapes:", other)]
    if missing or left_over or other:
        what = " and ".join(f"{fault} {few(keys)}" for fault, keys in faults if keys)
        likely = variant_of(found.dialect, found.shapes)
        mend = f": it looks like {likely}, build that one" if likely else ""
        if "pruned" in found.label.lower():
            mend = ": a pruned network has widths of its own, take the one that is not"
        raise ModelError(f"{found.source}: does not fit {name}: {what}{mend}")


def _fill(network: nn.Module, theirs: Names, tensors: dict[str, Tensor], source: str) -> None:
    weights: dict[str, Tensor] = {}
    for name, other in theirs.items():
        weight = tensors[other]
        if not weight.is_floating_point() or not weight.isfinite().all():
            raise ModelError(
                f"{source}: {other} ({weight.dtype}) must hold finite real numbers only: "
                f"download the file again or take another"
            )
        weights[name] = weight
    network.load_state_dict(network.state_dict() | weights)
