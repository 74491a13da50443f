"""Layers of exported graphs, copied with the weights that folding gives them."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.tensors import Result


def conv_of(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """The convolution with other weights, as float32."""
    padding = 0 if isinstance(conv.padding, str) else conv.padding[0]
    copy = nn.Conv2d(
        weight.shape[1] * conv.groups, len(weight), weight.shape[2], conv.stride[0], padding,
        groups=conv.groups, bias=bias is not None,
    )  # fmt: skip
    with torch.no_grad():
        copy.weight.copy_(weight)
        if bias is not None:
            copy.get_parameter("bias").copy_(bias)
    return copy


def enlarged(feature: Result, factor: int) -> Float[Tensor, "B E _ _"]:
    """Bilinear, as the decoders enlarge."""
    return F.interpolate(feature, scale_factor=float(factor), mode="bilinear")
