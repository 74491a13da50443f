"""The learning rate as a pure function of the step, so that a resumed training has no say in it."""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from effunet.training.config.recipe import Optim

ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1 / 250_000
"""Where a cycle starts and ends, as a share of the peak: 1/25, and a 10 000th of that, as torch's
OneCycleLR and fastai have it."""


def poly(progress: float, power: float) -> float:
    """Fall as (1 - progress)^power, the law of DeepLab (Chen et al., arXiv 1606.00915)."""
    return (1 - progress) ** power


def cosine(progress: float, power: float) -> float:
    """Fall by half a cosine (Loshchilov & Hutter, SGDR, arXiv 1608.03983), without a restart."""
    return (1 + math.cos(math.pi * progress)) / 2


def one_cycle(progress: float, power: float) -> float:
    """Fall by half a cosine to the end of a cycle (Smith & Topin, arXiv 1708.07120)."""
    return ONE_CYCLE_END + (1 - ONE_CYCLE_END) * cosine(progress, power)


def constant(progress: float, power: float) -> float:
    """Stay at the peak."""
    return 1.0


DECAYS: dict[str, Callable[[float, float], float]] = {
    "poly": poly,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "constant": constant,
}
"""Factor on the peak by progress in 0..1 since the warm-up, and the exponent of poly."""


def lr_factor(
    step: int, total: int, warmup: int = 0, name: str = "poly", power: float = 0.9
) -> float:
    """Factor on the learning rate at `step` (0 is the first) of `total` optimizer steps.

    It is 1 at step `warmup`. Before, it rises linearly from 1 / (warmup + 1), or by half a cosine
    for `one_cycle`; behind, it falls by the law of that name, which ends at step `total`.
    """
    if not 0 <= warmup < total:
        raise ValueError(f"warm-up must be shorter than the {total} steps in all, got {warmup}")
    if not power > 0:
        raise ValueError(f"power must be positive, got {power}")
    if step >= warmup:
        return DECAYS[name](min((step - warmup) / (total - warmup), 1.0), power)
    if name == "one_cycle":
        return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * (1 - cosine(step / warmup, power))
    return (step + 1) / (warmup + 1)


def schedule(optimizer: Optimizer, recipe: Optim, total: int) -> LambdaLR:
    """Apply the recipe's law to every group of the optimizer, over `total` optimizer steps."""
    warmup = min(round(recipe.warmup * total), total - 1)

    def factor(step: int) -> float:
        return lr_factor(step, total, warmup, recipe.schedule, recipe.power)

    return LambdaLR(optimizer, factor)
