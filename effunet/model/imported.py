"""A whole Unet of segmentation_models_pytorch -> an EffUNet that computes the same, proved by smp.

Equal for images whose sides are multiples of 32, in evaluation mode: elsewhere smp refuses or pads
in its own way. Its normalisation is the user's own code, so mean and std are told, not found. No
tensor tells an interpolation other than smp's default, nor the lineage of a "tu-" encoder.
"""

import copy
import re
import warnings
from dataclasses import replace

import torch
from torch import Tensor

from effunet.errors import ModelError, UsageError
from effunet.model import pretrained
from effunet.model.decoders.plan import DecoderPlan
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.network import EffUNet
from effunet.model.pretrained.dialects import LUKEMELAS, TIMM, UNUSED_LEAF, few, variant_of
from effunet.model.pretrained.files import Contents
from effunet.model.scaling import Skip

STEPS = 5
MARK = "decoder.blocks.0.conv1.0.weight"  # of a Unet, and of two others that OTHERS tells
HEAD = "segmentation_head.0."
OTHERS = {
    "decoder.blocks.x_0_0.": "it is an smp.UnetPlusPlus",
    "decoder.blocks.0.block.": "it is an smp.Linknet",
    "decoder.center.top_conv.": "it is an smp.MAnet",
    "decoder.p5.": "it is an smp.FPN",
    "decoder.aspp.": "it is an smp.DeepLabV3 or DeepLabV3Plus",
    "decoder.feature_norms.": "it is an smp.UPerNet",
    "decoder.psp.": "it is an smp.PSPNet",
    "decoder.fpa.": "it is an smp.PAN",
    "decoder.mlp_stage.": "it is an smp.Segformer",
    "decoder.center.": "it has a center block in its decoder",
    "decoder.blocks.0.attention1.": "it has attention gates (decoder_attention_type)",
    "decoder.blocks.0.conv1.0.bias": "it has no norm in its decoder (decoder_use_norm)",
    "classification_head.": "it has a classification head (aux_params)",
}
"""Starts of names that a plain Unet with batch norm does not hold; the more telling ones first."""

AGREEMENT = 1e-6  # of the logits' range, in float64: rounding alone gave at most 2.5e-10

Tensors = dict[str, Tensor]


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
        mean: of images in 0..1, one a channel or one for all; None: that of a lineage asked for,
            else ImageNet's, or `Numerics.for_channels`.
        std: likewise.

    Raises:
        ModelError: no Unet with an EfficientNet, one with parts that EffUNet does not have, or one
            that does not compute the same under these numerics.
        UsageError: mean and std do not fit its images.
    """
    contents = _alone(contents)
    tensors, source = contents.tensors, contents.source
    through_timm = any(name.startswith("encoder.model.") for name in tensors)
    place = "encoder.model." if through_timm else "encoder."
    if not through_timm:  # the tensors' names tell; best_ap.ckpt would be taken for AdvProp
        contents = replace(contents, label="")
    weights = pretrained.of_contents(contents, numerics=numerics)
    variant, dialect = variant_of(weights.dialect, weights.shapes), weights.dialect
    if (
        variant is None
        or dialect not in (TIMM, LUKEMELAS)
        or f"{place}{dialect.probe}" not in tensors
    ):
        raise ModelError(f"{source}: its encoder is none of EfficientNet's B0 to B7")
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(place)}
    widths = _widths(rest, source)

    stem = weights.tensors[dialect.probe]
    channels = stem.shape[1] if stem.ndim == 4 else 3
    default = Numerics.for_channels(channels)
    if channels == 3 and numerics != "auto":
        default = weights.numerics
    try:
        taken = replace(weights.numerics, mean=mean or default.mean, std=std or default.std)
        taken.check_channels(channels)
    except ValueError as fault:
        raise UsageError(f"mean and std: {fault}") from fault
    skip: Skip = "stage1" if through_timm else "stem"
    if dialect is LUKEMELAS and variant == "b0":
        skip = "smp"
    encoder = EfficientNet(variant, channels=channels, numerics=taken, skip=skip)
    pretrained.load(encoder, replace(weights, numerics=taken))

    logits = len(rest[f"{HEAD}weight"])
    try:
        network = EffUNet(encoder, max(logits, 2), DecoderPlan("unet", widths))
    except ValueError as fault:
        raise ModelError(f"{source}: {fault}") from fault
    _fill(network, _with_two_classes(rest) if logits == 1 else rest, source)
    kind = "efficientnet-" if dialect is LUKEMELAS else "timm-efficientnet-"
    if through_timm:
        kind = "tu-tf_efficientnet_" if taken.padding == "same" else "tu-efficientnet_"
    _prove(network.eval(), tensors, f"{kind}{variant}", f"{source}: with {weights.told},")
    return network, weights.told


def _alone(contents: Contents) -> Contents:
    """The tensors of the one Unet, without what stands before smp's own names or beside it.

    torch.compile also writes a word of its own into names.
    """
    named = {name.replace("_orig_mod.", ""): value for name, value in contents.tensors.items()}
    found = {name.removesuffix(MARK) for name in named if f".{name}".endswith(f".{MARK}")}
    if len(found) > 1:
        places = ", ".join(repr(prefix) for prefix in sorted(found))
        raise ModelError(f"{contents.source}: holds {len(found)} Unets, under {places}: leave one")
    prefix = "".join(found)
    names = [f".{name}" for name in named if name.startswith(prefix)]
    for start, why in OTHERS.items():
        if any(f".{start}" in name for name in names):
            raise ModelError(f"{contents.source}: {why}: only a plain smp.Unet becomes an EffUNet")
    if not found:
        raise ModelError(f"{contents.source}: holds no whole smp.Unet: it holds {few(list(named))}")
    tensors = {k.removeprefix(prefix): v for k, v in named.items() if k.startswith(prefix)}
    for name, tensor in tensors.items():
        if name.endswith(".weight") and tensor.ndim == 0:
            raise ModelError(f"{contents.source}: is damaged: {name} is a single number")
    return replace(contents, tensors=tensors)


def _widths(rest: Tensors, source: str) -> tuple[int, ...]:
    """Widths of the decoder's steps; five, or it is another decoder."""
    steps = {name.split(".")[2] for name in rest if name.startswith("decoder.blocks.")}
    if len(steps) != STEPS or f"{HEAD}weight" not in rest:
        raise ModelError(
            f"{source}: its decoder has {len(steps)} steps"
            f"{'' if f'{HEAD}weight' in rest else ' and no head'}: "
            f"only a Unet of encoder_depth={STEPS} with its head becomes an EffUNet"
        )
    last = [rest.get(f"decoder.blocks.{step}.conv2.0.weight") for step in range(STEPS)]
    # _fill lists what is missing.
    return tuple(1 if weight is None else len(weight) for weight in last)


