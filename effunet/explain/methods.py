"""The formulas: a feature and the gradient of a score at it in, one map over its places out.

Each gives a number at each place of the feature, 0 or more: what speaks for the score. They are of
classifiers, whose score is one number; of a segmenter it is the mean of a class's logits over a set
of pixels, which makes Grad-CAM the Seg-Grad-CAM of Vinogradova et al. 2020 (arXiv 2002.11434).
"""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Activations = Float[Tensor, "D h w"]
Gradients = Float[Tensor, "D h w"]
Map = Float[Tensor, "h w"]


def grad_cam(feature: Activations, gradient: Gradients) -> Map:
    """Channels weighed by their mean gradient (Selvaraju et al. 2017, arXiv 1610.02391)."""
    return F.relu((gradient.mean((1, 2), keepdim=True) * feature).sum(0))


def grad_cam_pp(feature: Activations, gradient: Gradients) -> Map:
    """Grad-CAM++: channels weighed by gradients that are positive, each place by its own share.

    Chattopadhyay et al. 2018 (arXiv 1710.11063), eq. 10 and 19: with the exponential of the score
    as the score, its second and third derivatives are powers of the gradient.
    """
    square, cube = gradient**2, gradient**3
    below = 2 * square + feature.sum((1, 2), keepdim=True) * cube
    # Where the gradient is nothing the share is 0 / 0, and of no consequence.
    share = square / below.where(below != 0, 1)
    weight = (share * F.relu(gradient)).sum((1, 2), keepdim=True)
    return F.relu((weight * feature).sum(0))


def hires_cam(feature: Activations, gradient: Gradients) -> Map:
    """Each place by its own gradient (Draelos & Carin 2020, arXiv 2011.08891, section 3.3)."""
    return F.relu((gradient * feature).sum(0))


def layer_cam(feature: Activations, gradient: Gradients) -> Map:
    """Each place by its own gradient where that is positive (Jiang et al. 2021, TIP 30)."""
    return F.relu((F.relu(gradient) * feature).sum(0))


METHODS: dict[str, Callable[[Activations, Gradients], Map]] = {
    "grad-cam": grad_cam,
    "grad-cam++": grad_cam_pp,
    "hires-cam": hires_cam,
    "layer-cam": layer_cam,
}
"""By the names that users type."""
