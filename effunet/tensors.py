"""Names and shapes of everything that flows; read this first.

B batch, C image channels, K classes, D feature width, H W size in pixels, h w size of a feature.

    image --> (normalise, pad) --> pyramid --> decoder --> logits --> mask of class indices
"""

from jaxtyping import Float, Integer, Shaped
from torch import Tensor

Image = Shaped[Tensor, "B C H W"]
"""Raw images: uint8 0..255, or float in the same range 0..255. RGB where C is 3."""

Normalised = Float[Tensor, "B C H W"]
"""Images after (image / 255 - mean) / std: what an encoder takes."""

Feature = Float[Tensor, "B D h w"]
"""One level of the pyramid: D channels at 1/reduction of the input's size, rounded up."""

Result = Float[Tensor, "B E i j"]
"""A feature that may differ in width and size from the one that it was computed from."""

Pyramid = tuple[Float[Tensor, "B _ _ _"], ...]
"""Features of one image batch, finest first, each of its own width: reductions 2, 4, 8, 16, 32."""

Logits = Float[Tensor, "B K H W"]
"""Unnormalised class scores at the input's own size."""

Mask = Integer[Tensor, "B H W"]
"""Class indices 0..K-1, or IGNORE (255) where the truth is unknown and nothing is counted."""
