"""Logits to probabilities, probabilities to class indices."""

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


def decided(
    probabilities: Float[Tensor, "K h w"], threshold: float | None
) -> tuple[UInt8[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Give the index of the class that is named, and its probability: the one place of decision.

    Args:
        probabilities: of the classes.
        threshold: of two classes: where class 1 is as probable or more, it is named; None: the most
            probable one is.
    """
    if threshold is None:
        return most_probable(probabilities)
    first, second = probabilities
    named = second >= threshold
    return named.to(torch.uint8), torch.where(named, second, first)


@torch.inference_mode()
def probable(logits: Float[Tensor, "K h w"], temperature: float = 1.0) -> Float[Tensor, "K h w"]:
    """Give the probabilities of the classes: softmax(logits / temperature)."""
    return (logits if temperature == 1 else logits / temperature).softmax(0)
