"""The efficient decoder: a pyramid in, one feature at a coarse reduction out.

Cheap where the resolution is high. The sum of two 1x1 convolutions joins a coarse feature and a
skip, the coarse one taken before it is enlarged (a 1x1 convolution and a bilinear enlargement
commute), and inverted bottlenecks mix. The U-Net's skips (Ronneberger et al., arXiv 1505.04597) are
kept; lateral sums are those of Feature Pyramid Networks (Lin et al., arXiv 1612.03144), the
bottleneck is that of MobileNetV2 (arXiv 1801.04381, figure 4d). docs/decoder.md has the candidates
that it was chosen from.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.model.blocks import init_weights
from effunet.model.decoders.plan import DecoderPlan
from effunet.tensors import Feature, Pyramid, Result

EXPANSION = 2
"""Width inside a bottleneck / width of the level."""


class DecoderBlock(nn.Module):
    """An inverted bottleneck with a shortcut: expand, filter each channel, project."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = EXPANSION * width
        self.expand = _conv_norm(width, inner)
        self.depthwise = _conv_norm(inner, inner, kernel=3, groups=inner)
        self.project = _conv_norm(inner, width)

    def forward(self, feature: Feature) -> Feature:
        """Add what the branch finds."""
        inner = F.relu(self.expand(feature), inplace=True)
        inner = F.relu(self.depthwise(inner), inplace=True)
        return feature + self.project(inner)


class DecoderLevel(nn.Module):
    """Enlarge to the skip's size, add the skip, and mix."""

    def __init__(self, inputs: int, skip: int, outputs: int, repeats: int) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.skip = nn.Conv2d(skip, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.mix = nn.Sequential(*(DecoderBlock(outputs) for _ in range(repeats)))

    def forward(self, coarse: Feature, skip: Float[Tensor, "B S i j"]) -> Result:
        """Climb one level."""
        size = skip.shape[-2:]
        enlarged = F.interpolate(self.coarse(coarse), size=size, mode="bilinear")
        return self.mix(F.relu(self.norm(enlarged + self.skip(skip)), inplace=True))


class EfficientDecoder(nn.Module):
    """Climb from the coarsest feature to that of the plan's last level, one skip a level."""

    def __init__(self, pyramid: Sequence[int], plan: DecoderPlan) -> None:
        """`pyramid`: widths of the features, finest first; `plan`: of an efficient decoder."""
        super().__init__()
        *skips, coarsest = pyramid
        if len(plan.widths) > len(skips):
            raise ValueError(f"{len(plan.widths)} levels need as many skips, got {len(skips)}")
        inputs = (coarsest, *plan.widths[:-1])
        levels = zip(inputs, reversed(skips), plan.widths, plan.repeats, strict=False)
        self.levels = nn.ModuleList(DecoderLevel(*level) for level in levels)
        self.apply(init_weights)

    def forward(self, pyramid: Pyramid) -> Feature:
        """Give the last level's feature: for three levels at reduction 4."""
        *skips, feature = pyramid
        for level, skip in zip(self.levels, reversed(skips), strict=False):
            feature = level(feature, skip)
        return feature


def _conv_norm(inputs: int, outputs: int, kernel: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))