def _with_two_classes(rest: Tensors) -> Tensors:
    """A head of one logit with a zero before it."""
    heads = {name: tensor for name, tensor in rest.items() if name.startswith(HEAD)}
    return rest | {n: torch.cat([torch.zeros_like(head), head]) for n, head in heads.items()}


def _theirs(name: str) -> str:
    """Ours: decoder.steps.0.conv1.0.weight, head.bias."""
    name = name.replace("decoder.steps.", "decoder.blocks.")
    return re.sub(r"^head\.", HEAD, name)


def _fill(network: EffUNet, rest: Tensors, source: str) -> None:
    """Replace decoder and head, all of them or none."""
    state = network.state_dict()
    wanted = {_theirs(name): name for name in state if not name.startswith("encoder.")}
    missing = [name for name in wanted if name not in rest and not name.endswith(UNUSED_LEAF)]
    left_over = [name for name in rest if name not in wanted]
    other = [
        f"{name} {tuple(tensor.shape)} for {tuple(state[wanted[name]].shape)}"
        for name, tensor in rest.items()
        if name in wanted and tensor.shape != state[wanted[name]].shape
    ]
    faults = [("lacks", missing), ("has left over", left_over), ("has other shapes:", other)]
    if missing or left_over or other:
        what = " and ".join(f"{fault} {few(names)}" for fault, names in faults if names)
        raise ModelError(f"{source}: is no plain smp.Unet: {what}")
    for name, tensor in rest.items():
        counts = name.endswith(UNUSED_LEAF)
        if not counts and not (tensor.is_floating_point() and tensor.isfinite().all()):
            raise ModelError(
                f"{source}: {name} ({tensor.dtype}) must hold finite real numbers only"
            )
    network.load_state_dict(state | {wanted[name]: tensor for name, tensor in rest.items()})


@torch.no_grad()
def _prove(network: EffUNet, tensors: Tensors, encoder: str, what: str) -> None:
    """Compare with smp's own network, which alone knows what its names mean."""
    import segmentation_models_pytorch as smp

    plan, logits = network.plan, len(tensors[f"{HEAD}weight"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # smp gives its timm- encoders up
        try:
            peer = smp.Unet(
                encoder,
                encoder_weights=None,
                in_channels=plan.channels,
                classes=logits,
                decoder_channels=plan.decoder.widths,
            )
        except KeyError as fault:
            raise ModelError(
                f"{what}: this version of segmentation_models_pytorch has no {encoder} to prove "
                "the import by: install version 0.6"
            ) from fault
    peer.load_state_dict(tensors, strict=False)  # where counters are missing
    peer, ours = peer.double().eval(), copy.deepcopy(network).double()
    noise = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (1, plan.channels, 64, 96), generator=noise, dtype=torch.uint8)
    expected, found = peer(ours.normalise(image)), ours(image)
    difference = (found[:, -logits:] - expected).abs().max()
    scale = expected.max() - expected.min()
    if not difference <= AGREEMENT * scale:  # nan, too
        raise ModelError(
            f"{what} its logits are not those of smp's {encoder}: off by {difference:.1g}, where "
            f"they range over {scale:.1g}: the weights are damaged, or need other numerics"
        )
