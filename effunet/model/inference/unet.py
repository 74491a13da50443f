"""The U-Net decoder for inference, from the pyramid to strips of logits.

No feature is padded, upsampled or concatenated; the last step and the logits exist only a few rows
at a time, which stay in the processor's cache.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from effunet.model.decoders.unet import DecoderStep, UNetDecoder, parts
from effunet.model.inference import rows
from effunet.model.inference.folded import Doubling, FoldedConv, folded
from effunet.tensors import Feature, Pyramid, Result

ROWS = 16
"""A strip of logits is a multiple of so many rows high."""


class FoldedUNet(nn.Module):
    """UNetDecoder and the head for inference."""

    def __init__(
        self, decoder: UNetDecoder, head: nn.Conv2d, coarsest: int, dtype: torch.dtype
    ) -> None:
        """`coarsest` is the width of the pyramid's last feature."""
        super().__init__()
        *steps, last = (step for step in decoder.steps if isinstance(step, DecoderStep))
        coarse = [coarsest, *decoder.widths]
        self.steps = nn.ModuleList(
            FoldedStep(step, width, dtype) for step, width in zip(steps, coarse, strict=False)
        )
        self.doubling, self.mix = _doubling(last, coarse[-2], dtype)
        self.widest = max(head.in_channels, head.out_channels)
        bias = head.get_parameter("bias").detach()
        self.head = FoldedConv(head.weight.detach(), bias, padding=1, dtype=dtype)

    def strips(self, pyramid: Pyramid, height: int, width: int) -> Iterator[Result]:
        """Give the logits of an image from top to bottom, in strips as wide as it."""
        feature = self._coarse(pyramid)
        del pyramid
        size = self._rows(feature)
        for top in range(0, height, size):
            # The last one no higher than it needs be, but even, as the doubled rows are.
            left = height - top + height % 2
            yield self._tail(feature, top, min(size, left))[:, :, : height - top, :width]

    # Not on the generator: its mode would be the consumer's between two strips.
    @torch.inference_mode()
    def _coarse(self, pyramid: Pyramid) -> Feature:
        """All but the last step and the head."""
        *skips, feature = pyramid
        for step in self.steps:
            feature = step(feature, skips.pop())
        return feature

    def _rows(self, feature: Feature) -> int:
        """Height of a strip of logits."""
        batch, _, height, width = feature.shape
        fitting = 2 * rows.STRIP // (batch * self.widest * 2 * width * feature.element_size())
        return min(2 * height, max(ROWS, fitting // ROWS * ROWS))

    @torch.inference_mode()
    def _tail(self, feature: Feature, top: int, size: int) -> Result:
        """The last step and the head, for `size` rows of logits.

        Each 3x3 convolution needs a row more above and below than it gives. Strips at the border
        are computed like all others, and set to zero where a convolution's padding would be.
        """
        height = 2 * feature.shape[2]
        coarse = rows.cut(feature, top // 2 - 2, (top + size) // 2 + 2)
        doubled = rows.blank(self.doubling(coarse, cut=2), height, top - 2)
        mixed = rows.blank(self.mix(doubled, padded=False), height, top - 1)
        return self.head(mixed, padded=False)


class FoldedStep(nn.Module):
    """DecoderStep for inference, of a skip of exactly twice the size."""

    def __init__(self, step: DecoderStep, coarse: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.doubling, self.mix = _doubling(step, coarse, dtype)
        conv, norm = parts(step.conv1)
        weight = folded(conv, norm)[0][:, coarse:]
        nothing = weight.new_zeros(len(weight))  # the bias comes with the other half
        self.skip = FoldedConv(weight, nothing, padding=1, act="relu", dtype=dtype)

    def forward(self, coarse: Feature, skip: Float[Tensor, "B S i j"]) -> Result:
        """Climb one level."""
        return self.mix(self.skip.onto(self.doubling(coarse), skip))


def _doubling(step: DecoderStep, coarse: int, dtype: torch.dtype) -> tuple[Doubling, FoldedConv]:
    """The first convolution's share of the coarse feature, and the second one."""
    conv, norm = parts(step.conv1)
    weight, bias = folded(conv, norm)
    act = "none" if weight.shape[1] > coarse else "relu"  # behind the sum with the skip's share
    doubling = Doubling(weight[:, :coarse], bias, act, dtype)
    return doubling, FoldedConv(*folded(*parts(step.conv2)), padding=1, act="relu", dtype=dtype)
