"""A stem for RGB becomes one for C channels, with the mean and std that go with it.

Told by the response to an image that is constant over its channels, after normalisation, against
that of the RGB stem to the same constant: `sum` keeps it, `mean` gives C / 3 of it, `repeat` keeps
it where C is a multiple of 3 and gives each colour its share elsewhere.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from effunet.model.encoder import Numerics
from effunet.model.lineages import STEM_RULES


def rule_for(channels: int, rule: str = "auto") -> str:
    """The rule meant by "auto": `sum` for a grey image, `repeat` for more channels."""
    if rule == "auto":
        return "sum" if channels == 1 else "repeat"
    if rule not in STEM_RULES:
        raise ValueError(f"a stem rule is one of auto, {', '.join(STEM_RULES)}, got {rule!r}")
    return rule


def widen(
    weight: Float[Tensor, "O 3 k k"], channels: int, rule: str = "auto"
) -> Float[Tensor, "O C k k"]:
    """Make the filters of a stem for RGB take so many channels.

    Args:
        weight: of the convolution for RGB.
        channels: C, 1 or more.
        rule: `sum` shares the sum over RGB evenly among the channels (of a grey image: it sees what
            the RGB stem sees of the image three times); `mean` gives each channel the mean over
            RGB; `repeat` gives channel i the filter of RGB's channel i mod 3, scaled by 3 / C.
    """
    rule = rule_for(channels, rule)
    if rule == "repeat":
        return weight[:, torch.arange(channels) % 3] * (3 / channels)
    one = weight.sum(1, keepdim=True) / channels if rule == "sum" else weight.mean(1, keepdim=True)
    return one.repeat(1, channels, 1, 1)


def widen_numerics(numerics: Numerics, channels: int, rule: str = "auto") -> Numerics:
    """Give mean and std to so many channels: repeated as the filters are, or one for all."""
    if channels == 3:
        return numerics
    both = numerics.mean, numerics.std
    if rule_for(channels, rule) == "repeat":
        mean, std = (tuple(v[i % len(v)] for i in range(channels)) for v in both)
    else:
        mean, std = ((sum(v) / len(v),) for v in both)
    return replace(numerics, mean=mean, std=std)
