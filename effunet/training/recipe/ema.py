"""An exponential moving average of a network's weights, kept beside them.

The average of the last steps lies nearer to the middle of a minimum than the last step does
(Polyak & Juditsky 1992); EfficientNet's own weights are such an average (Tan & Le, section 5.2).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

# One kernel for many small tensors, which torch's own optimizers use; it has no public name.
copy_each = torch._foreach_copy_  # pyright: ignore[reportPrivateUsage]
lerp_each = torch._foreach_lerp_  # pyright: ignore[reportPrivateUsage]


class Ema:
    """The average of all floating-point parameters and buffers of a network.

    After step n it moves by the share 1 - min(decay, (1 + n) / (10 + n)) towards the weights, as
    TensorFlow's ExponentialMovingAverage with num_updates does: a fresh network's random weights
    are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start with the network's weights; decay lies in [0, 1)."""
        if not 0 <= decay < 1:
            raise ValueError(f"ema is a decay and must lie in [0, 1), got {decay}")
        self.network = network
        self.decay = decay
        self.average = {name: value.detach().clone() for name, value in self._live().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimizer step number `step`, of which 1 is the first."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        live = self._live()
        self._follow(live)
        lerp_each(list(self.average.values()), list(live.values()), share)

    @contextmanager
    def applied(self) -> Generator[None]:
        """The network holds the average within, and its own weights again behind, come what may."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the average by the names of the network's state."""
        return dict(self.average)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up an average that was saved."""
        for name, value in self.average.items():
            value.copy_(state[name])

    @torch.no_grad()
    def _swap(self) -> None:
        live = self._live()
        self._follow(live)
        # The values change places, not the tensors: the optimizer and DDP hold on to theirs.
        own = [value.clone() for value in live.values()]
        copy_each(list(live.values()), list(self.average.values()))
        copy_each(list(self.average.values()), own)

    def _live(self) -> dict[str, Tensor]:
        state = self.network.state_dict()
        return {name: value for name, value in state.items() if value.is_floating_point()}

    def _follow(self, live: dict[str, Tensor]) -> None:
        """Move to the network's device, once: a trainer moves the network after it was built."""
        device = next(iter(live.values())).device
        if next(iter(self.average.values())).device != device:
            self.average = {name: value.to(device) for name, value in self.average.items()}
