"""The keys of a network: its kind, its encoder, its decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from effunet.model.architectures import ARCHITECTURES
from effunet.model.decoders.plan import DecoderName, DecoderPlan, decoder_plan
from effunet.model.lineages import LINEAGES, STEM_RULES
from effunet.model.scaling import ALPHA, BETA, CONSTANTS, GAMMA, Plan
from effunet.training.config.key import key


@dataclass
class Network:
    """Our own network of encoder and decoder, or one of segmentation_models_pytorch (smp)."""

    name: str = key(
        "effunet",
        "`effunet` joins the groups encoder and decoder, `smp` the encoder and a decoder of smp",
        choices=("effunet", "smp"),
    )
    architecture: str | None = key(
        None, "with `network=smp`: the class of smp", choices=tuple(ARCHITECTURES)
    )
    encoder: str | None = key(
        None,
        "with `network=smp`: smp's name of another encoder, such as `resnet34`, instead of the"
        " group encoder, fresh and without drop_path; empty: timm's twin of encoder=b0 to b7",
    )
    reset_head: bool = key(
        False, "with init_from: a fresh head, for classes that the segmenter does not have"
    )


@dataclass
class Encoder:
    """An EfficientNet: a published variant, or the compound law at any phi."""

    name: str = key(
        "b0",
        "published variant, or `phi` for the compound scaling law",
        choices=("b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "phi"),
    )
    phi: float | None = key(
        None, "compound coefficient, with `encoder=phi` only", low=-4.0, high=12.0
    )
    alpha: float = key(
        ALPHA, "with `encoder=phi`: depth grows by alpha^phi", low=CONSTANTS[0], high=CONSTANTS[1]
    )
    beta: float = key(
        BETA, "with `encoder=phi`: width grows by beta^phi", low=CONSTANTS[0], high=CONSTANTS[1]
    )
    gamma: float = key(
        GAMMA,
        "with `encoder=phi`: resolution grows by gamma^phi; it is stored as the network's own, and"
        " dataset.crop stays what you say",
        low=CONSTANTS[0],
        high=CONSTANTS[1],
    )
    weights: str = key(
        "none",
        "`none`; a .safetensors or torch.save file in the naming of timm, torchvision, lukemelas or"
        " smp; `hf://org/name[@revision]`; or from the hub `imagenet`, `noisy-student`, `advprop`:"
        " [weights.md](weights.md)",
    )
    numerics: str = key(
        "auto",
        "with weights: padding, eps, mean and std by the lineage that they are of; `auto`: what"
        " names and metadata tell",
        choices=("auto", *LINEAGES),
    )
    stem_rule: str = key(
        "auto",
        "with weights, for images that are not RGB: how the stem's filters are brought to their"
        " channels; `auto`: `sum` for grey images, `repeat` for others",
        choices=("auto", *STEM_RULES),
    )
    drop_path: float = key(
        0.2,
        "stochastic depth: chance to skip the last block, growing linearly from 0 with depth",
        low=0.0,
        high=0.9,
    )
    skip: str = key(
        "stem",
        "where the reduction-2 feature is taken; `smp`: the stem, and the reduction-16 feature"
        " as early as smp's efficientnet-b0 takes it",
        choices=("stem", "stage1", "smp"),
    )
    checkpointing: bool = key(
        False,
        "recompute the activations of each block and of the decoder's levels (of the U-Net's, the"
        " two finest) in the backward pass: less memory, more time",
    )
    freeze: float = key(
        0.0,
        "share of all steps, from the first on, in which the encoder stays as it came: weights,"
        " statistics, no drop_path; 1 is always",
        low=0.0,
        high=1.0,
    )
    freeze_norms: float = key(
        0.0,
        "share of all steps, from the first on, in which the encoder's batch norms stay as they"
        " came (statistics, scale and shift); 1 is always, and usual for tiny batches",
        low=0.0,
        high=1.0,
    )


@dataclass
class Decoder:
    """What climbs from reduction 32 towards the image's size."""

    name: str = key(
        "efficient",
        "`efficient` grows with the encoder and gives logits at reduction 4, which are enlarged"
        " once; `unet` is that of segmentation_models_pytorch: [decoder.md](decoder.md)",
        choices=("efficient", "unet"),
    )
    widths: list[int] | None = key(
        None,
        "channels of the levels, coarsest first: of `efficient` one to four, which end at"
        " reduction 16, 8, 4, 2; of `unet` five, which end at 1; empty: by the encoder's scale"
        " ([128, 96, 64] for B0), or [256, 128, 64, 32, 16]",
        low=1,
        high=4096,
    )
    repeats: list[int] | None = key(
        None,
        "blocks of each level of `efficient`; empty: by the encoder's depth at reductions 16 and 8,"
        " elsewhere one",
        low=1,
        high=16,
    )

    def plan(self, encoder: Plan) -> DecoderPlan:
        """Give the decoder that the keys describe, at the scale of an encoder.

        Raises:
            ValueError: numbers that the decoder does not take.
        """
        widths, repeats = (tuple(n) if n is not None else None for n in (self.widths, self.repeats))
        return decoder_plan(cast("DecoderName", self.name), encoder, widths, repeats)
