"""Foreign weights -> our encoder, with the padding, eps, mean and std that they need.

name, address or path --find--> Weights (tensors, naming, numerics) --load--> encoder

`files` alone opens files, `dialects` knows the namings, `weights` tells the numerics, `stem` brings
RGB to other channels, `fit` fills an encoder, `export` goes the way back.
"""

from effunet.model.pretrained.export import save_timm, to_timm
from effunet.model.pretrained.fit import load, load_timm, numerics_for, numerics_of
from effunet.model.pretrained.weights import Weights, find, of_contents

__all__ = [
    "Weights",
    "find",
    "load",
    "load_timm",
    "numerics_for",
    "numerics_of",
    "of_contents",
    "save_timm",
    "to_timm",
]
