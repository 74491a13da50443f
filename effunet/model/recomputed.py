"""Layers that keep for the backward pass what a convolution gave, and compute the rest again.

The raw output of a convolution flows in, that of the next one flows out. Between them lie batch
norm, activation and gate, which cost little arithmetic and, kept, more memory than all else: they
are computed a second time in the backward pass, from the same statistics. After In-Place Activated
BatchNorm (arXiv 1712.02616), of which this is the variant that inverts nothing.

Gradients are exact, and are not differentiable themselves.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from effunet.model.doubling import summed, summed_back
from effunet.model.normed import (
    Channels,
    Norm,
    activate,
    layout,
    normalise,
    normalise_again,
    through_act,
    through_norm,
)
from effunet.tensors import Feature, Result

aten = torch.ops.aten


@dataclass(frozen=True)
class Window:
    """How a kernel runs over a feature."""

    stride: int = 1
    padding: int = 0
    """Zeros on each side, which the convolution adds."""
    extra: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Zeros left, right, above and below, for what is not the same on all sides."""
    groups: int = 1
    doubling: bool = False
    """Of the feature with every pixel repeated to 2 x 2; the kernel is 3 x 3, the padding 1."""


DOUBLING = Window(padding=1, doubling=True)


class NormActConv(Function):
    """Batch norm, activation, convolution; keeps the input of the norm."""

    @staticmethod
    def forward(
        ctx: Any,
        raw: Feature,
        scale: Channels,
        shift: Channels,
        weight: Float[Tensor, "E d k l"],
        bias: Float[Tensor, " E"] | None,
        norm: Norm,
        window: Window,
    ) -> Result:
        """Give the raw output of the convolution."""
        normed, mean, inverse = normalise(raw, scale, shift, norm)
        active = activate(normed, norm.act, window.extra, keep=False)
        ctx.save_for_backward(raw, scale, shift, weight, bias, mean, inverse)
        ctx.norm, ctx.window = norm, window
        return torch.convolution(active, _kernel(weight, window), bias, *_words(window))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Result) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Compute norm and activation again, then go back through all three."""
        raw, scale, shift, weight, bias, mean, inverse = ctx.saved_tensors
        norm, window = ctx.norm, ctx.window
        needs: tuple[bool, ...] = ctx.needs_input_grad
        normed = normalise_again(raw, scale, shift, mean, inverse)
        active = activate(normed, norm.act, window.extra, keep=True)
        further, by_weight, by_bias = aten.convolution_backward(
            gradient, active, _kernel(weight, window), None if bias is None else list(bias.shape),
            *_words(window), [any(needs[:3]), needs[3], needs[4]],
        )  # fmt: skip
        del active
        if window.doubling and needs[3]:
            by_weight = summed_back(by_weight)
        before = (None, None, None)
        if any(needs[:3]):
            left, right, above, below = window.extra
            height, width = further.shape[2:]
            further = further[:, :, above : height - below, left : width - right]
            through_act(further, normed, norm.act)
            before = through_norm(normed, raw, scale, mean, inverse, norm, needs[:3])
        return *before, by_weight, by_bias, None, None


class NormGateProject(Function):
    """Batch norm, SiLU, squeeze-and-excitation, 1x1 convolution; keeps the input of the norm.

    The gate scales the columns of the convolution's weight, for every image anew, and not its
    input, which is larger. So the gradient of the gate needs no pass over the feature either: with
    T[b, e, d] = sum over pixels of gradient[b, e] * active[b, d], that of the weight is the sum
    over b of T * gate, and that of the gate the sum over e of T * weight.
    """

    @staticmethod
    def forward(
        ctx: Any,
        raw: Feature,
        scale: Channels,
        shift: Channels,
        reduce: Float[Tensor, "s D 1 1"],
        reduce_bias: Float[Tensor, " s"],
        expand: Float[Tensor, "D s 1 1"],
        expand_bias: Float[Tensor, " D"],
        weight: Float[Tensor, "E D 1 1"],
        norm: Norm,
    ) -> Result:
        """Give the raw output of the projection."""
        normed, mean, inverse = normalise(raw, scale, shift, norm)
        active = activate(normed, norm.act, keep=False)
        pooled = active.mean((2, 3))
        squeezed = F.linear(pooled, reduce.flatten(1), reduce_bias)
        gate = F.linear(F.silu(squeezed), expand.flatten(1), expand_bias).sigmoid()
        ctx.save_for_backward(
            raw, scale, shift, reduce, expand, weight, mean, inverse, pooled, squeezed, gate
        )
        ctx.norm = norm
        return _by_image(weight.flatten(1) * gate.unsqueeze(1), active)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Result) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Compute norm and activation again, then go back through all of it."""
        (raw, scale, shift, reduce, expand, weight, mean, inverse, pooled, squeezed, gate) = (
            ctx.saved_tensors
        )
        norm, needs = ctx.norm, ctx.needs_input_grad
        normed = normalise_again(raw, scale, shift, mean, inverse)
        active = activate(normed, norm.act, keep=True)
        matrix = weight.flatten(1)
        both = torch.bmm(gradient.flatten(2), active.flatten(2).mT)
        pixels = active.shape[2] * active.shape[3]
        del active
        by_weight = (both * gate.unsqueeze(1)).sum(0).view_as(weight) if needs[7] else None
        by_gate = (both * matrix).sum(1)
        # The gate's own net, last layer first.
        by_expanded = by_gate * gate * (1 - gate)
        by_squeezed = aten.silu_backward(by_expanded @ expand.flatten(1), squeezed)
        by_pooled = by_squeezed @ reduce.flatten(1)
        net = (
            (by_squeezed.mT @ pooled).view_as(reduce) if needs[3] else None,
            by_squeezed.sum(0) if needs[4] else None,
            (by_expanded.mT @ F.silu(squeezed)).view_as(expand) if needs[5] else None,
            by_expanded.sum(0) if needs[6] else None,
        )
        before = (None, None, None)
        if any(needs[:3]):
            columns = (matrix * gate.unsqueeze(1)).mT
            further = _by_image(columns, gradient, plus=by_pooled / pixels)
            through_act(further, normed, norm.act)
            before = through_norm(normed, raw, scale, mean, inverse, norm, needs[:3])
        return *before, *net, by_weight, None


