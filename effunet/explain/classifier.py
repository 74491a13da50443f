"""Maps of an EfficientNet with a classifier: those of the first figure of Tan & Le 2019.

Behind the encoder's head there is a mean over the places and one linear layer, so that CAM and
Grad-CAM are one map there, but for a factor (Selvaraju et al. 2017, section 3).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from effunet.explain.methods import METHODS, Map
from effunet.model.encoder import EfficientNet
from effunet.tensors import Normalised


def class_activation_map(network: EfficientNet, image: Normalised, index: int) -> Map:
    """The CAM of Zhou et al. 2016 (arXiv 1512.04150, eq. 2): channels by their classifier's weight.

    Args:
        network: built with classifier=True; in evaluation mode.
        image: one, normalised: 1 C H W.
        index: of the class, 0..classes-1.

    Returns:
        What speaks for the class at each place of the head's feature; 0 or more.

    Raises:
        ValueError: the network has no classifier.
    """
    with torch.no_grad():
        feature = _feature(network, image)
        assert network.classifier is not None
        return F.relu(torch.einsum("d,dhw->hw", network.classifier.weight[index], feature[0]))


def gradient_map(
    network: EfficientNet, image: Normalised, index: int, method: str = "grad-cam"
) -> Map:
    """One of METHODS of a class's score, at the head's feature; arguments as above."""
    with torch.no_grad():
        feature = _feature(network, image)
    feature.requires_grad_()
    with torch.enable_grad():
        assert network.classifier is not None
        scores: Float[Tensor, "1 classes"] = network.classifier(feature.mean((2, 3)))
        (gradient,) = torch.autograd.grad(scores[0, index], feature)
    return METHODS[method](feature.detach()[0], gradient[0])


def _feature(network: EfficientNet, image: Normalised) -> Float[Tensor, "1 D h w"]:
    if network.head is None:
        raise ValueError("this EfficientNet has no classifier: build it with classifier=True")
    return network.head(network.features(image)[-1])
