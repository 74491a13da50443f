"""The efficient decoder for inference, from the pyramid to strips of logits.

The norms are folded into the convolutions, and every sum and activation is done while one writes;
the logits are small until they are enlarged, plane by plane and a few rows at a time.
"""

from collections.abc import Iterator

import cv2
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.model.decoders.efficient import DecoderBlock, DecoderLevel, EfficientDecoder, parts
from effunet.model.encoder import EfficientNet
from effunet.model.inference import rows
from effunet.model.inference.folded import Act, FoldedConv, folded
from effunet.tensors import Feature, Logits, Pyramid, Result


class FoldedEfficient(nn.Module):
    """EfficientDecoder and the head for inference."""

    def __init__(self, decoder: EfficientDecoder, head: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        levels = (level for level in decoder.levels if isinstance(level, DecoderLevel))
        self.levels = nn.ModuleList(FoldedLevel(level, dtype) for level in levels)
        bias = head.get_parameter("bias").detach()
        self.head = FoldedConv(head.weight.detach(), bias, padding=0, dtype=dtype)

    def strips(self, pyramid: Pyramid, height: int, width: int) -> Iterator[Logits]:
        """Give the logits of an image from top to bottom, in strips as wide as it."""
        scale = EfficientNet.reduction >> len(self.levels)
        coarse = self._coarse(pyramid)
        batch, classes, coarse_height, coarse_width = coarse.shape
        del pyramid
        line = batch * classes * coarse_width * scale * coarse.element_size()
        # Rows of the coarse logits: a strip of full size stays in the cache.
        size = max(1, rows.STRIP // (line * scale))
        for top in range(0, -(-height // scale), size):
            bottom = min(top + size, coarse_height)
            enlarged = _enlarged(coarse, top, bottom, scale)
            yield enlarged[:, :, : height - top * scale, :width]

    # Not on the generator: its mode would be the consumer's between two strips.
    @torch.inference_mode()
    def _coarse(self, pyramid: Pyramid) -> Result:
        """The logits at the reduction of the last level, plane by plane."""
        *skips, feature = pyramid
        for level in self.levels:
            feature = level(feature, skips.pop())
        return self.head(feature).contiguous()


class FoldedLevel(nn.Module):
    """DecoderLevel for inference."""

    def __init__(self, level: DecoderLevel, dtype: torch.dtype) -> None:
        super().__init__()
        weight, bias = folded(level.skip, level.norm)
        self.skip = FoldedConv(weight, bias, padding=0, act="relu", dtype=dtype)
        weight, _ = folded(level.coarse, level.norm)
        nothing = torch.zeros_like(bias)  # the bias comes with the other half
        self.coarse = FoldedConv(weight, nothing, padding=0, dtype=dtype)
        blocks = (block for block in level.mix if isinstance(block, DecoderBlock))
        self.mix = nn.Sequential(*(FoldedBlock(block, dtype) for block in blocks))

    def forward(self, coarse: Feature, skip: Float[Tensor, "B S i j"]) -> Result:
        """Climb one level."""
        size = skip.shape[-2:]
        enlarged = F.interpolate(self.coarse(coarse), size=size, mode="bilinear")
        return self.mix(self.skip.onto(enlarged, skip))


class FoldedBlock(nn.Module):
    """DecoderBlock for inference."""

    def __init__(self, block: DecoderBlock, dtype: torch.dtype) -> None:
        super().__init__()
        self.expand = _folded(block.expand, "relu", dtype)
        self.depthwise = _folded(block.depthwise, "relu", dtype)
        self.project = _folded(block.project, "none", dtype)

    def forward(self, feature: Feature) -> Feature:
        """As DecoderBlock does."""
        return self.project.onto(feature, self.depthwise(self.expand(feature)))


def _folded(layer: nn.Module, act: Act, dtype: torch.dtype) -> FoldedConv:
    conv, norm = parts(layer)
    padding, groups = conv.kernel_size[0] // 2, conv.groups
    return FoldedConv(*folded(conv, norm), padding=padding, groups=groups, act=act, dtype=dtype)


def _enlarged(coarse: Result, top: int, bottom: int, scale: int) -> Logits:
    """Rows top..bottom of coarse planes, `scale` times as large, as bilinear interpolation does.

    A row more on each side, where there is one, gives the rows at the strip's edges what they need.
    """
    start, stop = max(0, top - 1), min(bottom + 1, coarse.shape[2])
    batch, classes, _, width = coarse.shape
    height = (stop - start) * scale
    large = coarse.new_empty(batch, classes, height, width * scale)
    for source, target in zip(
        coarse[:, :, start:stop].flatten(0, 1).numpy(), large.flatten(0, 1).numpy(), strict=True
    ):
        cv2.resize(source, (width * scale, height), dst=target, interpolation=cv2.INTER_LINEAR)
    return large[:, :, (top - start) * scale : (bottom - start) * scale]