class NormAct(Function):
    """Batch norm and activation; keeps the input of the norm."""

    @staticmethod
    def forward(ctx: Any, raw: Feature, scale: Channels, shift: Channels, norm: Norm) -> Feature:
        """Normalise and activate."""
        normed, mean, inverse = normalise(raw, scale, shift, norm)
        ctx.save_for_backward(raw, scale, shift, mean, inverse)
        ctx.norm = norm
        return activate(normed, norm.act, keep=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Feature) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Compute the norm again, then go back through both."""
        raw, scale, shift, mean, inverse = ctx.saved_tensors
        normed = normalise_again(raw, scale, shift, mean, inverse)
        through_act(gradient, normed, ctx.norm.act)
        needs = ctx.needs_input_grad[:3]
        return *through_norm(normed, raw, scale, mean, inverse, ctx.norm, needs), None


class Doubled(Function):
    """A 3x3 convolution, padded by 1, of a feature with every pixel repeated to 2 x 2."""

    @staticmethod
    def forward(ctx: Any, coarse: Feature, weight: Float[Tensor, "E D 3 3"]) -> Result:
        """Give its raw output, of twice the height and width."""
        ctx.save_for_backward(coarse, weight)
        return torch.convolution(coarse, summed(weight), None, *_words(DOUBLING))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Result) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make the kernel again, which can be larger than all else here."""
        coarse, weight = ctx.saved_tensors
        further, by_weight, _ = aten.convolution_backward(
            gradient, coarse, summed(weight), None, *_words(DOUBLING),
            [*ctx.needs_input_grad, False],
        )  # fmt: skip
        return further, summed_back(by_weight) if ctx.needs_input_grad[1] else None


def _by_image(
    matrices: Float[Tensor, "B E D"],
    feature: Feature,
    plus: Float[Tensor, "B E"] | None = None,
) -> Result:
    """Multiply the pixels of each image by its own matrix; the result is laid out as the feature.

    `plus` is added to every pixel of an image.
    """
    batch, _, height, width = feature.shape
    shape = (batch, matrices.shape[1], height, width)
    # Given here, because a product of one image comes with strides that torch's norm misreads.
    result = torch.empty(shape, dtype=feature.dtype, memory_format=layout(feature))
    pixels, products = feature.flatten(2), result.flatten(2)
    added = None if plus is None else plus.unsqueeze(2)
    if layout(feature) is torch.channels_last:  # the same, transposed
        matrices, pixels, products = pixels.mT, matrices.mT, products.mT
        added = None if added is None else added.mT
    if added is None:
        torch.bmm(matrices, pixels, out=products)
    else:
        torch.baddbmm(added, matrices, pixels, out=products)
    return result


def _kernel(weight: Tensor, window: Window) -> Tensor:
    return summed(weight) if window.doubling else weight


def _words(window: Window) -> tuple[Any, ...]:
    """Stride, padding, dilation, transposed, output padding and groups, as torch takes them."""
    stride = 2 if window.doubling else window.stride
    sides = [window.padding] * 2
    return [stride] * 2, sides, [1, 1], window.doubling, [0, 0], window.groups
