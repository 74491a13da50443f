"""The U-Net decoder of an exported graph, in the form that a runtime computes soonest.

A step doubles the coarse feature by repeating its pixels, and convolves it together with the skip.
A convolution of repeated pixels is four of the feature as it is, one for each corner of a repeated
pixel, with 4/9 of the multiply-adds; the skip's share is a convolution of its own, and is added.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.export.layers import conv_of
from effunet.model.decoders import unet
from effunet.model.decoders.unet import DecoderStep, UNetDecoder
from effunet.model.doubling import summed
from effunet.model.inference.folded import folded
from effunet.tensors import Feature, Pyramid, Result

Doubling = Literal["concatenated", "transposed", "shuffled"]
"""How a step computes: as the paper has it; the four convolutions as a transposed one; or as one of
four times the channels whose pixels are then put in their places, which 8 bits pass through whole.
"""


class StandardUNet(nn.Module):
    """UNetDecoder of folded convolutions."""

    def __init__(self, decoder: UNetDecoder, coarsest: int, doubling: Doubling) -> None:
        """`coarsest` is the width of the pyramid's last feature."""
        super().__init__()
        steps = (step for step in decoder.steps if isinstance(step, DecoderStep))
        if doubling == "concatenated":
            self.steps = nn.ModuleList(map(_Concatenated, steps))
        else:
            kind = _Transposed if doubling == "transposed" else _Shuffled
            widths = (coarsest, *decoder.widths)
            self.steps = nn.ModuleList(
                _Added(step, width, kind) for step, width in zip(steps, widths, strict=False)
            )

    def forward(self, pyramid: Pyramid) -> Feature:
        """Climb to the finest feature."""
        *skips, feature = pyramid
        for step in self.steps:
            feature = step(feature, skips.pop() if skips else None)
        return feature


class _Concatenated(nn.Module):
    """DecoderStep of folded convolutions."""

    conv1: nn.Conv2d
    conv2: nn.Conv2d

    def __init__(self, step: DecoderStep) -> None:
        super().__init__()
        for name in ("conv1", "conv2"):
            conv, norm = unet.parts(step.get_submodule(name))
            self.add_module(name, conv_of(conv, *folded(conv, norm)))

    def forward(self, coarse: Feature, skip: Float[Tensor, "B S i j"] | None) -> Result:
        mixed = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        if skip is not None:
            mixed = torch.cat([mixed, skip], 1)
        return F.relu(self.conv2(F.relu(self.conv1(mixed))))


class _Added(nn.Module):
    """DecoderStep without the doubled and the concatenated feature."""

    def __init__(
        self, step: DecoderStep, coarse: int, kind: "type[_Transposed] | type[_Shuffled]"
    ) -> None:
        super().__init__()
        conv, norm = unet.parts(step.conv1)
        weight, bias = folded(conv, norm)
        self.skip = None
        if weight.shape[1] > coarse:
            self.skip = conv_of(conv, weight[:, coarse:], None)
        self.coarse = kind(summed(weight[:, :coarse]), bias, whole=self.skip is None)
        conv, norm = unet.parts(step.conv2)
        self.conv2 = conv_of(conv, *folded(conv, norm))

    def forward(self, coarse: Feature, skip: Float[Tensor, "B S i j"] | None) -> Result:
        mixed = self.coarse(coarse)
        if self.skip is not None:
            mixed = F.relu(mixed + self.skip(skip))
        return F.relu(self.conv2(mixed))


class _Transposed(nn.Module):
    """A transposed convolution; with ReLU where it is the whole sum."""

    def __init__(
        self, weight: Float[Tensor, "d E 4 4"], bias: Float[Tensor, " E"], *, whole: bool
    ) -> None:
        super().__init__()
        coarse, channels = weight.shape[:2]
        self.conv, self.whole = nn.ConvTranspose2d(coarse, channels, 4, 2, 1), whole
        with torch.no_grad():
            self.conv.weight.copy_(weight)
            self.conv.get_parameter("bias").copy_(bias)

    def forward(self, feature: Feature) -> Result:
        result = self.conv(feature)
        return F.relu(result) if self.whole else result


class _Shuffled(nn.Module):
    """The same from a convolution of 2x2, which gives the pixels round each corner as channels.

    Corner i of the feature, padded by one, lies between its pixels i - 1 and i, and its rows
    2i - 1 and 2i of the doubled one are nearest: the outermost of them are padding's, and are cut.
    """

    TAPS = ((2, 0), (3, 1))
    """Of the transposed kernel: for the rows 2i - 1 and 2i, those of the pixels i - 1 and i."""

    def __init__(
        self, weight: Float[Tensor, "d E 4 4"], bias: Float[Tensor, " E"], *, whole: bool
    ) -> None:
        super().__init__()
        coarse, channels = weight.shape[:2]
        self.conv, self.whole = nn.Conv2d(coarse, 4 * channels, 2, padding=1), whole
        taps = torch.tensor(self.TAPS)
        # d E, rows and columns of the four, and 2 x 2 taps of each
        picked = weight[:, :, taps[:, None, :, None], taps[None, :, None, :]]
        with torch.no_grad():
            self.conv.weight.copy_(picked.permute(1, 2, 3, 0, 4, 5).reshape(-1, coarse, 2, 2))
            self.conv.get_parameter("bias").copy_(bias.repeat_interleave(4))

    def forward(self, feature: Feature) -> Result:
        result = self.conv(feature)
        # Before the pixels move, so that what moves is rounded already. As padding and no slice:
        # NNCF rounds in front of the one, and behind the other.
        result = F.relu(result) if self.whole else result
        return F.pad(F.pixel_shuffle(result, 2), (-1, -1, -1, -1))
