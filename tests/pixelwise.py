"""A segmenter that looks at one pixel at a time, so that tiles can change nothing."""

import torch
from tiny_segmenter import tiny_segmenter
from torch import nn

from effunet.segmenter import Segmenter


class Pixelwise(nn.Module):
    """Class k is the more probable the brighter channel k is."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.float() / 40


def pixelwise() -> Segmenter:
    """Such a network in place of the tiny one's."""
    segmenter = tiny_segmenter()
    plan, weight = segmenter.network.plan, nn.Parameter(torch.zeros(1))
    network = Pixelwise()
    network.plan, network.weight = plan, weight
    segmenter.network = network
    return segmenter
