"""The pieces of an EfficientNet: convolution with norm, squeeze-and-excitation, drop path, MBConv.

A feature flows in, a feature flows out. Source: Tan & Le, EfficientNet (arXiv 1905.11946) and the
authors' code; MBConv is from MobileNetV2 (arXiv 1801.04381, figure 4d), squeeze-and-excitation from
arXiv 1709.01507, drop path (stochastic depth) from arXiv 1603.09382.
"""

import math
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.model import lean
from effunet.model.lean import Raw
from effunet.model.outline import outline
from effunet.model.same import StridedSameConv
from effunet.tensors import Feature, Result

Padding = Literal["same", "symmetric", "same_native"]
"""How a strided convolution pads: TensorFlow's SAME by the actual size; kernel // 2 around; or SAME
by the size that the feature has at the plan's own resolution, whatever the image (lukemelas, smp).
"""

NORM_MOMENTUM = 0.01  # TensorFlow's decay 0.99 in torch's words
SQUEEZE_RATIO = 0.25


class ConvNormAct(nn.Module):
    """Convolution without bias, batch norm, and SiLU unless `act` is False."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
        padding: Padding = "same",
        native: int | None = None,
        eps: float = 1e-3,
    ) -> None:
        """`native`: the input's side at the plan's own resolution, for padding "same_native"."""
        super().__init__()
        if stride > 1 and padding != "symmetric":
            self.conv = StridedSameConv(inputs, outputs, kernel, stride, groups=groups, bias=False)
            self.conv.native = native if padding == "same_native" else None
        else:
            self.conv = nn.Conv2d(
                inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
            )
        self.norm = nn.BatchNorm2d(outputs, eps=eps, momentum=NORM_MOMENTUM)
        # Not in place: autograd would copy the input first.
        self.act = nn.SiLU() if act else nn.Identity()
        self.built = outline(self)

    def forward(self, feature: Feature) -> Result:
        """Convolve, normalise, activate."""
        if isinstance(self.act, nn.SiLU) and lean.applies(feature, self, self.built):
            return lean.activate(Raw(self.conv(feature), self.norm, "silu"))
        return self.act(self.norm(self.conv(feature)))


class SqueezeExcite(nn.Module):
    """Weigh each channel by a gate in (0, 1) that a small net computes from all channels' means."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(width, squeezed, 1)
        self.act = nn.SiLU(inplace=True)
        self.expand = nn.Conv2d(squeezed, width, 1)

    def forward(self, feature: Feature) -> Feature:
        """Scale every channel of every image by its gate."""
        return feature * self.gate(feature)

    def gate(self, feature: Feature) -> Float[Tensor, "B D 1 1"]:
        """Compute the gates alone."""
        mean = F.adaptive_avg_pool2d(feature, 1)
        return self.expand(self.act(self.reduce(mean))).sigmoid()


class DropPath(nn.Module):
    """In training, drop a whole branch for a share `rate` of the images; scale up the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"a drop path rate is a share and must lie in [0, 1), got {rate}")
        self.rate = rate

    def forward(self, branch: Feature) -> Feature:
        """Keep the expected value: a kept branch is divided by the chance to be kept."""
        if not self.training or self.rate == 0:
            return branch
        keep = 1 - self.rate
        kept = branch.new_empty(len(branch), 1, 1, 1).bernoulli_(keep)
        return branch * (kept / keep)


class MBConv(nn.Module):
    """Mobile inverted bottleneck: expand, depthwise, squeeze-and-excite, project; plus shortcut.

    The gate's inner width is a quarter of the block's INPUT width, not of the expanded one. The
    shortcut exists where size and width stay the same, and only there can the branch be dropped.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        stride: int,
        expansion: int,
        padding: Padding = "same",
        native: int | None = None,
        eps: float = 1e-3,
        drop_path: float = 0.0,
    ) -> None:
        """`native` is ConvNormAct's."""
        super().__init__()
        inner = inputs * expansion
        self.expand = (
            ConvNormAct(inputs, inner, padding=padding, eps=eps) if expansion > 1 else nn.Identity()
        )
        self.depthwise = ConvNormAct(
            inner,
            inner,
            kernel,
            stride=stride,
            groups=inner,
            padding=padding,
            native=native,
            eps=eps,
        )
        self.squeeze = SqueezeExcite(inner, max(1, int(inputs * SQUEEZE_RATIO)))
        self.project = ConvNormAct(inner, outputs, act=False, padding=padding, eps=eps)
        self.shortcut = stride == 1 and inputs == outputs
        self.drop_path = DropPath(drop_path if self.shortcut else 0.0)
        self.built = outline(self)

    def forward(self, feature: Feature) -> Result:
        """Run the branch, and add the input where the shapes allow."""
        branch = (
            self._lean(feature) if lean.applies(feature, self, self.built) else self._plain(feature)
        )
        return feature + self.drop_path(branch) if self.shortcut else branch

    def _plain(self, feature: Feature) -> Result:
        return self.project(self.squeeze(self.depthwise(self.expand(feature))))

    def _lean(self, feature: Feature) -> Result:
        expand, depthwise, project = self.expand, self.depthwise, self.project
        if isinstance(expand, ConvNormAct):
            raw = Raw(expand.conv(feature), expand.norm, "silu")
            filtered = lean.convolve(raw, depthwise.conv)
        else:
            filtered = depthwise.conv(feature)
        raw = Raw(filtered, depthwise.norm, "silu")
        return project.norm(lean.project(raw, self.squeeze, project.conv))


def init_weights(module: nn.Module) -> None:
    """Draw fresh weights as the authors' code does: normal by fan-out, norms at identity.

    For use with Module.apply. A depthwise filter feeds one channel, so its fan-out is its own area.
    """
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        bound = 1 / math.sqrt(module.out_features)
        nn.init.uniform_(module.weight, -bound, bound)
        nn.init.zeros_(module.bias)
