"""An EffUNet of standard layers alone: the same function, in operators that every converter knows.

Norms and the division by the standard deviation are folded into the convolutions, padding and crop
are part of it, nothing is dead, and every size of image runs through the same operators.
"""

from collections.abc import Iterator
from copy import deepcopy

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.export.layers import conv_of, enlarged
from effunet.export.unet import Doubling, StandardUNet
from effunet.model.blocks import ConvNormAct, MBConv, SqueezeExcite
from effunet.model.decoders import efficient
from effunet.model.decoders.efficient import DecoderBlock, DecoderLevel, EfficientDecoder
from effunet.model.decoders.unet import UNetDecoder
from effunet.model.encoder import EfficientNet
from effunet.model.inference.folded import folded
from effunet.model.network import EffUNet
from effunet.model.same import StridedSameConv
from effunet.tensors import Feature, Image, Logits, Pyramid, Result


class StandardEffUNet(nn.Module):
    """Images to logits, as EffUNet does in evaluation mode; holds copies of its weights."""

    mean: Tensor

    def __init__(self, network: EffUNet, *, doubling: Doubling = "concatenated") -> None:
        """Take the weights as they are.

        Args:
            network: trained, of float32.
            doubling: how steps of a U-Net compute; the others know none.
        """
        super().__init__()
        self.reduction = network.reduction
        self.register_buffer("mean", network.mean.clone())
        self.encoder = _encoder(network.encoder, network.std)
        if isinstance(network.decoder, UNetDecoder):
            self.decoder = StandardUNet(network.decoder, network.encoder.widths[-1], doubling)
        else:
            assert isinstance(network.decoder, EfficientDecoder)
            self.decoder = _Efficient(network.decoder)
        self.head = conv_of(network.head, network.head.weight.detach(), network.head.bias)
        self.enlarged = network.reduction >> len(self.decoder.steps)

    def forward(self, image: Image) -> Logits:
        """Score every pixel of images B C H W of any height and width."""
        height, width = image.shape[-2:]
        bottom, right = (-side % self.reduction for side in (height, width))
        centred = F.pad(image.to(self.mean.dtype) - self.mean, (0, right, 0, bottom), "replicate")
        logits: Logits = self.head(self.decoder(self.encoder.features(centred)))
        if self.enlarged > 1:
            logits = enlarged(logits, self.enlarged)
        return logits[..., :height, :width]


class _MBConv(nn.Module):
    """MBConv of folded convolutions."""

    def __init__(self, block: MBConv) -> None:
        super().__init__()
        expand = block.expand
        self.expand = nn.Identity() if isinstance(expand, nn.Identity) else _layer(expand)
        self.depthwise, self.project = _layer(block.depthwise), _layer(block.project)
        self.squeeze = _Squeeze(block.squeeze)
        self.shortcut = block.shortcut

    def forward(self, feature: Feature) -> Result:
        result = self.project(self.squeeze(self.depthwise(self.expand(feature))))
        return feature + result if self.shortcut else result


class _Squeeze(nn.Module):
    """SqueezeExcite; the mean as ReduceMean, which takes any size."""

    def __init__(self, squeeze: SqueezeExcite) -> None:
        super().__init__()
        self.reduce, self.expand = deepcopy(squeeze.reduce), deepcopy(squeeze.expand)

    def forward(self, feature: Feature) -> Feature:
        mean = feature.mean((2, 3), keepdim=True)
        return feature * self.expand(F.silu(self.reduce(mean))).sigmoid()


class _Efficient(nn.Module):
    """EfficientDecoder of folded convolutions."""

    def __init__(self, decoder: EfficientDecoder) -> None:
        super().__init__()
        levels = (level for level in decoder.levels if isinstance(level, DecoderLevel))
        self.steps = nn.ModuleList(_Level(level) for level in levels)

    def forward(self, pyramid: Pyramid) -> Feature:
        *skips, feature = pyramid
        for level in self.steps:
            feature = level(feature, skips.pop())
        return feature


class _Level(nn.Module):
    """DecoderLevel: the norm of the sum lies in both convolutions, its shift in the skip's."""

    def __init__(self, level: DecoderLevel) -> None:
        super().__init__()
        self.skip = conv_of(level.skip, *folded(level.skip, level.norm))
        weight, _ = folded(level.coarse, level.norm)
        self.coarse = conv_of(level.coarse, weight, None)
        blocks = (block for block in level.mix if isinstance(block, DecoderBlock))
        self.mix = nn.Sequential(*map(_Block, blocks))

    def forward(self, coarse: Feature, skip: Float[Tensor, "B S i j"]) -> Result:
        return self.mix(F.relu(enlarged(self.coarse(coarse), 2) + self.skip(skip)))


class _Block(nn.Module):
    """DecoderBlock of folded convolutions."""

    expand: nn.Conv2d
    depthwise: nn.Conv2d
    project: nn.Conv2d

    def __init__(self, block: DecoderBlock) -> None:
        super().__init__()
        for name in ("expand", "depthwise", "project"):
            conv, norm = efficient.parts(block.get_submodule(name))
            self.add_module(name, conv_of(conv, *folded(conv, norm)))

    def forward(self, feature: Feature) -> Feature:
        inner = F.relu(self.depthwise(F.relu(self.expand(feature))))
        return feature + self.project(inner)


def _encoder(encoder: EfficientNet, std: Tensor) -> EfficientNet:
    """The encoder on folded blocks; it takes images that are centred, not divided by `std`."""
    encoder = deepcopy(encoder)  # for features() as it is
    encoder.checkpointing = False
    encoder.set_submodule("stem", _layer(encoder.stem, 1 / std.double()))
    encoder.stages = nn.ModuleList(
        nn.ModuleList(_MBConv(block) for block in _blocks(stage)) for stage in encoder.stages
    )
    return encoder


def _blocks(stage: nn.Module) -> Iterator[MBConv]:
    for block in stage.children():
        assert isinstance(block, MBConv)
        yield block


def _layer(block: ConvNormAct, scale: Float[Tensor, "1 d 1 1"] | None = None) -> nn.Sequential:
    """The padding, convolution and activation of a ConvNormAct, for even sides."""
    conv = block.conv
    weight, bias = folded(conv, block.norm)
    layers: list[nn.Module] = [conv_of(conv, weight if scale is None else weight * scale, bias)]
    if isinstance(conv, StridedSameConv):  # its own padding is none
        layers.insert(0, nn.ZeroPad2d(conv.extra(0, 0)))
    if isinstance(block.act, nn.SiLU):
        layers.append(nn.SiLU())
    return nn.Sequential(*layers)
