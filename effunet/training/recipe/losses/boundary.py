"""Cross-entropy that weighs the pixels along the boundaries of the truth more than the others."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor, nn

from effunet.labels import IGNORE
from effunet.tensors import Logits, Mask
from effunet.training.recipe.losses.pixel import (
    Scalar,
    pixel_loss,
    pixel_weight,
    weighted_mean,
    weights_tensor,
)


class Boundary(nn.Module):
    """Cross-entropy in which a pixel near a change of class weighs `weight` times the others.

    The pixel-wise weights are U-Net's (Ronneberger et al., 2015, eq. 1 and 2), whose exponential of
    the distance becomes a band of constant width, the trimap in which boundaries are scored (Kohli
    et al., Robust higher order potentials, 2009): it needs no distance transform on the host.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        width: int = 2,
        weight: float = 5.0,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ):
        """Width is in pixels to each side of a boundary; a weight of 1 gives cross-entropy."""
        super().__init__()
        if width < 1:
            raise ValueError(f"boundary_width must be at least 1 pixel, got {width}")
        if not 1 <= weight < float("inf"):
            raise ValueError(f"boundary_weight must be at least 1 and finite, got {weight}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
        self.width, self.weight = width, weight
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weights", weights_tensor(class_weights), persistent=False)

    def forward(self, logits: Logits, target: Mask) -> Scalar:
        """One mean over all counted pixels of the batch."""
        near = near_boundary(target, self.width)
        emphasis = torch.where(near, self.weight, 1.0)
        loss = pixel_loss(logits, target, self.class_weights, self.label_smoothing)
        weight = pixel_weight(target, self.class_weights)
        return weighted_mean(loss * emphasis, weight * emphasis)


def near_boundary(target: Mask, width: int) -> Bool[Tensor, "B H W"]:
    """Counted pixels with another class at most `width` rows and columns away.

    That is a band of `width` pixels on each side of a boundary. Where a region of class a meets an
    ignored one nothing is known to change; two classes that an ignored seam parts meet across it.
    """
    counted = target != IGNORE
    # float32 holds all indices; bfloat16, the type of a mixed-precision step, does not.
    index = target.float()
    highest = _largest_around(index.where(counted, -torch.inf), width)
    lowest = -_largest_around((-index).where(counted, -torch.inf), width)
    return counted & (highest != lowest)


def _largest_around(values: Tensor, width: int) -> Tensor:
    """Largest value in a square of 2 width + 1 pixels, rows first and then columns."""
    size = 2 * width + 1
    rows = F.max_pool2d(values.unsqueeze(1), (size, 1), stride=1, padding=(width, 0))
    return F.max_pool2d(rows, (1, size), stride=1, padding=(0, width)).squeeze(1)
