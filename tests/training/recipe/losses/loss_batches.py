"""Logits and masks with ignored pixels, and any loss by its name."""

import warnings

import torch
from torch import Tensor, nn

from effunet.labels import IGNORE
from effunet.training.recipe.losses import LossOptions, build_loss

WEIGHTS = (0.5, 1.0, 2.0, 7.0, 1.5)


def batch(
    classes: int = 5, ignored: float = 0.3, seed: int = 0, size: tuple[int, int, int] = (2, 6, 7)
) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(size[0], classes, *size[1:], generator=draw)
    target = torch.randint(classes, size, generator=draw)
    target[torch.rand(size, generator=draw) < ignored] = IGNORE
    return logits.requires_grad_(), target


def saturated(target: Tensor, classes: int) -> Tensor:
    """Logits whose softmax is 1 on the true class; anything where the truth is ignored."""
    truth = target.long().where(target != IGNORE, 0)
    return 200.0 * nn.functional.one_hot(truth, classes).movedim(3, 1)


def loss_called(name: str, classes: int = 5, **options: object) -> nn.Module:
    if name == "sum":
        options = {"terms": ["ohem", "lovasz:0.5", "cross_entropy_dice:2"], **options}
    return build_loss(name, classes, LossOptions(**options))


def smp_loss(name: str, **options: object) -> nn.Module:
    with warnings.catch_warnings():  # not ours: its import may warn
        warnings.simplefilter("ignore")
        from segmentation_models_pytorch import losses
    return getattr(losses, name)(mode="multiclass", ignore_index=IGNORE, **options)
