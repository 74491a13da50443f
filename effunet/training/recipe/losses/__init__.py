"""Logits and masks in, one number to descend out; pixels marked IGNORE never count.

Every loss is a module with the signature forward(logits, target) -> scalar, computes in float32
whatever the logits are, and gives 0 with finite gradients where a whole batch is ignored.
"""

from effunet.training.recipe.losses.boundary import Boundary
from effunet.training.recipe.losses.build import LOSSES, LossOptions, WeightedSum, build_loss
from effunet.training.recipe.losses.pixel import CrossEntropy, Focal, Ohem
from effunet.training.recipe.losses.region import Dice, Lovasz, Tversky

__all__ = [
    "LOSSES",
    "Boundary",
    "CrossEntropy",
    "Dice",
    "Focal",
    "LossOptions",
    "Lovasz",
    "Ohem",
    "Tversky",
    "WeightedSum",
    "build_loss",
]
