"""Batch norm and activation as steps of their own: forwards, a second time, and back.

What is between two convolutions of a network, for recomputed.py, in as few passes over memory and
as few new blocks of it as torch's own operators allow.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from effunet.tensors import Feature, Result

Act = Literal["silu", "relu"]
Channels = Float[Tensor, " D"]
aten = torch.ops.aten


@dataclass(frozen=True)
class Norm:
    """How a batch norm takes this batch, and the activation behind it."""

    act: Act
    eps: float
    running_mean: Channels
    running_var: Channels
    training: bool
    """Whether it takes the batch's own statistics, and moves the running ones towards them."""
    momentum: float


def normalise(
    raw: Feature, scale: Channels, shift: Channels, norm: Norm
) -> tuple[Feature, Channels, Channels]:
    """Normalise, move the running statistics, and give mean and 1 / deviation that were used."""
    normed, mean, inverse = torch.native_batch_norm(
        raw, scale, shift, norm.running_mean, norm.running_var, norm.training, norm.momentum,
        norm.eps,
    )  # fmt: skip
    if not norm.training:
        mean, inverse = norm.running_mean.clone(), (norm.running_var + norm.eps).rsqrt()
    return normed, mean, inverse


def normalise_again(
    raw: Feature, scale: Channels, shift: Channels, mean: Channels, inverse: Channels
) -> Feature:
    """Normalise by the statistics that `normalise` gave."""
    return torch.native_batch_norm(raw, scale, shift, mean, inverse.pow(-2), False, 0.0, 0.0)[0]


def activate(
    normed: Feature, act: Act, extra: tuple[int, int, int, int] = (0, 0, 0, 0), *, keep: bool
) -> Result:
    """Activate, with zeros around; in place unless SiLU's argument must be kept for its gradient.

    ReLU's gradient can be told from its result.
    """
    if not any(extra):
        if act == "relu":
            return normed.relu_()
        return F.silu(normed, inplace=not keep)
    left, right, above, below = extra
    batch, depth, height, width = normed.shape
    shape = (batch, depth, height + above + below, width + left + right)
    result = torch.empty(
        shape, dtype=normed.dtype, device=normed.device, memory_format=layout(normed)
    )
    for border in (
        result[:, :, :above], result[:, :, above + height :],
        result[..., :left], result[..., left + width :],
    ):  # fmt: skip
        border.zero_()
    inside = result[:, :, above : above + height, left : left + width]
    if act == "relu":
        inside.copy_(normed.relu_())
    else:
        aten.silu.out(normed, out=inside)
    return result


def through_act(gradient: Feature, normed: Feature, act: Act) -> None:
    """Go back through the activation; the gradient takes the place of `normed`."""
    if act == "relu":
        aten.threshold_backward.grad_input(gradient, normed, 0, grad_input=normed)
    else:
        aten.silu_backward.grad_input(gradient, normed, grad_input=normed)


def through_norm(
    gradient: Feature,
    raw: Feature,
    scale: Channels,
    mean: Channels,
    inverse: Channels,
    norm: Norm,
    needs: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """Give the gradients of raw, scale and shift that are needed."""
    if norm.training:
        statistics = (None, None, mean, inverse, True, norm.eps)
    else:
        statistics = (mean, inverse.pow(-2), None, None, False, 0.0)
    found = aten.native_batch_norm_backward(gradient, raw, scale, *statistics, list(needs))
    return tuple(one if need else None for one, need in zip(found, needs, strict=True))


def layout(feature: Feature) -> torch.memory_format:
    """Tell how a feature lies in memory."""
    last = feature.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
