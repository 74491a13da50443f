"""A whole Unet of segmentation_models_pytorch -> an EffUNet that computes the same.

Equal for images whose sides are multiples of 32, in evaluation mode: elsewhere smp refuses or pads
in its own way. Its normalisation is the user's own code, so mean and std are told, not found.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from effunet.errors import ModelError
from effunet.model import pretrained
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.network import EffUNet
from effunet.model.pretrained.dialects import LUKEMELAS, UNUSED_LEAF, few, variant_of
from effunet.model.pretrained.files import Contents
from effunet.model.scaling import Skip

STEP = re.compile(r"decoder\.blocks\.(\d+)\.conv([12])\.([01])\.(\w+)")
HEAD = "segmentation_head.0."
OTHERS = {
    "attention": "its decoder has attention gates (decoder_attention_type)",
    "decoder.center": "its decoder has a center block",
    "classification_head": "it has a classification head (aux_params)",
}


def network_of(
    contents: Contents,
    *,
    numerics: str = "auto",
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> tuple[EffUNet, str]:
    """Build the EffUNet that a checkpoint of smp.Unet is, and say which numerics it took.

    A head of one logit z becomes one of two classes with the logits 0 and z: the softmax of the
    second is the sigmoid of z.

    Args:
        contents: the checkpoint's tensors, with any prefix.
        numerics: lineage of the encoder; "auto": what its names tell, which they do not for "tu-".
        mean: of images in 0..1, one a channel or one for all; None: the lineage's.
        std: likewise.

    Raises:
        ModelError: no Unet with an EfficientNet, or one with parts that EffUNet does not have.
    """
    prefix = _prefix(contents)
    weights = pretrained.of_contents(contents, numerics=numerics)
    rest = {
        name.removeprefix(prefix): tensor
        for name, tensor in contents.tensors.items()
        if name.startswith((f"{prefix}decoder.", f"{prefix}segmentation_head."))
    }
    _refuse_others(contents, prefix)
    variant = variant_of(weights.dialect, weights.shapes)
    if variant is None:
        raise ModelError(f"{contents.source}: its encoder is none of EfficientNet's B0 to B7")
    through_timm = any(name.startswith(f"{prefix}encoder.model.") for name in contents.tensors)
    skip: Skip = "stage1" if through_timm else "stem"
    if weights.dialect is LUKEMELAS and variant == "b0":
        skip = "smp"
    stem = weights.tensors[f"{weights.dialect.probe}"]
    channels = stem.shape[1]
    weights = replace(weights, numerics=_numerics(weights.numerics, channels, mean, std))
    encoder = EfficientNet(variant, channels=channels, numerics=weights.numerics, skip=skip)
    pretrained.load(encoder, weights)

    named = {_ours(name): tensor.float() for name, tensor in rest.items()}
    if named.get("head.weight", torch.empty(0)).shape[:1] == (1,):
        for name in ("head.weight", "head.bias"):
            named[name] = torch.cat([torch.zeros_like(named[name]), named[name]])
    widths = _widths(named, contents.source)
    network = EffUNet(encoder, len(named["head.weight"]), widths)
    _fill(network, named, contents.source)
    return network.eval(), weights.told


def _prefix(contents: Contents) -> str:
    """What stands before smp's own names: Lightning's `model.`, say."""
    found = {
        name.removesuffix("decoder.blocks.0.conv1.0.weight")
        for name in contents.tensors
        if f".{name}".endswith(".decoder.blocks.0.conv1.0.weight")
    }
    if len(found) != 1:
        raise ModelError(
            f"{contents.source}: holds {len(found) or 'no'} whole smp.Unet with batch norm in its "
            f"decoder: it holds {few(list(contents.tensors))}"
        )
    return found.pop()


def _refuse_others(contents: Contents, prefix: str) -> None:
    for mark, why in OTHERS.items():
        if any(mark in name.removeprefix(prefix) for name in contents.tensors):
            raise ModelError(f"{contents.source}: {why}, which EffUNet does not have")


def _numerics(
    told: Numerics, channels: int, mean: tuple[float, ...] | None, std: tuple[float, ...] | None
) -> Numerics:
    """The lineage's padding and eps, with mean and std for the channels."""
    default = told if channels == 3 else Numerics.for_channels(channels)
    try:
        numerics = replace(told, mean=mean or default.mean, std=std or default.std)
        numerics.check_channels(channels)
    except ValueError as fault:
        raise ModelError(f"--mean and --std: {fault}") from fault
    return numerics


def _ours(name: str) -> str:
    if name.startswith(HEAD):
        return f"head.{name.removeprefix(HEAD)}"
    step = STEP.fullmatch(name)
    return "decoder.steps.{}.conv{}.{}.{}".format(*step.groups()) if step else name


def _widths(named: Mapping[str, Tensor], source: str) -> list[int]:
    """Widths of the decoder's steps; five, or it is another decoder."""
    steps = [named.get(f"decoder.steps.{step}.conv2.0.weight") for step in range(6)]
    widths = [len(weight) for weight in steps if weight is not None]
    if len(widths) != 5 or "head.weight" not in named:
        raise ModelError(
            f"{source}: its decoder has {len(widths)} steps"
            f"{'' if 'head.weight' in named else ' and no head'}: "
            "a Unet of encoder_depth=5 with its head can be imported"
        )
    return widths


def _fill(network: EffUNet, named: dict[str, Tensor], source: str) -> None:
    """Replace decoder and head, all of them or none."""
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("encoder.")}
    missing = [key for key in state if key not in named and not key.endswith(UNUSED_LEAF)]
    left_over = [key for key in named if key not in state]
    other = [
        f"{key} {tuple(named[key].shape)} for {tuple(value.shape)}"
        for key, value in state.items()
        if key in named and named[key].shape != value.shape
    ]
    faults = [("lacks", missing), ("has left over", left_over), ("has other shapes:", other)]
    if missing or left_over or other:
        what = " and ".join(f"{fault} {few(keys)}" for fault, keys in faults if keys)
        raise ModelError(f"{source}: is no plain smp.Unet: {what}")
    if bad := [key for key, value in named.items() if not value.isfinite().all()]:
        raise ModelError(f"{source}: not all numbers are finite in {few(bad)}")
    network.load_state_dict(network.state_dict() | named)
