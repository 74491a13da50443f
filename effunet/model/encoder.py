"""EfficientNet: normalised images in; a pyramid of five features out, or class logits with a head.

Source: Tan & Le, EfficientNet (arXiv 1905.11946); the numbers come from scaling.py.
"""

from dataclasses import dataclass
from itertools import count

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.model.blocks import ConvNormAct, MBConv, Padding, init_weights
from effunet.model.checkpointing import run
from effunet.model.facts import check_choice, check_range
from effunet.model.scaling import Plan, Skip, published, pyramid_blocks, pyramid_widths
from effunet.tensors import Feature, Normalised, Pyramid, Result

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Numerics:
    """What a set of weights was trained with, and is off without; by default as the authors did."""

    padding: Padding = "same"  # of the strided convolutions
    eps: float = 1e-3  # of every batch norm in the encoder
    mean: tuple[float, ...] = IMAGENET_MEAN  # of images in 0..1; one a channel, or one for all
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        check_choice("padding", self.padding, Padding)
        check_range("eps", self.eps, 0.0, 1.0)
        for value in self.mean:
            check_range("mean", value, -1e3, 1e3)
        for value in self.std:
            check_range("std", value, 1e-6, 1e3)
        if not self.mean or len(self.mean) != len(self.std):
            raise ValueError(
                f"mean and std need one number a channel each, got {self.mean} and {self.std}"
            )

    def check_channels(self, channels: int) -> None:
        """Refuse a mean that does not fit images of so many channels."""
        if len(self.mean) not in (1, channels):
            raise ValueError(
                f"mean has {len(self.mean)} numbers for images of {channels} channels: "
                f"give {channels}, or 1 for all, as Numerics.for_channels({channels}) does"
            )

    @classmethod
    def for_channels(cls, channels: int) -> "Numerics":
        """Give the default: ImageNet's mean and std for 3 channels, else 0.5 and 0.25 for all."""
        return cls() if channels == 3 else cls(mean=(0.5,), std=(0.25,))


class EfficientNet(nn.Module):
    """The encoder: a stem that halves the image, and stages of MBConv blocks.

    Without `classifier` it holds no parameter that features() does not use. `drop_path` (0.2 in
    section 5.2) grows with depth: block i of n, counted from 0, drops its branch at the rate
    drop_path * i / n. `checkpointing` keeps only the blocks' inputs in training and computes the
    rest a second time.
    """

    reduction = 32
    """Input size / size of the coarsest feature, rounded up."""

    def __init__(
        self,
        variant_or_plan: str | Plan,
        *,
        classifier: bool = False,
        classes: int = 1000,
        channels: int = 3,
        numerics: Numerics | None = None,
        drop_path: float = 0.2,
        checkpointing: bool = False,
        skip: Skip = "stem",
    ) -> None:
        super().__init__()
        self.plan = (
            published(variant_or_plan) if isinstance(variant_or_plan, str) else variant_or_plan
        )
        self.channels = channels
        self.numerics = numerics or Numerics.for_channels(channels)
        self.numerics.check_channels(channels)
        check_choice("skip", skip, Skip)
        self.skip: Skip = skip
        self.checkpointing = checkpointing
        self.widths = pyramid_widths(self.plan, skip)
        self._taps = pyramid_blocks(self.plan, skip)

        padding, eps = self.numerics.padding, self.numerics.eps
        width, native = self.plan.stem, self.plan.resolution
        self.stem = ConvNormAct(
            channels, width, 3, stride=2, padding=padding, native=native, eps=eps
        )
        native = (native + 1) // 2
        self.stages = nn.ModuleList()
        index = count()
        for stage in self.plan.stages:
            blocks = nn.ModuleList()
            for position in range(stage.repeats):
                stride = stage.stride if position == 0 else 1
                block = MBConv(
                    width,
                    stage.width,
                    kernel=stage.kernel,
                    stride=stride,
                    expansion=stage.expansion,
                    padding=padding,
                    native=native,
                    eps=eps,
                    drop_path=drop_path * next(index) / self.plan.blocks,
                )
                blocks.append(block)
                width, native = stage.width, -(-native // stride)
            self.stages.append(blocks)

        self.head = ConvNormAct(width, self.plan.head, eps=eps) if classifier else None
        self.dropout = nn.Dropout(self.plan.dropout)
        self.classifier = nn.Linear(self.plan.head, classes) if classifier else None
        self.apply(init_weights)

    def features(self, image: Normalised) -> Pyramid:
        """Compute the five features, finest first: reductions 2, 4, 8, 16, 32.

        The reduction-2 one is the stem's or the first stage's, as `skip` says.
        """
        feature = self._run(self.stem, image)
        pyramid = [feature] if self.skip != "stage1" else []
        for index, stage in enumerate(self.stages):
            for position, block in enumerate(stage.children()):
                feature = self._run(block, feature)
                if (index, position) in self._taps:
                    pyramid.append(feature)
        return tuple(pyramid)

    def spreads(self) -> tuple[Float[Tensor, " _"], ...]:
        """Standard deviation of each channel of each feature, finest first, as its norms make it.

        A block's last norm gives each channel its scale, and shortcuts add up the variances of
        their blocks. Of the stem it is that before the activation.
        """
        spread = self.stem.norm.weight.detach().abs()
        found = [spread] if self.skip != "stage1" else []
        for index, stage in enumerate(self.stages):
            for position, block in enumerate(stage.children()):
                assert isinstance(block, MBConv)
                scale = block.project.norm.weight.detach().abs()
                spread = spread.hypot(scale) if block.shortcut else scale
                if (index, position) in self._taps:
                    found.append(spread)
        return tuple(found)

    def forward(self, image: Normalised) -> Float[Tensor, "B classes"]:
        """Classify whole images; only for an encoder built with `classifier=True`."""
        if self.head is None or self.classifier is None:
            raise ValueError(
                "this EfficientNet has no classifier: call .features(image), "
                "or build it with classifier=True"
            )
        feature = self.head(self.features(image)[-1])
        pooled = F.adaptive_avg_pool2d(feature, 1).flatten(1)
        return self.classifier(self.dropout(pooled))

    def _run(self, block: nn.Module, feature: Feature) -> Result:
        return run(block, feature, within=[block], checkpointing=self.checkpointing)
