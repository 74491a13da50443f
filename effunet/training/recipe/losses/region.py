"""Losses over whole regions, one score per class of the batch: Dice, Tversky, Lovasz-Softmax.

Each is a mean over the classes that occur in the batch's truth: a class without a true pixel says
nothing and leaves the mean. smp's losses zero its term too, but still divide by all classes.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from effunet.labels import IGNORE
from effunet.tensors import Logits, Mask

Scalar = Float[Tensor, ""]


class Tversky(nn.Module):
    """1 - the Tversky index of each class over the whole batch, averaged over the classes present.

    The index is TP / (TP + alpha FP + beta FN) with soft counts (Salehi et al., Tversky loss
    function for image segmentation, 2017, eq. 2): beta over alpha prefers too much to too little.
    """

    def __init__(self, alpha: float = 0.3, beta: float = 0.7):
        """Alpha weighs false positives, beta false negatives; both are positive."""
        super().__init__()
        if not 0 < alpha < float("inf") or not 0 < beta < float("inf"):
            raise ValueError(
                f"tversky_alpha and tversky_beta must be positive and finite, got {alpha}, {beta}"
            )
        self.alpha, self.beta = alpha, beta

    def forward(self, logits: Logits, target: Mask) -> Scalar:
        """Ignored pixels are in no count."""
        probability = logits.float().softmax(dim=1)
        truth = _one_hot(target, logits.shape[1])
        pixels = (0, 2, 3)
        hit = (probability * truth).sum(pixels)
        predicted = (probability * (target != IGNORE).unsqueeze(1)).sum(pixels)
        true = truth.sum(pixels)
        area = hit + self.alpha * (predicted - hit) + self.beta * (true - hit)
        present = true > 0
        return ((1 - hit / area.clamp_min(1e-7)) * present).sum() / present.sum().clamp_min(1)


class Dice(nn.Module):
    """1 - soft Dice of each class over the whole batch, averaged over the classes in the truth.

    Soft Dice is 2 sum(p y) / (sum(p) + sum(y)) with p the softmax (Milletari et al., V-Net, 2016),
    which is the Tversky index where both faults weigh one half.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tversky = Tversky(0.5, 0.5)

    def forward(self, logits: Logits, target: Mask) -> Scalar:
        """Ignored pixels leave the intersection and both areas."""
        return self.tversky(logits, target)


class Lovasz(nn.Module):
    """Lovasz-Softmax: a convex surrogate of 1 - mean IoU over the classes of the whole batch.

    Berman et al., The Lovasz-Softmax loss (2018), eq. 8 and 9, "present classes, per batch". smp's
    LovaszLoss gives no scalar where all is ignored, and takes differences of rounded Jaccard
    losses, which on a batch of a million pixels are mostly rounding; here they are closed forms.
    """

    def forward(self, logits: Logits, target: Mask) -> Scalar:
        """Ignored pixels are sorted behind all others and weigh nothing."""
        probability = logits.float().softmax(dim=1)
        counted = target != IGNORE
        truth = _one_hot(target, logits.shape[1])
        present = truth.any(dim=3).any(dim=2).any(dim=0)
        losses: list[Tensor] = []
        # One wait for the device, which saves a sort for each class that is not there.
        for index in present.nonzero().flatten().tolist():
            mine = truth[:, index]
            error = (mine.float() - probability[:, index]).abs()
            weight = _jaccard_steps(error.detach().where(counted, -1.0), mine)
            losses.append((error * weight.where(counted, 0.0)).sum())
        return torch.stack(losses).mean() if losses else 0 * probability.sum()


def _jaccard_steps(
    error: Float[Tensor, "B H W"], truth: Bool[Tensor, "B H W"]
) -> Float[Tensor, "B H W"]:
    """How much the Jaccard loss grows as each pixel turns wrong, the largest error first.

    The gradient of the Lovasz extension (Berman et al., algorithm 1). With I true pixels still
    right and U in the union, a true pixel adds 1 / U, and a false one I / (U (U - 1)).
    """
    # The bits of floats from 0 on, read as integers, are in the floats' order, and those of -1 for
    # ignored lie below; the complement turns that round. A CPU sorts integers ten times faster.
    order = error.flatten().view(torch.int32).bitwise_not().argsort(stable=True)
    true = truth.flatten()[order]
    wrong = true.cumsum(0)
    left = true.sum() - wrong
    union = (true.sum() + (~true).cumsum(0)).float()
    step = torch.where(true, 1 / union, left / (union * (union - 1).clamp_min(1)))
    return torch.empty_like(step).scatter_(0, order, step).view_as(error)


def _one_hot(target: Mask, classes: int) -> Bool[Tensor, "B K H W"]:
    """One plane per class; an ignored pixel is in none."""
    indices = torch.arange(classes, device=target.device, dtype=torch.int64)
    return target.long().unsqueeze(1) == indices.view(1, -1, 1, 1)
