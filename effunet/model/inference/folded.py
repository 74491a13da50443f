"""Convolutions for inference: norm and padding folded in, the activation done while it is written.

Exact rewrites of trained layers, made in float64. On a CPU with oneDNN they run through the fused
operators that torch.compile uses, which never write a value twice; elsewhere through torch's own.
"""

from collections.abc import Callable
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.model.blocks import ConvNormAct, StridedSameConv
from effunet.model.doubling import summed
from effunet.tensors import Feature, Result

Act = Literal["none", "relu", "swish"]  # by oneDNN's names

HEAVY = 2**14
"""Elements of a weight from which its order in memory, oneDNN's own, is kept between two calls."""


class Packed:
    """A weight in the order that oneDNN wants for one size of input, kept until another comes.

    Else every call orders it anew, which small features with many channels wait for.
    """

    def __init__(self) -> None:
        self._latest: tuple[object, Tensor] | None = None

    def get(self, key: object, make: Callable[[], Tensor]) -> Tensor:
        """Give what was made for this key; two threads may both make it, and then agree."""
        latest = self._latest
        if latest is None or latest[0] != key:
            self._latest = latest = (key, make())
        return latest[1]

    def __reduce__(self) -> tuple[type["Packed"], tuple[()]]:
        """A copy starts empty: torch neither copies nor writes what is in oneDNN's order."""
        return Packed, ()


class FoldedConv(nn.Module):
    """A convolution that pads, adds its bias and activates; holds no parameter, only buffers."""

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        weight: Float[Tensor, "E d k k"],
        bias: Float[Tensor, " E"],
        *,
        padding: int,
        stride: int = 1,
        groups: int = 1,
        act: Act = "none",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Hold a copy of weight and bias as `dtype`, in channels_last memory."""
        super().__init__()
        self.padding, self.stride, self.groups = padding, stride, groups
        self.act: Act = act
        self.kernel = weight.shape[-1]
        layout = torch.channels_last
        self.register_buffer("weight", weight.to(dtype, copy=True).contiguous(memory_format=layout))
        self.register_buffer("bias", bias.to(dtype, copy=True))
        self._packed = Packed()

    def forward(
        self, feature: Feature, weight: Tensor | None = None, *, padded: bool = True
    ) -> Result:
        """Convolve and activate.

        Args:
            feature: the input.
            weight: stands in for the layer's own.
            padded: whether rows are padded; columns always are.
        """
        sides = [self.padding if padded else 0, self.padding]
        if _fuses(feature):
            weight = self._ordered(feature, sides) if weight is None else weight
            return torch.ops.mkldnn._convolution_pointwise(
                feature, weight, self.bias, sides, [self.stride] * 2, [1, 1], self.groups,
                self.act, [], "",
            )  # fmt: skip
        weight = self.weight if weight is None else weight
        result = F.conv2d(feature, weight, self.bias, self.stride, sides, 1, self.groups)
        return _activate(result, self.act)

    def onto(self, other: Result, feature: Feature, weight: Tensor | None = None) -> Result:
        """Convolve, add `other`, then activate; a stride of 1. `other` stays as it is."""
        if _fuses(feature):
            sides = [self.padding] * 2
            weight = self._ordered(feature, sides) if weight is None else weight
            unary = None if self.act == "none" else self.act
            return torch.ops.mkldnn._convolution_pointwise.binary(
                feature, other, weight, self.bias, sides, [1, 1], [1, 1], self.groups,
                "add", 1.0, unary, [], "",
            )  # fmt: skip
        weight = self.weight if weight is None else weight
        result = F.conv2d(feature, weight, self.bias, 1, self.padding, 1, self.groups)
        return _activate(result.add_(other), self.act)

    def _ordered(self, feature: Feature, sides: list[int]) -> Tensor:
        if self.weight.numel() < HEAVY:
            return self.weight
        size = list(feature.shape)
        return self._packed.get(
            (size, sides),
            lambda: torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, sides, [self.stride] * 2, [1, 1], self.groups, size
            ),
        )


class Doubling(nn.Module):
    """A 3x3 convolution of a map that was doubled by repeating its pixels, without that map."""

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        weight: Float[Tensor, "E d 3 3"],
        bias: Float[Tensor, " E"],
        act: Act = "none",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Take the weight of the convolution that it stands for."""
        super().__init__()
        self.act: Act = act
        self.register_buffer("weight", summed(weight).to(dtype))
        self.register_buffer("bias", bias.to(dtype, copy=True))
        self._packed = Packed()

    def forward(self, coarse: Feature, cut: int = 0) -> Result:
        """Give the doubled rows and columns, without the first and last `cut` rows (even)."""
        sides = [1 + cut, 1]
        if _fuses(coarse):
            shape = (sides, [0, 0], [2, 2], [1, 1], 1)
            size = list(coarse.shape)
            weight = self._packed.get(
                (size, sides),
                lambda: torch.ops.mkldnn._reorder_convolution_transpose_weight(
                    self.weight, *shape, size
                ),
            )
            return torch.ops.mkldnn._convolution_transpose_pointwise(
                coarse, weight, self.bias, *shape, self.act, [], ""
            )
        result = F.conv_transpose2d(coarse, self.weight, self.bias, 2, sides)
        return _activate(result, self.act)


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias, in float64, of the convolution that equals conv and norm in inference.

    Ioffe & Szegedy (arXiv 1502.03167), section 3.1: norm(y) = scale * (y - mean) + shift with
    scale = weight / sqrt(variance + eps), which is linear in y.
    """
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise ValueError("a norm without running statistics cannot be folded into a convolution")
    scale = norm.weight.double() / (variance.double() + norm.eps).sqrt()
    bias = conv.bias.double() if conv.bias is not None else torch.zeros_like(scale)
    shift = norm.bias.double() + scale * (bias - mean.double())
    return (conv.weight.double() * scale.view(-1, 1, 1, 1)).detach(), shift.detach()


def of_block(
    block: ConvNormAct, dtype: torch.dtype, scale: Float[Tensor, "1 d 1 1"] | None = None
) -> FoldedConv:
    """The one convolution that a ConvNormAct is, for inputs of even height and width.

    Args:
        block: with its running statistics.
        dtype: of the result.
        scale: a factor for each channel of the input, folded in, too.
    """
    conv = block.conv
    weight, bias = folded(conv, block.norm)
    if scale is not None:
        weight = weight * scale
    padding = int(conv.padding[0]) if not isinstance(conv.padding, str) else 0
    if isinstance(conv, StridedSameConv):
        # One row more after than before: a leading row of zeros makes both sides equal, and costs
        # less than a padded copy of the input.
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        total = kernel - stride + -(conv.native or 0) % stride
        weight, padding = F.pad(weight, (total % 2, 0, total % 2, 0)), (total + 1) // 2
    act: Act = "swish" if isinstance(block.act, nn.SiLU) else "none"
    stride, groups = conv.stride[0], conv.groups
    return FoldedConv(
        weight, bias, padding=padding, stride=stride, groups=groups, act=act, dtype=dtype
    )


def _activate(result: Tensor, act: Act) -> Tensor:
    """In place: a result of a convolution is nobody else's."""
    if act == "none":
        return result
    return F.relu(result, inplace=True) if act == "relu" else F.silu(result, inplace=True)


