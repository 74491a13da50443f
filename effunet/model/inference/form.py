"""An EffUNet for inference: the same function in fewer steps, made once from a trained network.

The encoder's part is encoder.py, a decoder's a module of its own (unet.py, efficient.py).
"""

from collections.abc import Iterator
from itertools import chain

import cv2
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.model.decoders.efficient import EfficientDecoder
from effunet.model.decoders.unet import UNetDecoder
from effunet.model.inference.efficient import FoldedEfficient
from effunet.model.inference.encoder import folded_encoder
from effunet.model.inference.unet import FoldedUNet
from effunet.model.network import EffUNet
from effunet.model.outline import outline
from effunet.tensors import Image, Logits, Pyramid, Result


class InferenceForm(nn.Module):
    """What an EffUNet computes in evaluation mode, to rounding; takes no part in its training.

    It holds copies of the weights as they were when it was made. Gradients do not flow through it.
    """

    mean: Tensor

    def __init__(self, network: EffUNet) -> None:
        """Make it of a network that still is what it was built as."""
        super().__init__()
        dtype = network.mean.dtype
        self.reduction, self.classes = network.reduction, network.plan.classes
        self.register_buffer("mean", network.mean.clone())
        self.encoder = folded_encoder(network.encoder, network.std, dtype)
        decoder, head = network.decoder, network.head
        if isinstance(decoder, UNetDecoder):
            self.decoder = FoldedUNet(decoder, head, network.encoder.widths[-1], dtype)
        else:
            assert isinstance(decoder, EfficientDecoder)
            self.decoder = FoldedEfficient(decoder, head, dtype)
        self.eval().requires_grad_(False)

    def forward(self, image: Image) -> Logits:
        """Score every pixel; any height and width from 1 up."""
        batch, _, height, width = image.shape
        whole = self.mean.new_empty(batch, self.classes, height, width)
        top = 0
        for strip in self._strips(image):
            bottom = top + strip.shape[2]
            _to_planes(strip, whole[:, :, top:bottom])
            top = bottom
        return whole

    def strips(self, image: Image) -> Iterator[Logits]:
        """Give the logits from top to bottom, in strips as wide as the image; each plane whole."""
        for strip in self._strips(image):
            planes = self.mean.new_empty(strip.shape)
            _to_planes(strip, planes)
            yield planes

    def _strips(self, image: Image) -> Iterator[Result]:
        return self.decoder.strips(self._pyramid(image), *image.shape[-2:])

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

    def logits(self, network: nn.Module, image: Image) -> Logits:
        """Give a network's logits, its own or those of its form; see strips()."""
        form = self._form_of(network)
        with torch.inference_mode():
            return network(image) if form is None else form(image)

    def strips(self, network: nn.Module, image: Image) -> Iterator[Logits]:
        """Give a network's logits, its own or those of its form, in strips from top to bottom.

        EffUNet has a form on a CPU. Everything else gives one strip, and so does an EffUNet of
        which a part was exchanged.

        A change is seen by torch's counter of changes in place: one that evades it, as through
        `weight.data`, is not.
        """
        form = self._form_of(network)
        if form is not None:
            yield from form.strips(image)
            return
        with torch.inference_mode():
            whole = network(image)
        yield whole

    def _form_of(self, network: nn.Module) -> InferenceForm | None:
        if not isinstance(network, EffUNet) or network.training or not _has_form(network):
            return None
        now = [
            (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)  # pyright: ignore[reportPrivateUsage]
            for tensor in chain(network.parameters(), network.buffers())
        ]
        if self._form is None or self._made_of is None or self._made_of != (network, now):
            self._form, self._made_of = InferenceForm(network), (network, now)
        return self._form


def _has_form(network: EffUNet) -> bool:
    return (
        outline(network) == network.built
        and network.mean.device.type == "cpu"
        and network.mean.dtype in (torch.float32, torch.float64)
    )


def _to_planes(pixels: Result, planes: Logits) -> None:
    """Write as planes what may have the classes of a pixel together, several times sooner so."""
    if pixels.stride(1) != 1:
        planes.copy_(pixels)
        return
    for source, target in zip(pixels, planes, strict=True):
        together = source.permute(1, 2, 0).reshape(-1, len(source))
        cv2.transpose(together.numpy(), target.view(len(source), -1).numpy())
