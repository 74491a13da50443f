"""An EffUNet for inference: the same function in fewer steps, made once from a trained network.

The encoder's part is encoder.py, a decoder's a module of its own (unet.py).
"""

from collections.abc import Iterator
from itertools import chain

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.model.decoder import UNetDecoder
from effunet.model.inference.encoder import folded_encoder
from effunet.model.inference.unet import FoldedUNet
from effunet.model.network import EffUNet
from effunet.tensors import Image, Logits, Pyramid

DECODERS = {UNetDecoder: FoldedUNet}
"""What computes the pyramid's logits, by the type of the decoder."""


class InferenceForm(nn.Module):
    """What an EffUNet computes in evaluation mode, to rounding; takes no part in its training.

    It holds copies of the weights as they were when it was made. Gradients do not flow through it.
    """

    mean: Tensor

    def __init__(self, network: EffUNet) -> None:
        """Make it of a network whose decoder is one of DECODERS."""
        super().__init__()
        dtype = network.mean.dtype
        self.reduction = network.reduction
        self.register_buffer("mean", network.mean.clone())
        self.encoder = folded_encoder(network.encoder, network.std, dtype)
        make = DECODERS[type(network.decoder)]
        self.decoder = make(network.decoder, network.head, network.encoder.widths[-1], dtype)
        self.eval().requires_grad_(False)

    def forward(self, image: Image) -> Logits:
        """Score every pixel; any height and width from 1 up."""
        return torch.cat(list(self.strips(image)), dim=2)

    def strips(self, image: Image) -> Iterator[Logits]:
        """Give the logits from top to bottom, in strips as wide as the image; each plane whole."""
        height, width = image.shape[-2:]
        yield from self.decoder.strips(self._pyramid(image), height, width)

    # Not on the generator: its mode would be the consumer's between two strips.
    @torch.inference_mode()
    def _pyramid(self, image: Image) -> Pyramid:
        return self.encoder.features(self._normalised(image))

    def _normalised(self, image: Image) -> Float[Tensor, "B C h w"]:
        """Without the division, which the stem's weights do."""
        if image.is_floating_point():
            image = image.to(self.mean.dtype)
        centred = torch.sub(image, self.mean)
        bottom, right = (-side % self.reduction for side in image.shape[-2:])
        if bottom or right:
            centred = F.pad(centred, (0, right, 0, bottom), mode="replicate")
        return centred.contiguous(memory_format=torch.channels_last)


class Latest:
    """Keeps the inference form of a network, and makes it anew when the weights have changed."""

    def __init__(self) -> None:
        self._form: InferenceForm | None = None
        self._made_of: tuple[nn.Module, list[tuple[int, int]]] | None = None

    def strips(self, network: nn.Module, image: Image) -> Iterator[Logits]:
        """Give a network's logits, its own or those of its form, in strips from top to bottom.

        EffUNet has a form on a CPU. Everything else gives one strip, and so does an EffUNet with a
        decoder that has no form.

        A change is seen by torch's counter of changes in place: one that evades it, as through
        `weight.data`, is not.
        """
        if not isinstance(network, EffUNet) or network.training or not _has_form(network):
            with torch.inference_mode():
                whole = network(image)
            yield whole
            return
        now = [
            (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)  # pyright: ignore[reportPrivateUsage]
            for tensor in chain(network.parameters(), network.buffers())
        ]
        if self._form is None or self._made_of is None or self._made_of != (network, now):
            self._form, self._made_of = InferenceForm(network), (network, now)
        yield from self._form.strips(image)


def _has_form(network: EffUNet) -> bool:
    return (
        type(network.decoder) in DECODERS
        and network.mean.device.type == "cpu"
        and network.mean.dtype in (torch.float32, torch.float64)
    )
