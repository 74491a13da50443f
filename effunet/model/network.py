"""EffUNet: raw images of any size in, logits at the images' own size out.

image --> normalise --> pad to a multiple of 32 --> encoder --> decoder --> head --> enlarge where
the decoder ends at a coarser reduction --> crop back
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.errors import ModelError
from effunet.model import facts, lean, raw
from effunet.model.decoders.efficient import EfficientDecoder
from effunet.model.decoders.plan import DecoderName, DecoderPlan, decoder_plan
from effunet.model.decoders.unet import UNetDecoder
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.facts import check_range
from effunet.model.outline import outline
from effunet.model.scaling import WIDEST, Plan, Skip
from effunet.tensors import Image, Logits, Pyramid, Result

MOST_CLASSES = 255  # a mask is uint8, and 255 means ignore


@dataclass(frozen=True)
class NetworkPlan:
    """Every fact that decides an EffUNet but its weights; plain JSON in a segmenter file."""

    encoder: Plan
    decoder: DecoderPlan
    classes: int
    channels: int = 3
    skip: Skip = "stem"
    numerics: Numerics = field(default_factory=Numerics)  # fits 3 channels; see for_channels

    def __post_init__(self) -> None:
        check_range("classes", self.classes, 1, MOST_CLASSES)
        check_range("channels", self.channels, 1, WIDEST)
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
        return self.decoder.beside(facts.write(self))

    @classmethod
    def from_plain(cls, values: object, where: str = "network") -> "NetworkPlan":
        """Read what to_plain gave; anything else is a ModelError that names place and value."""
        try:
            if isinstance(values, dict):
                values = DecoderPlan.gathered(cast("dict[str, Any]", values))
            return facts.read(cls, values, where)
        except ValueError as fault:
            raise ModelError(f"no network can be built from the stored plan: {fault}") from fault


class EffUNet(nn.Module):
    """EfficientNet encoder, a decoder, a head; normalisation and padding are part of it.

    Takes raw images, uint8 or float in the same range 0..255. In training, batch norm needs more
    than one value a channel: a batch of one image must be larger than `reduction` on a side.
    """

    reduction = EfficientNet.reduction
    mean: Tensor  # a channel, in units of the raw image; std likewise
    std: Tensor

    def __init__(
        self,
        encoder: EfficientNet,
        classes: int,
        decoder: DecoderName | DecoderPlan = "efficient",
    ) -> None:
        """Join them; a decoder by its name is the one that suits the encoder's scale."""
        super().__init__()
        if encoder.classifier is not None:
            raise ValueError(
                "the encoder's classifier would never be used: build it with classifier=False"
            )
        if not isinstance(decoder, DecoderPlan):
            decoder = decoder_plan(decoder, encoder.plan)
        self.plan = NetworkPlan(
            encoder=encoder.plan,
            decoder=decoder,
            classes=classes,
            channels=encoder.channels,
            skip=encoder.skip,
            numerics=encoder.numerics,
        )
        self.encoder = encoder
        if decoder.name == "unet":
            self.decoder = UNetDecoder(encoder.widths, decoder.widths)
            self.head = nn.Conv2d(decoder.widths[-1], classes, 3, padding=1)
        else:
            self.decoder = EfficientDecoder(encoder.widths, decoder)
            self.head = nn.Conv2d(decoder.widths[-1], classes, 1)
        self.decoder.settle(encoder.spreads())
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.get_parameter("bias"))
        self.head_built, self.built = outline(self.head), outline(self)
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
        return cls(encoder, plan.classes, plan.decoder)

    def forward(self, image: Image) -> Logits:
        """Score every pixel; any height and width from 1 up."""
        height, width = image.shape[-2:]
        normalised = self.normalise(image)
        logits = self._scored(self.encoder.features(normalised))
        if logits.shape[-2:] != normalised.shape[-2:]:
            logits = F.interpolate(logits, size=normalised.shape[-2:], mode="bilinear")
        return logits[..., :height, :width]

    def _scored(self, pyramid: Pyramid) -> Result:
        """Decoder and head: logits at the reduction where the decoder ends."""
        decoder, checkpointing = self.decoder, self.encoder.checkpointing
        if (
            isinstance(decoder, UNetDecoder)
            and decoder.is_lean(pyramid)
            and lean.applies(pyramid[-1], self.head, self.head_built)
        ):
            return lean.convolve(decoder.raw(pyramid, checkpointing=checkpointing), self.head)
        return self.head(decoder(pyramid, checkpointing=checkpointing))

    def normalise(self, image: Image) -> Float[Tensor, "B C h w"]:
        """Bring raw images to what the encoder takes: normalised, sides a multiple of 32.

        The border is continued to the right and below, so that no edge appears where none is.
        """
        return raw.normalise(image, self.mean, self.std, self.reduction)

    def macs(self, height: int, width: int) -> int:
        """Count the multiply-adds of one image of this size, without computing anything."""
        return _macs(self.plan, height, width)


@cache
def _macs(plan: NetworkPlan, height: int, width: int) -> int:
    """Counted once: a training says it, and so does the segmenter that it writes."""
    return raw.count_macs(lambda: EffUNet.from_plan(plan), plan.channels, height, width)
