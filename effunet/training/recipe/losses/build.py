"""A name and its options -> a loss; the dict of all names, and the sum of several losses."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn

from effunet.tensors import Logits, Mask
from effunet.training.config.loss_rules import misfit, summands
from effunet.training.config.recipe import Loss as LossOptions
from effunet.training.recipe.losses.boundary import Boundary
from effunet.training.recipe.losses.pixel import CrossEntropy, Focal, Ohem, Scalar, check_weights
from effunet.training.recipe.losses.region import Dice, Lovasz, Tversky


class WeightedSum(nn.Module):
    """A sum of losses, each times its weight."""

    def __init__(self, terms: Sequence[tuple[float, nn.Module]]):
        """Add (weight, loss) terms up; a weight is positive."""
        super().__init__()
        if not terms or any(not 0 < weight < float("inf") for weight, _ in terms):
            raise ValueError(
                f"a weighted sum needs terms of positive weight, got {[w for w, _ in terms]}"
            )
        self.weights = tuple(weight for weight, _ in terms)
        self.losses = nn.ModuleList(loss for _, loss in terms)

    def forward(self, logits: Logits, target: Mask) -> Scalar:
        """The sum for this batch."""
        terms = [loss(logits, target) for loss in self.losses]
        return torch.stack([w * term for w, term in zip(self.weights, terms, strict=True)]).sum()


def _cross_entropy(options: LossOptions) -> nn.Module:
    return CrossEntropy(options.label_smoothing, options.class_weights)


def _cross_entropy_dice(options: LossOptions) -> nn.Module:
    return WeightedSum([(1 - options.dice, _cross_entropy(options)), (options.dice, Dice())])


def _focal(options: LossOptions) -> nn.Module:
    return Focal(options.focal_gamma, options.class_weights)


def _ohem(options: LossOptions) -> nn.Module:
    return Ohem(
        options.ohem_threshold, options.ohem_keep, options.label_smoothing, options.class_weights
    )


def _boundary(options: LossOptions) -> nn.Module:
    return Boundary(
        options.boundary_width,
        options.boundary_weight,
        options.label_smoothing,
        options.class_weights,
    )


def _sum(options: LossOptions) -> nn.Module:
    terms = summands(options).items()
    return WeightedSum([(weight, LOSSES[name](options)) for name, weight in terms])


LOSSES: dict[str, Callable[[LossOptions], nn.Module]] = {
    "cross_entropy": _cross_entropy,
    "dice": lambda options: Dice(),
    "cross_entropy_dice": _cross_entropy_dice,
    "focal": _focal,
    "ohem": _ohem,
    "lovasz": lambda options: Lovasz(),
    "tversky": lambda options: Tversky(options.tversky_alpha, options.tversky_beta),
    "boundary": _boundary,
    "sum": _sum,
}


def build_loss(name: str, classes: int, options: LossOptions | None = None) -> nn.Module:
    """The loss called `name` for `classes` classes; the terms of a sum share its options.

    options are a config's `loss` keys without its name. Weights by a formula come in class_weights.
    ValueError says which option does not fit.
    """
    if name not in LOSSES:
        raise ValueError(f"no loss is called {name!r}: use one of {', '.join(LOSSES)}")
    options = replace(options or LossOptions(), name=name)
    wrong = misfit(options)
    if wrong:
        raise ValueError(wrong)
    check_weights(options.class_weights, classes)
    return LOSSES[name](options)
