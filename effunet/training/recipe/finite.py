"""Steps whose loss or gradient is no finite number are left out and counted; too many end it.

The gradient tells all: a loss that is nan or inf makes it so, and so does a batch on another
process. One number a step is read from the device, the gradient's norm, which clipping needs too.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from effunet.errors import DivergedError
from effunet.training.recipe.ema import copy_each


class FiniteGuard:
    """Keeps a network finite: what a bad step would have changed is as it was before."""

    def __init__(self, network: nn.Module, limit: int, clip: float | None, mend: str) -> None:
        """Guard a network; `limit` bad steps in a row raise, with `mend` as the way out.

        `clip` is the largest norm of the gradient, which is rescaled beyond; None: any.
        """
        self.network = network
        self.limit = limit
        self.clip = clip
        self.mend = mend
        self.left_out = 0
        self.row = 0
        self.first: tuple[int, float, list[int]] | None = None
        """Step, loss and images of the first bad step of the present row."""
        self._kept: list[Tensor] = []
        self._seen: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def begin(self) -> None:
        """Before the first batch of a step: keep the running statistics, which the forward moves.

        A batch that overflows would leave them nan for ever, with all weights still finite.
        """
        statistics = self._statistics()
        if [kept.device for kept in self._kept] != [value.device for value in statistics]:
            self._kept = [value.clone() for value in statistics]
        elif statistics:
            copy_each(self._kept, statistics)
        self._seen.clear()

    def see(self, loss: Tensor, images: Tensor) -> None:
        """Remember what a batch gave, for the message, without waiting for the device."""
        self._seen.append((loss.detach(), images))

    @torch.no_grad()
    def passes(self, step: int) -> bool:
        """Behind the backward pass: clip the gradient, or drop it if it is not finite.

        Without a gradient an optimizer leaves a parameter and its moments alone.

        Raises:
            DivergedError: `limit` steps in a row were not finite.
        """
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())
        if math.isfinite(norm.item()):
            self.row, self.first = 0, None
            if self.clip is not None:
                torch.nn.utils.clip_grads_with_norm_(self.network.parameters(), self.clip, norm)
            return True
        for parameter in self.network.parameters():
            parameter.grad = None
        statistics = self._statistics()
        if statistics:
            copy_each(statistics, self._kept)
        self.left_out += 1
        self.row += 1
        if self.first is None:
            self.first = self._describe(step)
        if self.row >= self.limit:
            raise DivergedError(self._text())
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return the counts, as plain values."""
        first = None if self.first is None else [*self.first]
        return {"left_out": self.left_out, "row": self.row, "first": first}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the counts of the run that is resumed."""
        self.left_out, self.row = state["left_out"], state["row"]
        first = state["first"]
        self.first = None if first is None else (first[0], first[1], list(first[2]))

    def _statistics(self) -> list[Tensor]:
        return [b for b in self.network.buffers() if b.is_floating_point() and b.numel()]

    def _describe(self, step: int) -> tuple[int, float, list[int]]:
        """Name the batch whose loss is at fault, or all of the step where only the gradient is."""
        values = [(loss.item(), images.tolist()) for loss, images in self._seen]
        bad = [(loss, images) for loss, images in values if not math.isfinite(loss)]
        chosen = bad or values or [(math.nan, [])]
        return step, chosen[0][0], [image for _, images in chosen for image in images]

    def _text(self) -> str:
        assert self.first is not None
        step, loss, images = self.first
        named = ", ".join(map(str, images)) or "of another process"
        what = "the gradient is not finite" if math.isfinite(loss) else f"the loss is {loss}"
        return (
            f"step {step}: {what} on training images {named}, and so it went for {self.row} steps"
            f" in a row, which were left out: {self.mend}"
        )
