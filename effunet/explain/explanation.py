"""A segmenter, an image, a class and a set of pixels in; a map of what speaks for it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, UInt8
from numpy import ndarray
from torch import Tensor

from effunet.errors import UsageError
from effunet.explain.methods import METHODS
from effunet.explain.places import place, tapped
from effunet.labels import LabelMap
from effunet.segmenter import Segmenter

DEFAULT_METHOD, DEFAULT_LAYER = "hires-cam", "encoder/32"

Asked = tuple[int, Bool[ndarray, "H W"]]
"""A class's index, and the pixels over which its logits are averaged."""


@dataclass(frozen=True)
class Explanation:
    """What speaks for a class, at each pixel."""

    image: UInt8[ndarray, "H W C"]
    index: int  # of the class
    labels: LabelMap
    pixels: Bool[ndarray, "H W"]  # those whose score is explained
    coarse: Float32[ndarray, "h w"]  # 0 or more, at the feature's own places
    padded: tuple[int, int]  # height and width of what the feature is of
    method: str
    layer: str

    @property
    def map(self) -> Float32[ndarray, "H W"]:
        """Enlarged to the image; 0..1, the share of its largest value. Made anew when asked for."""
        coarse = torch.from_numpy(self.coarse)
        whole = enlarged(coarse, self.padded, *self.image.shape[:2])
        return (whole / whole.max().clamp(min=1e-30)).numpy()

    @property
    def name(self) -> str:
        """Of the class."""
        return self.labels.names[self.index]

    @property
    def empty(self) -> bool:
        """Whether nothing speaks for it at this feature: the map is 0 everywhere."""
        return not self.map.any()


class Explainer:
    """Makes maps of one segmenter by one method at one feature.

    The calibration has no part in it: logits are explained as the network gives them.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        method: str = DEFAULT_METHOD,
        layer: str = DEFAULT_LAYER,
    ) -> None:
        """Choose.

        Args:
            segmenter: with a network of ours or of smp.
            method: one of METHODS.
            layer: a feature of `places`, or a module's dotted name.

        Raises:
            UsageError: an unknown method or feature.
        """
        check_method(method)
        self.segmenter, self.method, self.layer = segmenter, method, layer
        self._place = place(segmenter.network, layer)

    def __call__(
        self, image: UInt8[ndarray, "H W C"], index: int, pixels: Bool[ndarray, "H W"]
    ) -> Explanation:
        """Explain one class over a set of pixels; see `each`."""
        return self.each(image, [(index, pixels)])[0]

    def each(
        self,
        image: UInt8[ndarray, "H W C"],
        asked: Sequence[Asked],
    ) -> list[Explanation]:
        """Explain several scores of one image by one forward pass and a backward pass each.

        Args:
            image: raw, of any size.
            asked: class indices, each with the pixels over which its logits are averaged.

        Raises:
            ValueError: a class that is not there, or no pixel.
        """
        return [found[self.method] for found in self.by_each(image, asked, [self.method])]

    def by_each(
        self,
        image: UInt8[ndarray, "H W C"],
        asked: Sequence[Asked],
        methods: Sequence[str],
    ) -> list[dict[str, Explanation]]:
        """The same by several methods: all are formulas over one feature and its gradient.

        Raises:
            UsageError: an unknown method.
            ValueError: as in `each`.
        """
        for method in methods:
            check_method(method)
        classes = len(self.segmenter.labels)
        for index, pixels in asked:
            if not 0 <= index < classes or pixels.shape != image.shape[:2] or not pixels.any():
                raise ValueError(
                    f"a class of 0..{classes - 1} and at least one pixel of {image.shape[:2]},"
                    f" got {index} and {int(pixels.sum())} pixels of {pixels.shape}"
                )
        gradients, feature, padded = self._gradients(image, asked)

        def explained(one: Asked, gradient: Float[Tensor, "D h w"], method: str) -> Explanation:
            coarse = METHODS[method](feature, gradient).cpu().numpy()
            labels = self.segmenter.labels
            return Explanation(image, one[0], labels, one[1], coarse, padded, method, self.layer)

        return [
            {method: explained(one, gradient, method) for method in methods}
            for one, gradient in zip(asked, gradients, strict=True)
        ]

    def _gradients(
        self, image: UInt8[ndarray, "H W C"], asked: Sequence[Asked]
    ) -> tuple[list[Float[Tensor, "D h w"]], Float[Tensor, "D h w"], tuple[int, int]]:
        network = self.segmenter.network.eval()
        batch = torch.from_numpy(np.array(image, order="C")).to(self.segmenter.device)
        batch = batch.view(1, *image.shape).permute(0, 3, 1, 2)
        wanted = [weight.requires_grad for weight in network.parameters()]
        network.requires_grad_(False)
        try:
            with torch.enable_grad(), tapped(network, self._place) as found:
                logits = network(batch)
                if not found:
                    raise UsageError(
                        f"--layer {self.layer}: the network does not run through it: choose another"
                    )
                if not logits.requires_grad:
                    raise UsageError(
                        f"--layer {self.layer}: no score depends on it alone: choose another"
                    )
                feature = found[-1]
                gradients: list[Tensor] = []
                for number, (index, pixels) in enumerate(asked):
                    chosen = torch.from_numpy(pixels).to(logits.device)
                    (gradient,) = torch.autograd.grad(
                        logits[0, index][chosen].mean(),
                        feature,
                        retain_graph=number + 1 < len(asked),
                    )
                    gradients.append(gradient[0])
        finally:
            for weight, before in zip(network.parameters(), wanted, strict=True):
                weight.requires_grad_(before)
        height, width = network.normalise(batch).shape[-2:]
        return gradients, feature.detach()[0], (height, width)


def check_method(method: str) -> None:
    """Raise UsageError, with those that there are, unless a method has this name."""
    if method not in METHODS:
        raise UsageError(f"--method {method}: there are {', '.join(METHODS)}")


def enlarged(
    coarse: Float[Tensor, "h w"], padded: tuple[int, int], height: int, width: int
) -> Float[Tensor, "H W"]:
    """A map at the places of a feature, at the image's pixels.

    The feature is of the padded image: the map is enlarged to that, and cropped.
    """
    whole = F.interpolate(coarse[None, None], size=padded, mode="bilinear")
    return whole[0, 0, :height, :width]
