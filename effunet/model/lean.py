"""A training step that keeps less: modules and a raw feature in, the next raw feature out.

What a network's own modules compute one after another, recomputed.py computes in fewer steps, with
the convolutions' raw outputs as all that is kept for the backward pass. `applies` says when.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules.module import _has_any_global_hook  # pyright: ignore[reportPrivateUsage]

from effunet.model.normed import Act, Norm
from effunet.model.outline import Outline, outline
from effunet.model.recomputed import (
    DOUBLING,
    Doubled,
    NormAct,
    NormActConv,
    NormGateProject,
    Window,
)
from effunet.model.same import StridedSameConv
from effunet.tensors import Feature, Result

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Where torch keeps what is called beside a module's own forward; it has no public word for it."""

_plain = ContextVar("plain", default=False)


@contextmanager
def plain() -> Generator[None]:
    """Let every module compute for itself, as second derivatives need it."""
    before = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(before)


def applies(feature: Tensor, module: nn.Module, built: Outline) -> bool:
    """Tell whether `module` may be computed by the functions below instead of by its own parts.

    So it is in a training on a CPU in float32 or float64, where it has been measured, and where
    nothing can tell the difference but a second derivative: not in evaluation, under autocast,
    torch.compile, an export, a trace, a functional transform or a forward derivative, and not with
    a hook on a part, or where the outline is no longer the one that it was `built` with.
    """
    return (
        module.training
        and torch.is_grad_enabled()
        and type(feature) is Tensor
        and feature.device.type == "cpu"
        and feature.dtype in (torch.float32, torch.float64)
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()  # pyright: ignore[reportPrivateUsage]
        and forward_ad._current_level < 0  # pyright: ignore[reportPrivateUsage]
        and not _plain.get()
        and not _has_any_global_hook()
        and not any(getattr(part, name) for part in module.modules() for name in HOOKS)
        and outline(module) == built
    )


@dataclass(frozen=True)
class Raw:
    """What a convolution gave, with norm and activation still to come; to be used once.

    A second use would move the norm's running statistics a second time.
    """

    feature: Feature
    norm: nn.BatchNorm2d
    act: Act


def convolve(raw: Raw, conv: nn.Conv2d) -> Result:
    """Normalise, activate, convolve."""
    if isinstance(conv, StridedSameConv):
        padding, extra = 0, conv.extra(*raw.feature.shape[-2:])
    else:
        padding, extra = conv.kernel_size[0] // 2, (0, 0, 0, 0)
    window = Window(conv.stride[0], padding, extra, conv.groups)
    return NormActConv.apply(*_before(raw), conv.weight, conv.bias, _norm(raw), window)


def double(coarse: Raw | Feature, skip: Float[Tensor, "B S i j"] | None, conv: nn.Conv2d) -> Result:
    """Convolve by 3x3 the doubled coarse feature, beside a skip of twice its size or none.

    Neither the doubled feature nor the two side by side exist.
    """
    feature = coarse.feature if isinstance(coarse, Raw) else coarse
    width = feature.shape[1]
    weight, beside = conv.weight.split([width, conv.in_channels - width], 1)
    if isinstance(coarse, Raw):
        result = NormActConv.apply(*_before(coarse), weight, None, _norm(coarse), DOUBLING)
    else:
        result = Doubled.apply(feature, weight)
    if skip is None:
        return result
    return result.add_(F.conv2d(skip, beside, padding=1))


def project(raw: Raw, squeeze: nn.Module, conv: nn.Conv2d) -> Result:
    """Normalise, activate, weigh each channel by the gate of a SqueezeExcite, convolve by 1x1."""
    net = [squeeze.get_submodule(name) for name in ("reduce", "expand")]
    weights = [layer.get_parameter(name) for layer in net for name in ("weight", "bias")]
    return NormGateProject.apply(*_before(raw), *weights, conv.weight, _norm(raw))


def activate(raw: Raw) -> Feature:
    """Normalise and activate."""
    return NormAct.apply(*_before(raw), _norm(raw))


def _before(raw: Raw) -> tuple[Tensor, Tensor, Tensor]:
    return raw.feature, raw.norm.weight, raw.norm.bias


def _norm(raw: Raw) -> Norm:
    """Read a norm as its own forward does, and count the batch."""
    norm = raw.norm
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None and norm.momentum is not None
    if norm.training:
        if raw.feature[:, 0].numel() == 1:
            raise ValueError(
                "Expected more than 1 value per channel when training, "
                f"got input size {raw.feature.shape}"
            )
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
    return Norm(raw.act, norm.eps, mean, variance, norm.training, norm.momentum)
