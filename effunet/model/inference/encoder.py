"""The encoder for inference: norms, padding and the division by the standard deviation folded in.

The gate of a squeeze-and-excitation scales the weights of the projection instead of its large
input, and the largest expansions exist only a few rows at a time.
"""

from collections.abc import Iterator
from copy import deepcopy

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.model.blocks import MBConv, SqueezeExcite
from effunet.model.encoder import EfficientNet
from effunet.model.inference import rows
from effunet.model.inference.folded import of_block
from effunet.tensors import Feature, Result


def folded_encoder(encoder: EfficientNet, std: Tensor, dtype: torch.dtype) -> EfficientNet:
    """The encoder on folded blocks; it takes images that are centred, not divided by `std`."""
    encoder = deepcopy(encoder)  # for features() as it is
    encoder.checkpointing = False
    encoder.set_submodule("stem", of_block(encoder.stem, dtype, 1 / std.double()))
    encoder.stages = nn.ModuleList(
        nn.ModuleList(FoldedMBConv(block, dtype) for block in _blocks(stage))
        for stage in encoder.stages
    )
    return encoder


CHEAP = 2
"""Pixels to a projection's output up to which its input is scaled sooner than its weights are."""


class Gate(nn.Module):
    """SqueezeExcite.gate as the two matrices that it is."""

    reduce: Tensor
    expand: Tensor
    reduce_bias: Tensor
    expand_bias: Tensor

    def __init__(self, squeeze: SqueezeExcite, dtype: torch.dtype) -> None:
        super().__init__()
        for name in ("reduce", "expand"):
            conv = squeeze.get_submodule(name)
            weight, bias = (conv.get_parameter(part).detach() for part in ("weight", "bias"))
            self.register_buffer(name, weight.flatten(1).to(dtype, copy=True))
            self.register_buffer(f"{name}_bias", bias.to(dtype, copy=True))

    def forward(self, feature: Feature) -> Float[Tensor, "B D"]:
        """A number in (0, 1) for each channel of each image."""
        squeezed = F.linear(feature.mean((2, 3)), self.reduce, self.reduce_bias)
        return F.linear(F.silu(squeezed), self.expand, self.expand_bias).sigmoid()


class FoldedMBConv(nn.Module):
    """MBConv for inference."""

    def __init__(self, block: MBConv, dtype: torch.dtype) -> None:
        super().__init__()
        expand = block.expand
        self.expand = None if isinstance(expand, nn.Identity) else of_block(expand, dtype)
        self.depthwise = of_block(block.depthwise, dtype)
        self.gate = Gate(block.squeeze, dtype)
        self.project = of_block(block.project, dtype)
        self.shortcut = block.shortcut

    def forward(self, feature: Feature) -> Result:
        """As MBConv does."""
        inner = self._inner(feature)
        gate = self.gate(inner)[..., None, None]
        weight = None
        if len(inner) == 1 and inner[0, 0].numel() > CHEAP * len(self.project.bias):
            weight = self.project.weight * gate
        else:
            inner.mul_(gate)
        if self.shortcut:
            return self.project.onto(feature, inner, weight)
        return self.project(inner, weight)

    def _inner(self, feature: Feature) -> Result:
        """Expand and filter; by strips where the expanded feature is large."""
        if self.expand is None:
            return self.depthwise(feature)
        batch, _, height, width = feature.shape
        line = batch * len(self.expand.bias) * width * feature.element_size()
        filters = self.depthwise
        stride, kernel, padding = filters.stride, filters.kernel, filters.padding
        if line * height < rows.LARGE:
            return self.depthwise(self.expand(feature))
        size = max(kernel, (rows.STRIP // line - kernel) // stride)
        shape = (batch, height // stride, width // stride, len(self.expand.bias))
        result = feature.new_empty(shape).permute(0, 3, 1, 2)
        for top in range(0, shape[1], size):
            bottom = min(top + size, shape[1])
            start = stride * top - padding
            part = rows.cut(feature, start, stride * (bottom - 1) - padding + kernel)
            expanded = rows.blank(self.expand(part), height, start)
            result[:, :, top:bottom] = filters(expanded, padded=False)
        return result


def _blocks(stage: nn.Module) -> Iterator[MBConv]:
    for block in stage.children():
        assert isinstance(block, MBConv)
        yield block
