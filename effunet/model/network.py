"""EffUNet: raw images of any size in, logits at the images' own size out.

image --> normalise --> pad to a multiple of 32 --> encoder --> decoder --> head --> crop back
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

from effunet.errors import ModelError
from effunet.model import facts, lean, raw
from effunet.model.decoder import UNET_WIDTHS, UNetDecoder
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.facts import check_range
from effunet.model.scaling import WIDEST, Plan, Skip
from effunet.tensors import Image, Logits

MOST_CLASSES = 255  # a mask is uint8, and 255 means ignore


@dataclass(frozen=True)
class NetworkPlan:
    """Every fact that decides an EffUNet but its weights; plain JSON in a segmenter file."""

    encoder: Plan
    classes: int
    channels: int = 3
    decoder: Literal["unet"] = "unet"
    widths: tuple[int, ...] = UNET_WIDTHS  # of the decoder's steps, coarsest first
    skip: Skip = "stem"
    numerics: Numerics = field(default_factory=Numerics)  # fits 3 channels; see for_channels

    def __post_init__(self) -> None:
        check_range("classes", self.classes, 1, MOST_CLASSES)
        check_range("channels", self.channels, 1, WIDEST)
        if len(self.widths) != len(UNET_WIDTHS):
            raise ValueError(f"widths must be {len(UNET_WIDTHS)} numbers, got {self.widths}")
        for width in self.widths:
            check_range("widths", width, 1, WIDEST)
        self.numerics.check_channels(self.channels)

    @property
    def mean(self) -> tuple[float, ...]:
        """Of images in 0..1; one a channel, or one for all."""
        return self.numerics.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Likewise."""
        return self.numerics.std

    @property
    def title(self) -> str:
        """What the network is, in a few words."""
        return f"EffUNet {self.encoder.name}"

    @property
    def resolution(self) -> int:
        """Pixels a side of the images that the encoder is meant for."""
        return self.encoder.resolution

    def to_plain(self) -> dict[str, Any]:
        """Give the plan as JSON types."""
        return facts.write(self)

    @classmethod
    def from_plain(cls, values: object, where: str = "network") -> "NetworkPlan":
        """Read what to_plain gave; anything else is a ModelError that names place and value."""
        try:
            return facts.read(cls, values, where)
        except ValueError as fault:
            raise ModelError(f"no network can be built from the stored plan: {fault}") from fault


class EffUNet(nn.Module):
    """EfficientNet encoder, U-Net decoder, 3x3 head; normalisation and padding are part of it.

    Takes raw images, uint8 or float in the same range 0..255. In training, batch norm needs more
    than one value a channel: a batch of one image must be larger than `reduction` on a side.
    """

    reduction = EfficientNet.reduction
    mean: Tensor  # a channel, in units of the raw image; std likewise
    std: Tensor

    def __init__(
        self, encoder: EfficientNet, classes: int, decoder: Literal["unet"] | Sequence[int] = "unet"
    ) -> None:
        super().__init__()
        if encoder.classifier is not None:
            raise ValueError(
                "the encoder's classifier would never be used: build it with classifier=False"
            )
        widths = UNET_WIDTHS if decoder == "unet" else tuple(decoder)
        self.plan = NetworkPlan(
            encoder=encoder.plan,
            classes=classes,
            channels=encoder.channels,
            widths=widths,
            skip=encoder.skip,
            numerics=encoder.numerics,
        )
        self.encoder = encoder
        self.decoder = UNetDecoder(encoder.widths, widths)
        self.head = nn.Conv2d(widths[-1], classes, 3, padding=1)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.get_parameter("bias"))
        # Not among the weights: the plan says them, and two homes could disagree.
        numerics = self.plan.numerics
        self.register_buffer("mean", raw.per_channel(numerics.mean), persistent=False)
        self.register_buffer("std", raw.per_channel(numerics.std), persistent=False)

    @classmethod
    def from_plan(
        cls, plan: NetworkPlan, *, drop_path: float = 0.2, checkpointing: bool = False
    ) -> "EffUNet":
        """Build the network that a plan describes, with fresh weights."""
        encoder = EfficientNet(
            plan.encoder,
            channels=plan.channels,
            numerics=plan.numerics,
            drop_path=drop_path,
            checkpointing=checkpointing,
            skip=plan.skip,
        )
        return cls(encoder, plan.classes, plan.widths)

    def forward(self, image: Image) -> Logits:
        """Score every pixel; any height and width from 1 up."""
        height, width = image.shape[-2:]
        pyramid = self.encoder.features(self.normalise(image))
        checkpointing = self.encoder.checkpointing
        if self.decoder.is_lean(pyramid) and lean.applies(pyramid[-1], self.head, ()):
            raw = self.decoder.raw(pyramid, checkpointing=checkpointing)
            logits = lean.convolve(raw, self.head)
        else:
            logits = self.head(self.decoder(pyramid, checkpointing=checkpointing))
        return logits[..., :height, :width]

    def normalise(self, image: Image) -> Float[Tensor, "B C h w"]:
        """Bring raw images to what the encoder takes: normalised, sides a multiple of 32.

        The border is continued to the right and below, so that no edge appears where none is.
        """
        return raw.normalise(image, self.mean, self.std, self.reduction)

    def macs(self, height: int, width: int) -> int:
        """Count the multiply-adds of one image of this size, without computing anything."""
        return raw.count_macs(
            lambda: EffUNet.from_plan(self.plan), self.plan.channels, height, width
        )
