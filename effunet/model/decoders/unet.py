"""The U-Net decoder: a pyramid in, one feature at the image's own size out.

Function for function that of segmentation_models_pytorch's Unet, so that its weights fit. After
Ronneberger et al., U-Net (arXiv 1505.04597), with a pretrained encoder as the contracting path.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.model import lean
from effunet.model.checkpointing import run
from effunet.model.decoders.plan import UNET_WIDTHS
from effunet.model.decoders.spreads import settle
from effunet.model.lean import Raw
from effunet.model.outline import outline
from effunet.tensors import Feature, Pyramid, Result

RECOMPUTED = 2
"""Steps, from the finest on, that checkpointing computes a second time.

A step takes about as long as any other, and holds twice as much as the one before.
"""


class DecoderStep(nn.Module):
    """Double the size, take in the skip where there is one, and mix by two 3x3 convolutions."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = _conv_norm_relu(inputs + skip, outputs)
        self.conv2 = _conv_norm_relu(outputs, outputs)

    def forward(self, coarse: Feature, skip: Float[Tensor, "B S i j"] | None) -> Result:
        """Climb one level; a step without a skip doubles height and width."""
        if skip is None:
            mixed = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        else:
            # To the skip's own size, not by factor 2: an odd feature is half a pixel short below.
            size = skip.shape[-2:]
            mixed = torch.cat([F.interpolate(coarse, size=size, mode="nearest"), skip], dim=1)
        return self.conv2(self.conv1(mixed))

    def raw(
        self,
        coarse: Feature,
        norm: nn.BatchNorm2d | None,
        skip: Float[Tensor, "B S i j"] | None,
    ) -> Result:
        """Climb one level by lean.py, from convolution to convolution.

        Args:
            coarse: the coarser feature; before norm and ReLU where there is a `norm`.
            norm: of the step before; the own second one is left to the next step.
            skip: of exactly twice its height and width.
        """
        (conv1, norm1), (conv2, _) = parts(self.conv1), parts(self.conv2)
        before = coarse if norm is None else Raw(coarse, norm, "relu")
        return lean.convolve(Raw(lean.double(before, skip, conv1), norm1, "relu"), conv2)

    @property
    def norm(self) -> nn.BatchNorm2d:
        """The second one."""
        return parts(self.conv2)[1]


class UNetDecoder(nn.Module):
    """Climb from the coarsest feature to the image's size, one skip a step and none in the last.

    `pyramid` (widths of the features, finest first) and `widths` (of the steps, in the order of the
    climb) are of equal length.
    """

    def __init__(self, pyramid: Sequence[int], widths: Sequence[int] = UNET_WIDTHS) -> None:
        super().__init__()
        if len(widths) != len(pyramid):
            raise ValueError(
                f"a decoder needs one width for each of the {len(pyramid)} pyramid levels, "
                f"got {len(widths)}: {tuple(widths)}"
            )
        self.widths = tuple(widths)
        *skips, coarsest = pyramid
        inputs = (coarsest, *widths[:-1])
        self.steps = nn.ModuleList(
            DecoderStep(*step) for step in zip(inputs, (*reversed(skips), 0), widths, strict=True)
        )
        self.apply(_init_conv)
        self.built = outline(self)

    def settle(self, spreads: Sequence[Float[Tensor, " _"]]) -> None:
        """Fit fresh filters to the standard deviations of the pyramid's channels, finest first."""
        *skips, coarsest = spreads
        steps = [step for step in self.steps if isinstance(step, DecoderStep)]
        settle(parts(steps[0].conv1)[0], coarsest)
        for step, skip in zip(steps, reversed(skips), strict=False):
            conv = parts(step.conv1)[0]
            settle(conv, skip, conv.in_channels - len(skip))

    def forward(self, pyramid: Pyramid, *, checkpointing: bool = False) -> Feature:
        """Give the last step's feature, at twice the size of the pyramid's finest level.

        With `checkpointing`, a training keeps only what flows into the last RECOMPUTED steps.
        """
        if self.is_lean(pyramid):
            return lean.activate(self.raw(pyramid, checkpointing=checkpointing))
        *skips, feature = pyramid
        for step, skip in zip(self.steps, (*reversed(skips), None), strict=True):
            again = checkpointing and step in self.steps[-RECOMPUTED:]
            feature = run(step, feature, skip, within=[step], checkpointing=again)
        return feature

    def is_lean(self, pyramid: Pyramid) -> bool:
        """Tell whether `raw` may take this pyramid: in training, every level twice the next one."""
        doubles = all(
            [2 * side for side in coarse.shape[-2:]] == list(fine.shape[-2:])
            for fine, coarse in pairwise(pyramid)
        )
        return doubles and lean.applies(pyramid[-1], self, self.built)

    def raw(self, pyramid: Pyramid, *, checkpointing: bool = False) -> Raw:
        """Give what `forward` does, before its last norm and activation."""
        *skips, coarse = pyramid
        norm = None
        for step, skip in zip(self.steps, (*reversed(skips), None), strict=True):
            assert isinstance(step, DecoderStep)
            within = [step] if norm is None else [step, norm]
            again = checkpointing and step in self.steps[-RECOMPUTED:]
            coarse = run(step.raw, coarse, norm, skip, within=within, checkpointing=again)
            norm = step.norm
        assert norm is not None
        return Raw(coarse, norm, "relu")


def _conv_norm_relu(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def parts(layer: nn.Module) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """Convolution and norm of a layer of a step."""
    conv, norm, _ = layer.children()
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return conv, norm


def _init_conv(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_uniform_(module.weight, mode="fan_in", nonlinearity="relu")
