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
        least, slopes = _tangent(probability.detach(), target)
        return least + (probability * slopes).sum()


@torch.no_grad()
def _tangent(
    probability: Float[Tensor, "B K H W"], target: Mask
) -> tuple[Scalar, Float[Tensor, "B K H W"]]:
    """The loss as a linear function of the probabilities, which it is while their order stays.

    A class's part is a sum over its pixels, the largest error first, of the error times the step
    by which the Jaccard loss grows as this pixel turns wrong (the paper's algorithm 1). With I true
    pixels still right and U in the union, a true pixel's step is 1 / U, and a false one's
    I / (U (U - 1)). A true pixel's error is 1 - p, a false one's p.

    Returns:
        What the loss would be at probabilities of 0, and its slope along each of them.
    """
    planes, flat = probability.transpose(0, 1).flatten(1), target.flatten()
    # One wait for the device, which saves a sort for each class that is not there.
    counts = torch.bincount(flat, minlength=IGNORE + 1).tolist()
    present = [index for index in range(len(planes)) if counts[index]]
    ignored, counted = flat == IGNORE, len(flat) - counts[IGNORE]
    places = torch.arange(1, len(flat) + 1, dtype=torch.int32, device=flat.device)
    least, slopes = planes.new_zeros(()), torch.zeros_like(planes)
    for index in present:
        mine = (flat == index).view(torch.uint8)
        error = (planes[index] - mine).abs_().masked_fill_(ignored, -1.0)
        # The bits of floats from 0 on, read as integers, are in the floats' order, and those of -1
        # for ignored lie below; the complement turns that round. A CPU sorts integers ten times
        # faster. The last bit gives way to the truth, which is then sorted with its pixel.
        keys = error.view(torch.int32).bitwise_not_().bitwise_or_(1).bitwise_xor_(mine)
        keys, order = keys.sort(stable=True)
        true = keys.bitwise_and_(1) == 0
        left = counts[index] - true.cumsum(0, dtype=torch.int32)
        union = (places + left).float()
        turned = left / (union * (union - 1).clamp_min_(1))
        missed = union.reciprocal_()
        least += (missed * true).sum()
        step = torch.where(true, -missed, turned)
        step[counted:] = 0.0
        slopes[index].scatter_(0, order, step)
    batch, classes, height, width = probability.shape
    slopes = slopes.view(classes, batch, height, width).transpose(0, 1)
    return least / max(1, len(present)), slopes / max(1, len(present))


def _one_hot(target: Mask, classes: int) -> Bool[Tensor, "B K H W"]:
    """One plane per class; an ignored pixel is in none."""
    indices = torch.arange(classes, device=target.device, dtype=torch.int64)
    return target.long().unsqueeze(1) == indices.view(1, -1, 1, 1)
