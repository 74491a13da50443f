"""The candidates that the efficient decoder was chosen from, each a few facts away from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from effunet.model.blocks import MBConv
from effunet.model.decoders.plan import EFFICIENT_WIDTHS
from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet


@dataclass(frozen=True)
class Design:
    """What tells the candidates apart."""

    block: Literal["separable", "inverted", "conv"]
    blocks: int = 1  # a level
    join: Literal["add", "concat"] = "add"
    upsampling: Literal["bilinear", "subpixel"] = "bilinear"
    context: bool = False  # an MBConv of kernel 7, without expansion, at reduction 32
    widths: tuple[int, ...] = EFFICIENT_WIDTHS  # to reduction 16, 8, ... of the head


DESIGNS = {
    "inverted": Design("inverted"),
    "inverted, context": Design("inverted", context=True),
    "inverted, two": Design("inverted", blocks=2, widths=(128, 64, 48)),
    "inverted, concat": Design("inverted", join="concat"),
    "inverted, subpixel": Design("inverted", upsampling="subpixel"),
    "separable": Design("separable", blocks=2, join="concat"),
    "conv": Design("conv"),
    "conv, head 2": Design("conv", widths=(128, 64, 48, 24)),
}


def network_of(name: str, encoder: str, classes: int) -> EffUNet:
    """An EffUNet with fresh weights: `unet`, `efficient`, or with a candidate in their place."""
    design = DESIGNS.get(name)
    if design is None:
        return EffUNet(EfficientNet(encoder), classes, "unet" if name == "unet" else "efficient")
    network = EffUNet(EfficientNet(encoder), classes, "unet")
    network.decoder = Candidate(design, network.encoder.widths)  # pyright: ignore[reportAttributeAccessIssue]
    network.head = nn.Conv2d(design.widths[-1], classes, 1)
    return network


class Candidate(nn.Module):
    """A pyramid in, a feature at the reduction of the head out."""

    def __init__(self, design: Design, pyramid: Sequence[int]) -> None:
        super().__init__()
        *skips, coarsest = pyramid
        self.context = (
            MBConv(coarsest, coarsest, kernel=7, stride=1, expansion=1)
            if design.context
            else nn.Identity()
        )
        inputs = (coarsest, *design.widths[:-1])
        self.levels = nn.ModuleList(
            Level(design, *three)
            for three in zip(inputs, reversed(skips), design.widths, strict=False)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pyramid: tuple[Tensor, ...], *, checkpointing: bool = False) -> Tensor:
        """Climb to the last level; nothing is checkpointed."""
        *skips, feature = pyramid
        feature = self.context(feature)
        for level, skip in zip(self.levels, reversed(skips), strict=False):
            feature = level(feature, skip)
        return feature


class Level(nn.Module):
    """Double the size, take in the skip, mix."""

    def __init__(self, design: Design, inputs: int, skip: int, width: int) -> None:
        super().__init__()
        self.subpixel, self.adds = design.upsampling == "subpixel", design.join == "add"
        self.spread = nn.Identity()
        if self.adds:
            self.spread = nn.Conv2d(inputs, (4 if self.subpixel else 1) * width, 1, bias=False)
            self.lateral = nn.Conv2d(skip, width, 1, bias=False)
            self.norm = nn.BatchNorm2d(width)
        else:
            self.lateral = nn.Sequential(*_conv_norm(inputs + skip, width))
            self.norm = nn.Identity()
        self.mix = nn.Sequential(*(_mixing(design.block, width) for _ in range(design.blocks)))

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Climb one level."""
        spread = self.spread(coarse)
        if self.subpixel:
            fine = F.pixel_shuffle(spread, 2)
        else:
            fine = F.interpolate(spread, size=skip.shape[-2:], mode="bilinear")
        if self.adds:
            joined = self.norm(fine + self.lateral(skip))
        else:
            joined = self.lateral(torch.cat([fine, skip], 1))
        return self.mix(F.relu(joined, inplace=True))


class Inverted(nn.Module):
    """An inverted bottleneck of expansion 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = 2 * width
        self.branch = nn.Sequential(
            *_conv_norm(width, inner),
            nn.ReLU(inplace=True),
            *_conv_norm(inner, inner, 3, inner),
            nn.ReLU(inplace=True),
            *_conv_norm(inner, width),
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Add what the branch finds."""
        return feature + self.branch(feature)


def _mixing(kind: str, width: int) -> nn.Module:
    if kind == "inverted":
        return Inverted(width)
    if kind == "separable":
        depthwise = _conv_norm(width, width, 3, width)
        return nn.Sequential(*depthwise, *_conv_norm(width, width), nn.ReLU(inplace=True))
    return nn.Sequential(*_conv_norm(width, width, 3), nn.ReLU(inplace=True))


def _conv_norm(inputs: int, outputs: int, kernel: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]
