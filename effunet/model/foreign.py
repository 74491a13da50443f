"""A network of segmentation_models_pytorch (smp) behind the contract of our own, EffUNet.

Raw images of any size in, logits at the images' own size out; the normalisation, the padding and
the plan belong to the network. smp is loaded when the first one is built: that takes seconds.
"""

import difflib
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from effunet.errors import ModelError, UsageError
from effunet.model import facts, pretrained, raw
from effunet.model.architectures import ARCHITECTURES, TWINS
from effunet.model.blocks import NORM_MOMENTUM
from effunet.model.encoder import Numerics
from effunet.model.facts import check_range
from effunet.model.network import MOST_CLASSES
from effunet.model.scaling import WIDEST, published
from effunet.tensors import Image, Logits


@dataclass(frozen=True)
class SmpPlan:
    """Every fact that decides an smp network but its weights; plain JSON in a segmenter file."""

    architecture: str  # of ARCHITECTURES
    encoder: str  # by smp's name for it
    classes: int
    channels: int = 3
    mean: tuple[float, ...] = Numerics().mean  # of images in 0..1; one a channel, or one for all
    std: tuple[float, ...] = Numerics().std
    kind: Literal["smp"] = "smp"  # tells this plan from EffUNet's own
    library: str = field(default="", compare=False)  # what built it last; filled by SmpNetwork

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise ValueError(f"architecture must be one of {known}, got {self.architecture!r}")
        check_range("classes", self.classes, 1, MOST_CLASSES)
        check_range("channels", self.channels, 1, WIDEST)
        Numerics(mean=self.mean, std=self.std).check_channels(self.channels)

    @property
    def title(self) -> str:
        """What the network is, in a few words."""
        return f"smp {self.architecture} {self.encoder}"

    @property
    def resolution(self) -> int:
        """Pixels a side of the images that its cost is told for, where no training has said one."""
        return 224

    def to_plain(self) -> dict[str, Any]:
        """Give the plan as JSON types."""
        return facts.write(self)

    @classmethod
    def from_plain(cls, values: object, where: str = "network") -> "SmpPlan":
        """Read what to_plain gave; anything else is a ModelError that names place and value."""
        try:
            return facts.read(cls, values, where)
        except ValueError as fault:
            raise ModelError(f"no network can be built from the stored plan: {fault}") from fault


class SmpNetwork(nn.Module):
    """An smp network that takes raw images, uint8 or float in the same range 0..255.

    Weights that its loss never reaches (blocks behind the last feature that the decoder takes, a
    classifier's convolution) are left out, so that every parameter gets a gradient. With a global
    pooling (`ARCHITECTURES`), batch norm needs two images a batch in training.
    """

    reduction = 32
    mean: Tensor  # a channel, in units of the raw image; std likewise
    std: Tensor

    def __init__(self, plan: SmpPlan, *, drop_path: float | None = None) -> None:
        """Build with fresh weights.

        Args:
            plan: what to build.
            drop_path: stochastic depth as EfficientNet's, of an encoder in TWINS; None: its own.

        Raises:
            UsageError: smp has no such encoder, or cannot join it with the architecture.
        """
        super().__init__()
        self.plan = replace(plan, library=library())
        self.encoder, self.decoder, self.head = _parts(plan, drop_path)
        self.left_out = _unreached(plan.architecture, plan.encoder, plan.channels)
        """Modules of smp's network that are not here, by smp's names."""
        _leave_out(self, self.left_out)
        self.least = ARCHITECTURES[plan.architecture].least
        # Not among the weights: the plan says them, and two homes could disagree.
        self.register_buffer("mean", raw.per_channel(plan.mean), persistent=False)
        self.register_buffer("std", raw.per_channel(plan.std), persistent=False)

    def forward(self, image: Image) -> Logits:
        """Score every pixel; any height and width from 1 up."""
        height, width = image.shape[-2:]
        features = self.encoder(self.normalise(image))
        return self.head(self.decoder(features))[..., :height, :width]

    def normalise(self, image: Image) -> Float[Tensor, "B C h w"]:
        """Bring raw images to what the encoder takes, as EffUNet does."""
        return raw.normalise(image, self.mean, self.std, self.reduction, self.least)

    def macs(self, height: int, width: int) -> int:
        """Count the multiply-adds of one image of this size, without computing anything."""
        return raw.count_macs(lambda: SmpNetwork(self.plan), self.plan.channels, height, width)

    def load_encoder(self, source: str | Path | pretrained.Weights, stem: str = "auto") -> None:
        """Replace every weight of an encoder in TWINS, or none; see `pretrained.load`.

        Raises:
            ModelError: the weights do not fit the encoder, or need other numerics.
        """
        inside = "encoder.model."
        left_out = [name.removeprefix(inside) for name in self.left_out if inside in name]
        variant = next(name for name, twin in TWINS.items() if twin == self.plan.encoder)
        if not isinstance(source, pretrained.Weights):
            source = pretrained.find(source, variant=variant)
        timm, plan = self.encoder.get_submodule("model"), published(variant)
        pretrained.load_timm(timm, source, plan, self.plan.channels, left_out, stem)


