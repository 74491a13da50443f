"""Probabilities to class indices."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def most_probable(
    probabilities: Float[Tensor, "*B K H W"],
) -> tuple[UInt8[Tensor, "*B H W"], Float[Tensor, "*B H W"]]:
    """Give the index of the most probable class of every pixel, and its probability.

    Args:
        probabilities: of 1 to 255 classes, those of a pixel sum to 1. Of equal ones the first is
            taken; where they are not numbers, all of them, the index is 0.
    """
    if probabilities.device.type != "cpu":
        confidence, index = probabilities.max(-3)
        return index.to(torch.uint8), confidence
    # On a CPU max keeps one index a pixel of 8 bytes, and compares one pixel at a time.
    classes = probabilities.shape[-3]
    confidence = probabilities.amax(-3, keepdim=True)
    places = torch.arange(classes, 0, -1, dtype=torch.uint8).view(-1, 1, 1)
    found = (probabilities == confidence).to(torch.uint8).mul_(places).amax(-3)
    return torch.where(found == 0, 0, classes - found), confidence.squeeze(-3)
