"""Fresh filters that take in features of known spreads as if these were all of one size.

An ImageNet encoder's channels stray by 3 to 9, what climbs towards them in a decoder by 1: where
both meet, all would be skip at first, and more so at each further level.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

LEAST = 0.1
"""Of the mean spread: a channel that strays by less stays small, for it says hardly anything."""


@torch.no_grad()
def settle(conv: nn.Conv2d, spread: Float[Tensor, " C"], first: int = 0) -> None:
    """Divide filters by the standard deviations of the channels that they read from `first` on.

    Where no channel strays, as behind a norm whose scale is zero, there is nothing to divide by.
    """
    unit = spread.maximum(LEAST * spread.mean()).view(1, -1, 1, 1)
    conv.weight[:, first : first + len(spread)] /= unit.where(unit > 0, 1.0)
