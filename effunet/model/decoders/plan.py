"""What decides a decoder but its weights: numbers alone, no torch.

The efficient decoder grows with its encoder by the compound law of Tan & Le (arXiv 1905.11946,
section 3.3): widths in proportion to the encoder's, and depth where a block is cheap.
"""

from dataclasses import dataclass
from typing import Any, Literal

from effunet.model.facts import check_range
from effunet.model.scaling import BASELINE, HEAD, WIDEST, Plan, round_width

DecoderName = Literal["efficient", "unet"]

UNET_WIDTHS = (256, 128, 64, 32, 16)
"""Of the steps to reductions 16, 8, 4, 2 and 1, as segmentation_models_pytorch has them."""

EFFICIENT_WIDTHS = (128, 96, 64)
"""Of the levels at reductions 16, 8 and 4, for B0 (docs/decoder.md says how they were found)."""

DEEPEST = 16
"""Most blocks of a level."""

LEVELS = 4
"""Most levels of the efficient decoder: one for each skip, the last at reduction 2."""

STORED = {"decoder": "name", "widths": "widths", "repeats": "repeats"}
"""The keys of a stored network that are a decoder's, and their names here."""


@dataclass(frozen=True)
class DecoderPlan:
    """Every number that decides a decoder; with it, weights fit whatever tables say later."""

    name: DecoderName
    widths: tuple[int, ...]  # of its levels, coarsest first; for the U-Net's five
    repeats: tuple[int, ...] = ()  # bottlenecks of each level of the efficient one

    def __post_init__(self) -> None:
        for width in self.widths:
            check_range("decoder.widths", width, 1, WIDEST)
        for number in self.repeats:
            check_range("decoder.repeats", number, 1, DEEPEST)
        widths, repeats = list(self.widths), list(self.repeats)
        if self.name == "unet":
            if len(widths) != len(UNET_WIDTHS):
                raise ValueError(f"decoder unet takes {len(UNET_WIDTHS)} widths, got {widths}")
            if repeats:
                raise ValueError(f"decoder unet takes no repeats, got {repeats}")
        elif not 1 <= len(widths) <= LEVELS:
            raise ValueError(
                f"decoder efficient takes 1 to {LEVELS} widths (to reductions 16, 8, 4, 2), got"
                f" {widths}; decoder unet takes {len(UNET_WIDTHS)}"
            )
        elif len(repeats) != len(widths):
            raise ValueError(
                f"decoder efficient takes as many repeats as widths, got {repeats} for {widths}"
            )

    def beside(self, plain: dict[str, Any]) -> dict[str, Any]:
        """Give the plain plan of a network with the decoder's numbers beside its own.

        So has every segmenter file them: name under `decoder`, then `widths`, and `repeats` where
        there are any.
        """
        repeats = {"repeats": list(self.repeats)} if self.repeats else {}
        return plain | {"decoder": self.name, "widths": list(self.widths)} | repeats

    @staticmethod
    def gathered(plain: dict[str, Any]) -> dict[str, Any]:
        """Give what `beside` gave with the decoder's numbers as a part of their own."""
        rest = {key: value for key, value in plain.items() if key not in STORED}
        part = {name: plain[key] for key, name in STORED.items() if key in plain}
        return rest | ({"decoder": {"repeats": []} | part} if "decoder" in plain else {})

    @property
    def title(self) -> str:
        """What the decoder is, in a few words."""
        widths, repeats = ("-".join(map(str, n)) for n in (self.widths, self.repeats))
        deeper = max(self.repeats, default=1) > 1
        return f"{self.name} {widths}" + (f", {repeats} blocks" if deeper else "")


def decoder_plan(
    name: DecoderName,
    encoder: Plan,
    widths: tuple[int, ...] | None = None,
    repeats: tuple[int, ...] | None = None,
) -> DecoderPlan:
    """Give the decoder of a name that suits an encoder.

    Args:
        name: which decoder.
        encoder: whose scale the efficient decoder follows.
        widths: of its levels, coarsest first; None: the U-Net's usual ones, or those of the law.
        repeats: of the efficient decoder's levels; None: those of the law at reductions 16 and 8,
            and one at every other level.

    Raises:
        ValueError: numbers that the decoder does not take.
    """
    if name == "unet":
        return DecoderPlan(name, widths or UNET_WIDTHS, repeats or ())
    if widths is None:
        scale = encoder.head / HEAD
        widths = tuple(round_width(scale * width) for width in EFFICIENT_WIDTHS)
    if repeats is None:
        # Whole times as deep as B0: the encoder's own rule, up, would double it at B1 already.
        deep = max(1, encoder.blocks // sum(stage.repeats for stage in BASELINE))
        repeats = tuple(min(deep, DEEPEST) if level < 2 else 1 for level in range(len(widths)))
    return DecoderPlan(name, widths, repeats)