def _fuses(feature: Tensor) -> bool:
    return (
        feature.device.type == "cpu"
        and feature.dtype == torch.float32
        and not torch.is_grad_enabled()
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and _fused_operators_work()
    )


@cache
def _fused_operators_work() -> bool:
    """Whether this torch has the operators and they give what they should: they are not public."""
    noise = torch.Generator().manual_seed(0)
    feature = torch.randn(1, 4, 6, 6, generator=noise)
    feature = feature.contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(4, 4, 3, 3, generator=noise), torch.randn(4, generator=noise)
    plain = F.conv2d(feature, weight, bias, padding=1)
    try:
        shape = ([1, 1], [1, 1], [1, 1], 1)
        fused = torch.ops.mkldnn._convolution_pointwise
        found = fused(feature, weight, bias, *shape, "swish", [], "")
        ordered = torch.ops.mkldnn._reorder_convolution_weight(weight, *shape, [1, 4, 6, 6])
        added = fused.binary(feature, feature, ordered, bias, *shape, "add", 1.0, "relu", [], "")
        shape = ([1, 1], [0, 0], [2, 2], [1, 1], 1)
        order = torch.ops.mkldnn._reorder_convolution_transpose_weight
        ordered = order(weight, *shape, [1, 4, 6, 6])
        transpose = torch.ops.mkldnn._convolution_transpose_pointwise
        enlarged = transpose(feature, ordered, bias, *shape, "relu", [], "")
    except (AttributeError, RuntimeError, TypeError):
        return False
    larger = F.conv_transpose2d(feature, weight, bias, 2, 1)
    expected = (F.silu(plain), F.relu(plain + feature), F.relu(larger))
    pairs = zip((found, added, enlarged), expected, strict=True)
    return all(torch.allclose(one, other, atol=1e-5) for one, other in pairs)
