"""Losses that are a mean over pixels: cross-entropy, focal, and the hardest pixels alone.

Each pixel's loss is its cross-entropy times the weight of its true class, and the mean divides by
the sum of those weights, as torch's does.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from effunet.labels import IGNORE
from effunet.tensors import Logits, Mask

Scalar = Float[Tensor, ""]
PixelMap = Float[Tensor, "B H W"]


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
        self.register_buffer("class_weights", weights_tensor(class_weights), persistent=False)

    def forward(self, logits: Logits, target: Mask) -> Scalar:
        """One mean over all counted pixels of the batch, not a mean of the images' means."""
        loss = pixel_loss(logits, target, self.class_weights, self.label_smoothing)
        return weighted_mean(loss, pixel_weight(target, self.class_weights))


class Focal(nn.Module):
    """Cross-entropy times (1 - p(truth)) ** gamma, which fades the pixels that are easy.

    Lin et al., Focal loss for dense object detection (2017), eq. 4 and 5, with the softmax in place
    of the sigmoid and the classes' weights as alpha. It is a mean over the counted pixels. smp's
    FocalLoss is another loss: one sigmoid per class against all the others.
    """

    class_weights: Tensor | None

    def __init__(self, gamma: float = 2.0, class_weights: Sequence[float] | None = None):
        """Gamma is 0 or more, and 0 gives cross-entropy; weights are positive, one per class."""
        super().__init__()
        if not 0 <= gamma < float("inf"):
            raise ValueError(f"focal_gamma must be 0 or more and finite, got {gamma}")
        self.gamma = gamma
        self.register_buffer("class_weights", weights_tensor(class_weights), persistent=False)

    def forward(self, logits: Logits, target: Mask) -> Scalar:
        """One mean over all counted pixels of the batch."""
        check_length(self.class_weights, logits.shape[1])
        plain = pixel_loss(logits, target)
        weight = pixel_weight(target, self.class_weights)
        # expm1 keeps the digits of a small 1 - p; at 0 the slope of its power may be infinite.
        error = (-torch.expm1(-plain)).clamp_min(1e-8)
        return weighted_mean(error**self.gamma * plain * weight, weight)


class Ohem(nn.Module):
    """Cross-entropy over the hardest pixels of a batch: online hard example mining.

    Shrivastava et al. (2016), at pixels as in Wu et al., Bridging category-level and instance-level
    semantic segmentation (2016), sec. 3.1: those whose p(truth) is below `threshold` count, and at
    least the share `keep` of the counted pixels, the hardest ones, ties with the last included.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        threshold: float = 0.7,
        keep: float = 1 / 16,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ):
        """Threshold and keep lie in (0, 1]; how hard a pixel is depends on no weight."""
        super().__init__()
        for name, share in (("ohem_threshold", threshold), ("ohem_keep", keep)):
            if not 0 < share <= 1:
                raise ValueError(f"{name} must lie in (0, 1], got {share}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
        self.threshold, self.keep = threshold, keep
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weights", weights_tensor(class_weights), persistent=False)

    def forward(self, logits: Logits, target: Mask) -> Scalar:
        """One mean over the hard pixels of the whole batch on this device."""
        check_length(self.class_weights, logits.shape[1])
        plain = pixel_loss(logits, target)
        weight = pixel_weight(target, self.class_weights)
        loss = plain * weight
        if self.label_smoothing:
            loss = pixel_loss(logits, target, self.class_weights, self.label_smoothing)
        hard = self._hardest(plain.detach(), target != IGNORE)
        return weighted_mean(loss * hard, weight * hard)

    def _hardest(self, plain: PixelMap, counted: Bool[Tensor, "B H W"]) -> Bool[Tensor, "B H W"]:
        """Where the loss is taken, from each pixel's -log p; does not wait for the device."""
        probability = (-plain).exp().where(counted, torch.inf)
        pixels = counted.sum()
        last = (self.keep * pixels.double()).ceil().long().clamp_min(1) - 1
        # The count is a tensor on the device: kthvalue would need it here, a whole sort does not.
        # A CPU sorts the bits, in the order of the floats from 0 on, ten times faster than these.
        bits = probability.flatten().view(torch.int32).sort().values
        kept = bits.gather(0, last.view(1)).view(torch.float32)
        return ((probability < self.threshold) | (probability <= kept)) & counted


def pixel_loss(
    logits: Logits,
    target: Mask,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> PixelMap:
    """Cross-entropy of each pixel times its class's weight, float32; 0 where ignored."""
    check_length(class_weights, logits.shape[1])
    return F.cross_entropy(
        logits.float(),
        target.long(),
        weight=class_weights,
        ignore_index=IGNORE,
        reduction="none",
        label_smoothing=label_smoothing,
    )


def pixel_weight(target: Mask, class_weights: Tensor | None) -> PixelMap:
    """Weight of each pixel's class, float32: 1 without weights, 0 where ignored."""
    counted = target != IGNORE
    if class_weights is None:
        return counted.float()
    return class_weights[target.long().where(counted, 0)].where(counted, 0.0)


def weighted_mean(loss: PixelMap, weight: PixelMap) -> Scalar:
    """Sum of losses that hold their weight, over the weights' sum; 0 where there is no pixel."""
    return loss.sum() / weight.sum().clamp_min(torch.finfo(torch.float32).tiny)


def weights_tensor(class_weights: Sequence[float] | None) -> Float[Tensor, " K"] | None:
    """Class weights as a tensor, checked; ValueError unless all are positive and finite."""
    if class_weights is None:
        return None
    weights = torch.tensor(class_weights, dtype=torch.float32)
    if not (weights.isfinite() & (weights > 0)).all():
        raise ValueError(f"class weights must be positive and finite, got {list(class_weights)}")
    return weights


def check_weights(class_weights: Sequence[float] | None, classes: int) -> None:
    """ValueError unless there is one positive, finite weight per class, or none at all."""
    check_length(weights_tensor(class_weights), classes)


def check_length(weights: Tensor | None, classes: int) -> None:
    """ValueError unless there is one weight per class, or none at all."""
    if weights is not None and len(weights) != classes:
        raise ValueError(f"{classes} classes need as many class weights, got {len(weights)}")