def library() -> str:
    """The libraries that decide what an encoder's name means, with their versions."""
    names = ("segmentation_models_pytorch", "timm")
    return ", ".join(f"{name} {version(name)}" for name in names)


def check_encoder(name: str) -> None:
    """Raise UsageError, with the nearest names, unless smp has an encoder of this name.

    Asked before anything is built: timm would take a name with a source in it to the network.
    """
    import segmentation_models_pytorch as smp
    import timm

    if name.startswith("timm-"):
        raise UsageError(
            f"network.encoder={name}: smp gives its timm- encoders up: use the tu- one"
            f"{_near(name.replace('timm-', 'tu-tf_'), _timm(timm.list_models()))}"
        )
    own = [other for other in smp.encoders.get_encoder_names() if not other.startswith("timm-")]
    known = own + _timm(timm.list_models())
    if name not in known:
        raise UsageError(
            f"network.encoder={name}: segmentation_models_pytorch has no such encoder"
            f"{_near(name, known)}"
        )


def _timm(models: list[str]) -> list[str]:
    return [f"tu-{model}" for model in models]


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 3, 0.6)
    return f": there is {', '.join(near)}" if near else ": it has resnet34, tu-convnext_tiny, ..."


def _parts(plan: SmpPlan, drop_path: float | None) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Encoder, decoder and head as smp builds and draws them; never with weights from elsewhere."""
    import segmentation_models_pytorch as smp

    check_encoder(plan.encoder)
    options: dict[str, Any] = {}
    if plan.encoder in TWINS.values():
        # timm's own default is torch's 0.1: the twin learns its statistics as our encoder does.
        options = {"bn_momentum": NORM_MOMENTUM, "drop_path_rate": drop_path or 0.0}
    elif drop_path is not None:
        raise ValueError(f"only {', '.join(TWINS.values())} take a drop_path, got {plan.encoder}")
    try:
        with _NumbersOnCpu():
            network = getattr(smp, plan.architecture)(
                plan.encoder,
                encoder_weights=None,
                in_channels=plan.channels,
                classes=plan.classes,
                **options,
            )
    except Exception as fault:  # of any type: each encoder has its own way of refusing
        raise _cannot(plan, fault) from fault
    return network.encoder, network.decoder, network.segmentation_head


@cache
def _unreached(architecture: str, encoder: str, channels: int) -> tuple[str, ...]:
    """The outermost modules none of whose parameters gets a gradient, by one step without numbers.

    Raises:
        UsageError: the network takes no images of this size, or more is out of the loss's reach.
    """
    plan = SmpPlan(architecture, encoder, 2, channels, (0.5,), (0.25,))
    # Gradients flow whatever the caller computes: the answer is kept for every network to come.
    with torch.inference_mode(False), torch.enable_grad():
        with torch.device("meta"):
            parts = zip(("encoder", "decoder", "head"), _parts(plan, None), strict=True)
            network = nn.ModuleDict(dict(parts))
        names = tuple(_dead(network, plan))
        _leave_out(network, names)
        beyond = names and _dead(network, plan)
    if beyond:
        weights = [name for name, weight in network.named_parameters() if weight.grad is None]
        raise UsageError(
            f"network.architecture={architecture} leaves weights of network.encoder={encoder}"
            f" without a gradient ({', '.join(weights[:3])}): choose another of the two"
        )
    return names


def _dead(network: nn.ModuleDict, plan: SmpPlan) -> list[str]:
    """Take one step, and name the outermost modules without any gradient."""
    size = (160, 224)  # no square, no power of two: what fits only some sizes is found here
    network.zero_grad()
    with torch.device("meta"):
        image = torch.empty(2, plan.channels, *size)
    try:
        logits = network["head"](network["decoder"](network["encoder"](image)))
        logits.sum().backward()
    except Exception as fault:
        raise _cannot(plan, fault) from fault
    if logits.shape != (2, plan.classes, *size):
        raise _cannot(plan, f"it makes {tuple(logits.shape)} of images of {size}")
    dead: list[str] = []
    for name, module in network.named_modules():
        weights = list(module.parameters())
        inside = any(name.startswith(f"{outer}.") for outer in dead)
        if weights and not inside and all(weight.grad is None for weight in weights):
            dead.append(name)
    alone = [name for name, weight in network.named_parameters() if weight.grad is None]
    return dead or alone


def _leave_out(network: nn.Module, names: tuple[str, ...]) -> None:
    for name in names:
        network.set_submodule(name, _LeftOut())


def _cannot(plan: SmpPlan, why: object) -> UsageError:
    reason = " ".join(str(why).split())[:200]
    return UsageError(
        f"network.architecture={plan.architecture} does not go with network.encoder={plan.encoder}"
        f" ({reason}): choose another of the two"
    )


class _LeftOut(nn.Module):
    """Stands where a block was that nothing needs; some encoders run through it all the same."""

    def forward(self, feature: Tensor, *_: Any) -> Tensor:
        return feature


class _NumbersOnCpu(TorchFunctionMode):
    """Lets smp's MiT read its drop path rates out of a linspace where the weights have no numbers.

    That is on the meta device, which a plan is compared on before it may take memory.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        options = dict(kwargs or {})
        if func is torch.linspace:
            options.setdefault("device", "cpu")
        return func(*args, **options)
