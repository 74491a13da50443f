"""A network in, the optimizer of its parameters out, in groups that learn at their own pace."""

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from effunet.training.config.recipe import Optim


def build_optimizer(network: nn.Module, recipe: Optim, *, fused: bool = True) -> Optimizer:
    """Build what takes the steps of a recipe.

    Args:
        network: its trainable parameters are taken.
        recipe: name, learning rates, decay and momentum.
        fused: AdamW as one kernel for all parameters; a gradient scaler (fp16) leaves it the
            unscaling, which is then too late for a clipping of the gradient.
    """
    groups = parameter_groups(network, recipe.lr, recipe.encoder_lr_factor, recipe.weight_decay)
    if recipe.name == "sgd":
        nesterov = recipe.momentum > 0  # torch refuses it without momentum
        # Not fused: torch 2.15's fused SGD fails where a parameter joins later, as an encoder that
        # thaws does.
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov)
    return torch.optim.AdamW(groups, lr=recipe.lr, fused=fused)


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
