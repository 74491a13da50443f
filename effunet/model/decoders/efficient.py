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

from effunet.model import lean
from effunet.model.checkpointing import run
from effunet.model.decoders.plan import DecoderPlan
from effunet.model.decoders.spreads import settle
from effunet.model.lean import Raw
from effunet.model.outline import outline
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
        self.built = outline(self)

    def forward(self, feature: Feature) -> Feature:
        """Add what the branch finds."""
        if lean.applies(feature, self, self.built):
            return feature + self._lean(feature)
        inner = F.relu(self.expand(feature), inplace=True)
        inner = F.relu(self.depthwise(inner), inplace=True)
        return feature + self.project(inner)

    def _lean(self, feature: Feature) -> Feature:
        (expand, first), (depthwise, second), (project, last) = (
            parts(layer) for layer in (self.expand, self.depthwise, self.project)
        )
        filtered = lean.convolve(Raw(expand(feature), first, "relu"), depthwise)
        return last(lean.convolve(Raw(filtered, second, "relu"), project))


class DecoderLevel(nn.Module):
    """Enlarge to the skip's size, add the skip, and mix."""

    def __init__(self, inputs: int, skip: int, outputs: int, repeats: int) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.skip = nn.Conv2d(skip, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.norm_built = outline(self.norm)
        self.mix = nn.Sequential(*(DecoderBlock(outputs) for _ in range(repeats)))

    def forward(self, coarse: Feature, skip: Float[Tensor, "B S i j"]) -> Result:
        """Climb one level."""
        size = skip.shape[-2:]
        enlarged = F.interpolate(self.coarse(coarse), size=size, mode="bilinear")
        joined = enlarged + self.skip(skip)
        if lean.applies(joined, self.norm, self.norm_built):
            return self.mix(lean.activate(Raw(joined, self.norm, "relu")))
        return self.mix(F.relu(self.norm(joined), inplace=True))


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
        for module in self.modules():
            # By fan-out without regard to groups, so that a depthwise filter starts small and
            # learns fast behind its norm: as the candidates were measured.
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def settle(self, spreads: Sequence[Float[Tensor, " _"]]) -> None:
        """Fit fresh filters to the standard deviations of the pyramid's channels, finest first."""
        *skips, coarsest = spreads
        levels = [level for level in self.levels if isinstance(level, DecoderLevel)]
        settle(levels[0].coarse, coarsest)
        for level, skip in zip(levels, reversed(skips), strict=False):
            settle(level.skip, skip)

    def forward(self, pyramid: Pyramid, *, checkpointing: bool = False) -> Feature:
        """Give the last level's feature, at reduction 16, 8, 4 or 2 for one to four levels.

        With `checkpointing`, a training keeps only what flows into the levels.
        """
        *skips, feature = pyramid
        for level, skip in zip(self.levels, reversed(skips), strict=False):
            feature = run(level, feature, skip, within=[level], checkpointing=checkpointing)
        return feature


def parts(layer: nn.Module) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """Convolution and norm of a layer of a block."""
    conv, norm = layer.children()
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return conv, norm


def _conv_norm(inputs: int, outputs: int, kernel: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))
