"""Logits and masks in, one number to descend out; pixels marked IGNORE never count.

Every loss is a module with the signature forward(logits, target) -> scalar, computes in float32
whatever the logits are, and gives 0 with finite gradients where a whole batch is ignored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from effunet.labels import IGNORE
from effunet.tensors import Logits, Mask

Scalar = Float[Tensor, ""]


class CrossEntropy(nn.Module):
    """Mean over the counted pixels of -log p(truth), each weighted by its class's weight.

    Equal to torch's cross_entropy(ignore_index=255) wherever that is finite. Torch divides by zero
    on a batch that is all ignore; here the weight sum is bounded from below.
    """

    class_weights: Tensor | None

    def __init__(self, label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None):
        """Smooth the targets by a share in [0, 1); weights are one positive number per class."""
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
        self.label_smoothing = label_smoothing
        # Not persistent: the weights come from the config, a checkpoint must not bring old ones.
        self.register_buffer("class_weights", _weights(class_weights), persistent=False)

    def forward(self, logits: Logits, target: Mask) -> Scalar:
        """One mean over all counted pixels of the batch, not a mean of the images' means."""
        _check_weights(self.class_weights, logits.shape[1])
        truth = target.long()
        total = F.cross_entropy(
            logits.float(),
            truth,
            weight=self.class_weights,
            ignore_index=IGNORE,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        counted = truth != IGNORE
        if self.class_weights is None:
            weight = counted.sum()
        else:
            weight = self.class_weights[truth.where(counted, 0)].where(counted, 0.0).sum()
        return total / weight.clamp_min(torch.finfo(torch.float32).tiny)


class Dice(nn.Module):
    """1 - soft Dice of each class over the whole batch, averaged over the classes in the truth.

    Soft Dice is 2 sum(p y) / (sum(p) + sum(y)) with p the softmax (Milletari et al., V-Net, 2016).
    A class without a true pixel in the batch says nothing and leaves the mean; smp's DiceLoss
    zeroes its term too, but still divides by all classes.
    """

    def forward(self, logits: Logits, target: Mask) -> Scalar:
        """Ignored pixels leave the intersection and both areas."""
        probability = logits.float().softmax(dim=1)
        counted = (target != IGNORE).unsqueeze(1)
        truth = _one_hot(target, logits.shape[1])
        pixels = (0, 2, 3)
        intersection = (probability * truth).sum(pixels)
        areas = (probability * counted).sum(pixels) + truth.sum(pixels)
        present = truth.any(dim=pixels)
        per_class = (1 - 2 * intersection / areas.clamp_min(1e-7)) * present
        return per_class.sum() / present.sum().clamp_min(1)


class WeightedSum(nn.Module):
    """A sum of losses, each times its weight."""

    def __init__(self, terms: Sequence[tuple[float, nn.Module]]):
        """Add (weight, loss) terms up; a weight is positive."""
        super().__init__()
        if not terms or any(not weight > 0 for weight, _ in terms):
            raise ValueError(
                f"a weighted sum needs terms of positive weight, got {[w for w, _ in terms]}"
            )
        self.weights = tuple(weight for weight, _ in terms)
        self.losses = nn.ModuleList(loss for _, loss in terms)

    def forward(self, logits: Logits, target: Mask) -> Scalar:
        """The sum for this batch."""
        terms = [loss(logits, target) for loss in self.losses]
        return torch.stack([w * term for w, term in zip(self.weights, terms, strict=True)]).sum()


@dataclass(frozen=True, kw_only=True)
class LossOptions:
    """What a loss can be told; one that has no use for an option refuses it."""

    label_smoothing: float = 0.0  # share in [0, 1) spread over all classes; cross-entropy only
    class_weights: tuple[float, ...] | None = None  # positive, one per class; cross-entropy only
    dice: float = 0.5  # share in (0, 1) of the Dice term in cross_entropy_dice

    def __post_init__(self) -> None:
        if not 0 < self.dice < 1:
            raise ValueError(f"dice is a share and must lie in (0, 1), got {self.dice}")


def _cross_entropy(options: LossOptions) -> nn.Module:
    return CrossEntropy(options.label_smoothing, options.class_weights)


def _dice(options: LossOptions) -> nn.Module:
    if options.label_smoothing or options.class_weights:
        raise ValueError(
            "the dice loss has no label_smoothing and no class_weights: "
            "leave them out or use cross_entropy_dice"
        )
    return Dice()


def _cross_entropy_dice(options: LossOptions) -> nn.Module:
    return WeightedSum([(1 - options.dice, _cross_entropy(options)), (options.dice, Dice())])


LOSSES: dict[str, Callable[[LossOptions], nn.Module]] = {
    "cross_entropy": _cross_entropy,
    "dice": _dice,
    "cross_entropy_dice": _cross_entropy_dice,
}


def build_loss(name: str, classes: int, options: LossOptions | None = None) -> nn.Module:
    """The loss called `name` for `classes` classes; ValueError says which option does not fit."""
    if name not in LOSSES:
        raise ValueError(f"no loss is called {name!r}: use one of {', '.join(LOSSES)}")
    options = options or LossOptions()
    _check_weights(_weights(options.class_weights), classes)
    return LOSSES[name](options)


def _weights(class_weights: Sequence[float] | None) -> Float[Tensor, " K"] | None:
    if class_weights is None:
        return None
    weights = torch.tensor(class_weights, dtype=torch.float32)
    if not (weights.isfinite() & (weights > 0)).all():
        raise ValueError(f"class weights must be positive and finite, got {list(class_weights)}")
    return weights


def _check_weights(weights: Tensor | None, classes: int) -> None:
    if weights is not None and len(weights) != classes:
        raise ValueError(f"{classes} classes need as many class weights, got {len(weights)}")


def _one_hot(target: Mask, classes: int) -> Bool[Tensor, "B K H W"]:
    """One plane per class; an ignored pixel is in none."""
    indices = torch.arange(classes, device=target.device, dtype=torch.int64)
    return target.long().unsqueeze(1) == indices.view(1, -1, 1, 1)
