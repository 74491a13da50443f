"""A network in, parameter groups for the optimizer out; the learning rate as a law of the step."""

from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def parameter_groups(
    network: nn.Module, lr: float, encoder_lr_factor: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Up to four named groups: encoder and the rest, each with and without weight decay.

    `network.encoder` learns at lr x encoder_lr_factor: its weights come from a pretraining and need
    smaller steps than a fresh decoder. Norms and biases, which are exactly the parameters with one
    dimension, do not decay: it would pull them to zero without making the function simpler.
    Every trainable parameter is in exactly one group; empty groups are left out.
    """
    if not encoder_lr_factor > 0:
        raise ValueError(f"encoder_lr_factor must be positive, got {encoder_lr_factor}")
    encoder = getattr(network, "encoder", None)
    inside = {id(p) for p in encoder.parameters()} if isinstance(encoder, nn.Module) else set[int]()
    groups: dict[tuple[str, str], dict[str, Any]] = {
        (part, kind): {"name": f"{part}.{kind}", "params": [], "lr": part_lr, "weight_decay": decay}
        for part, part_lr in (("encoder", lr * encoder_lr_factor), ("rest", lr))
        for kind, decay in (("weights", weight_decay), ("norms_and_biases", 0.0))
    }
    for parameter in network.parameters():
        if parameter.requires_grad:
            part = "encoder" if id(parameter) in inside else "rest"
            kind = "weights" if parameter.ndim > 1 else "norms_and_biases"
            groups[part, kind]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]


def warmup_poly(
    step: int, total: int, warmup: int = 0, power: float = 0.9, floor: float = 0.0
) -> float:
    """Factor on the learning rate at `step` (0 is the first) of `total` optimizer steps.

    Rises linearly over `warmup` steps, is 1 at step `warmup`, then falls as (1 - progress)^power
    (the "poly" law of DeepLab, Chen et al. 2017) to `floor` at step `total`, and stays there.
    """
    if not 0 <= warmup < total:
        raise ValueError(f"warm-up must be shorter than the {total} steps in all, got {warmup}")
    if not (power > 0 and 0 <= floor <= 1):
        raise ValueError(f"power must be positive and floor in [0, 1], got {power} and {floor}")
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min((step - warmup) / (total - warmup), 1.0)
    return floor + (1 - floor) * (1 - progress) ** power


def schedule(
    optimizer: Optimizer, *, total: int, warmup: int = 0, power: float = 0.9, floor: float = 0.0
) -> LambdaLR:
    """Apply `warmup_poly` to every group of the optimizer, one step for each of its steps."""

    def factor(step: int) -> float:
        return warmup_poly(step, total, warmup, power, floor)

    return LambdaLR(optimizer, factor)
