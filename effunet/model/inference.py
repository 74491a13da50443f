"""An EffUNet for inference: the same function in fewer steps, made once from a trained network.

The norms are folded into the convolutions; no feature is padded, upsampled or concatenated; the
gate of a squeeze-and-excitation scales the weights of the projection instead of its large input;
and what is largest (the first expansions, the last step of the decoder, the logits) exists only a
few rows at a time, which stay in the processor's cache.
"""

from collections.abc import Iterator
from copy import deepcopy
from itertools import chain

import cv2
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from effunet.model.blocks import MBConv
from effunet.model.decoder import DecoderStep
from effunet.model.folded import (
    Doubling,
    FoldedConv,
    blank_outside,
    folded,
    of_block,
    rows_of,
)
from effunet.model.network import EffUNet
from effunet.tensors import Feature, Image, Logits, Result

LARGE = 2**25
"""Bytes from which an expanded feature is computed by strips of rows."""

STRIP = 2**22
"""Bytes of such a strip, and half of those of the decoder's last step."""

ROWS = 16
"""A strip of logits is a multiple of so many rows high."""


class InferenceForm(nn.Module):
    """What an EffUNet computes in evaluation mode, to rounding; takes no part in its training.

    It holds copies of the weights as they were when it was made. Gradients do not flow through it.
    """

    mean: Tensor

    def __init__(self, network: EffUNet) -> None:
        super().__init__()
        dtype = network.mean.dtype
        self.plan, self.reduction = network.plan, network.reduction
        self.register_buffer("mean", network.mean.clone())
        # features() as it is, on other blocks.
        self.encoder = deepcopy(network.encoder)
        self.encoder.checkpointing = False
        stem = of_block(network.encoder.stem, dtype, 1 / network.std.double())
        self.encoder.set_submodule("stem", stem)
        self.encoder.stages = nn.ModuleList(
            nn.ModuleList(FoldedMBConv(block, dtype) for block in _blocks(stage))
            for stage in network.encoder.stages
        )
        *steps, last = (step for step in network.decoder.steps if isinstance(step, DecoderStep))
        coarse = [network.encoder.widths[-1], *network.decoder.widths]
        self.steps = nn.ModuleList(
            FoldedStep(step, width, dtype) for step, width in zip(steps, coarse, strict=False)
        )
        self.doubling, self.mix = _doubling(last, coarse[-2], dtype)
        head = network.head
        bias = head.get_parameter("bias").detach()
        self.head = FoldedConv(head.weight.detach(), bias, padding=1, dtype=dtype)
        self.eval().requires_grad_(False)

    def forward(self, image: Image) -> Logits:
        """Score every pixel; any height and width from 1 up."""
        return torch.cat(list(self.strips(image)), dim=2)

    def strips(self, image: Image) -> Iterator[Logits]:
        """Give the logits from top to bottom, in strips as wide as the image; each plane whole."""
        height, width = image.shape[-2:]
        feature = self._coarse(image)
        rows = self._rows(feature)
        for top in range(0, height, rows):
            yield _planes(self._tail(feature, top, rows)[:, :, : height - top, :width])

    # Not on the generator: its mode would be the consumer's between two strips.
    @torch.inference_mode()
    def _coarse(self, image: Image) -> Feature:
        """All but the decoder's last step and the head."""
        *skips, feature = self.encoder.features(self._normalised(image))
        for step in self.steps:
            feature = step(feature, skips.pop())
        return feature

    def _normalised(self, image: Image) -> Float[Tensor, "B C h w"]:
        """Without the division, which the stem's weights do."""
        if image.is_floating_point():
            image = image.to(self.mean.dtype)
        centred = torch.sub(image, self.mean)
        bottom, right = (-side % self.reduction for side in image.shape[-2:])
        if bottom or right:
            centred = F.pad(centred, (0, right, 0, bottom), mode="replicate")
        return centred.contiguous(memory_format=torch.channels_last)

    def _rows(self, feature: Feature) -> int:
        """Height of a strip of logits."""
        batch, _, height, width = feature.shape
        widest = max(self.plan.widths[-1], self.plan.classes)
        fitting = 2 * STRIP // (batch * widest * 2 * width * feature.element_size())
        return min(2 * height, max(ROWS, fitting // ROWS * ROWS))

    @torch.inference_mode()
    def _tail(self, feature: Feature, top: int, rows: int) -> Result:
        """The decoder's last step and the head, for `rows` rows of logits.

        Each 3x3 convolution needs a row more above and below than it gives. Strips at the border
        are computed like all others, and set to zero where a convolution's padding would be.
        """
        height = 2 * feature.shape[2]
        coarse = rows_of(feature, top // 2 - 2, (top + rows) // 2 + 2)
        doubled = blank_outside(self.doubling(coarse, cut=2), height, top - 2)
        mixed = blank_outside(self.mix(doubled, padded=False), height, top - 1)
        return self.head(mixed, padded=False)


class Latest:
    """Keeps the inference form of a network, and makes it anew when the weights have changed."""

    def __init__(self) -> None:
        self._form: InferenceForm | None = None
        self._made_of: tuple[nn.Module, list[tuple[int, int]]] | None = None

    def strips(self, network: nn.Module, image: Image) -> Iterator[Logits]:
        """Give a network's logits, its own or those of its form, in strips from top to bottom.

        EffUNet has a form on a CPU. Everything else gives one strip.

        A change is seen by torch's counter of changes in place: one that evades it, as through
        `weight.data`, is not.
        """
        if not isinstance(network, EffUNet) or network.training or not _on_cpu(network):
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


def _on_cpu(network: EffUNet) -> bool:
    return network.mean.device.type == "cpu" and network.mean.dtype in (
        torch.float32,
        torch.float64,
    )


class FoldedMBConv(nn.Module):
    """MBConv for inference."""

    def __init__(self, block: MBConv, dtype: torch.dtype) -> None:
        super().__init__()
        expand = block.expand
        self.expand = None if isinstance(expand, nn.Identity) else of_block(expand, dtype)
        self.depthwise = of_block(block.depthwise, dtype)
        self.squeeze = deepcopy(block.squeeze)
        self.project = of_block(block.project, dtype)
        self.shortcut = block.shortcut

    def forward(self, feature: Feature) -> Result:
        """As MBConv does."""
        inner = self._inner(feature)
        gate = self.squeeze.gate(inner)
        weight = None
        if len(inner) == 1:
            weight = self.project.weight * gate
        else:
            inner.mul_(gate)
        if self.shortcut:
            return self.project.onto(feature, inner, weight)
        return self.project(inner, weight)

    def _inner(self, feature: Feature) -> Result:
        """Expand and filter; by strips where the expanded feature is large."""
        if self.expand is None:
            return self.depthwise(feature)
        batch, _, height, width = feature.shape
        line = batch * len(self.expand.bias) * width * feature.element_size()
        filters = self.depthwise
        stride, kernel, padding = filters.stride, filters.kernel, filters.padding
        if line * height < LARGE:
            return self.depthwise(self.expand(feature))
        rows = max(kernel, (STRIP // line - kernel) // stride)
        shape = (batch, height // stride, width // stride, len(self.expand.bias))
        result = feature.new_empty(shape).permute(0, 3, 1, 2)
        for top in range(0, shape[1], rows):
            bottom = min(top + rows, shape[1])
            start = stride * top - padding
            part = rows_of(feature, start, stride * (bottom - 1) - padding + kernel)
            expanded = blank_outside(self.expand(part), height, start)
            result[:, :, top:bottom] = filters(expanded, padded=False)
        return result


class FoldedStep(nn.Module):
    """DecoderStep for inference, of a skip of exactly twice the size."""

    def __init__(self, step: DecoderStep, coarse: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.doubling, self.mix = _doubling(step, coarse, dtype)
        conv, norm = _parts(step.conv1)
        weight = folded(conv, norm)[0][:, coarse:]
        nothing = weight.new_zeros(len(weight))  # the bias comes with the other half
        self.skip = FoldedConv(weight, nothing, padding=1, act="relu", dtype=dtype)

    def forward(self, coarse: Feature, skip: Float[Tensor, "B S i j"]) -> Result:
        """Climb one level."""
        return self.mix(self.skip.onto(self.doubling(coarse), skip))


def _doubling(step: DecoderStep, coarse: int, dtype: torch.dtype) -> tuple[Doubling, FoldedConv]:
    """The first convolution's share of the coarse feature, and the second one."""
    conv, norm = _parts(step.conv1)
    weight, bias = folded(conv, norm)
    act = "none" if weight.shape[1] > coarse else "relu"  # behind the sum with the skip's share
    doubling = Doubling(weight[:, :coarse], bias, act, dtype)
    return doubling, FoldedConv(*folded(*_parts(step.conv2)), padding=1, act="relu", dtype=dtype)


def _parts(layer: nn.Module) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    conv, norm, _ = layer.children()
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return conv, norm


def _blocks(stage: nn.Module) -> Iterator[MBConv]:
    for block in stage.children():
        assert isinstance(block, MBConv)
        yield block


def _planes(logits: Result) -> Logits:
    """From pixels to planes; several times sooner than by torch."""
    batch, classes, height, width = logits.shape
    pixels = logits.permute(0, 2, 3, 1).reshape(batch, height * width, classes).numpy()
    planes = [torch.from_numpy(cv2.transpose(image)) for image in pixels]
    together = planes[0] if batch == 1 else torch.stack(planes)
    return together.view(batch, classes, height, width)
