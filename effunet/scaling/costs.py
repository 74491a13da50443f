"""What a network of a plan costs, counted without computing anything."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from effunet.model import raw
from effunet.model.decoders.plan import DecoderName
from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet
from effunet.model.scaling import Plan

CLASSES = 1000
"""Of ImageNet, for which the published costs are."""


@dataclass(frozen=True)
class Shape:
    """What is scaled besides the encoder, or stays as it is."""

    decoder: DecoderName = "efficient"
    classes: int = 19
    size: tuple[int, int] | None = None  # height and width of an image; None: the plan's own

    def size_of(self, plan: Plan) -> tuple[int, int]:
        """Height and width of an image for a network of this plan."""
        return self.size or (plan.resolution, plan.resolution)

    def network(self, plan: Plan) -> EffUNet:
        """The segmenter's network with fresh weights."""
        return EffUNet(EfficientNet(plan), self.classes, self.decoder)


class Cost:
    """Of a segmenter's network, at the image size of its shape; each is counted when asked for."""

    def __init__(self, plan: Plan, shape: Shape) -> None:
        # It is kept, and a gradient is asked of it: whoever asks first may be one that wants none.
        with torch.inference_mode(False):
            self._network = raw.shapes_of(lambda: shape.network(plan))
        self._size = shape.size_of(plan)

    @cached_property
    def parameters(self) -> int:
        """Weights of the network."""
        return sum(weight.numel() for weight in self._network.parameters())

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of one image."""
        return raw.count_macs(lambda: self._network, 3, *self._size)

    @cached_property
    def activation_bytes(self) -> int:
        """What one image of a training step keeps for the way back, in float32."""
        with torch.inference_mode(False), torch.enable_grad():
            return _kept(self._network, *self._size)

    def to_plain(self) -> dict[str, int]:
        """As plain JSON."""
        return {name: getattr(self, name) for name in ("parameters", "macs", "activation_bytes")}


@cache
def cost_of(plan: Plan, shape: Shape) -> Cost:
    """What a segmenter of this encoder costs; asked again, it is not counted again."""
    return Cost(plan, shape)


@cache
def classifier_cost(plan: Plan) -> tuple[int, int]:
    """Parameters and multiply-adds as the article counts them: of the ImageNet classifier.

    At the plan's own resolution.
    """
    network = raw.shapes_of(lambda: EfficientNet(plan, classifier=True, classes=CLASSES))
    parameters = sum(weight.numel() for weight in network.parameters())
    side = plan.resolution
    return parameters, raw.count_macs(lambda: network, 3, side, side)


def _kept(network: EffUNet, height: int, width: int) -> int:
    """Bytes of all tensors but the weights that autograd keeps, each memory once."""
    images = 2  # batch norm needs more than one value a channel
    weights = {_place(weight) for weight in (*network.parameters(), *network.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if (place := _place(tensor)) not in weights:
            kept[place] = tensor
        return tensor

    image = torch.empty(images, 3, height, width, device="meta")
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, raw.Instead(raw.is_norm, _Norm.apply):
        network.train()(image).sum()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) // images


class _Norm(torch.autograd.Function):
    """Keeps what a batch norm keeps for its way back besides its weights, and computes nothing."""

    @staticmethod
    def forward(ctx: Any, feature: Tensor) -> Tensor:
        channels = feature.shape[1]
        ctx.save_for_backward(feature, *(feature.new_empty(channels) for _ in ("mean", "scale")))
        return torch.empty_like(feature)


def _place(tensor: Tensor) -> int:
    # A meta tensor's memory has no address; torch has no public word for what tells two apart.
    return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]
