"""Which parts of an encoder learn at a step: a pure function of the step's number."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)  # pyright: ignore[reportPrivateUsage] - torch names no other


@dataclass(frozen=True)
class Freeze:
    """An encoder that stays as it came for its first `whole` steps, its norms for `norms`."""

    whole: int
    norms: int

    @classmethod
    def of_shares(cls, whole: float, norms: float, total: int) -> Freeze:
        """Read shares of all steps; a positive one is a step at least, 1 is all of them."""
        whole_steps, norm_steps = (
            max(1, round(share * total)) if share else 0 for share in (whole, norms)
        )
        return cls(whole_steps, norm_steps)

    def changes(self, total: int) -> bool:
        """Tell whether something frozen learns later, within `total` steps."""
        return any(0 < steps < total for steps in (self.whole, self.norms))

    def at(self, step: int) -> tuple[bool, bool]:
        """Whether the whole encoder, and whether its norms are frozen at a step."""
        return step < self.whole, step < self.norms

    def apply(self, encoder: nn.Module, step: int) -> None:
        """Set an encoder in training mode to what holds at this step (0 is the first)."""
        frozen = step < self.whole
        encoder.train(not frozen)
        for parameter in encoder.parameters():
            parameter.requires_grad_(not frozen)
        if frozen or step >= self.norms:
            return
        for module in encoder.modules():
            if isinstance(module, NORMS):
                module.eval()
                for parameter in module.parameters():
                    parameter.requires_grad_(False)
