"""Proof that an export answers as its original does: real, odd, bright, dark and random images."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from effunet.data.synthetic import render

SIZES = ((256, 320), (97, 133), (64, 64))
"""Height and width; the second one is odd, and no multiple of anything."""

Run = Callable[[ndarray], ndarray]
"""Images B C H W, uint8 -> an output."""


@dataclass(frozen=True)
class Bounds:
    """What an export is held to."""

    difference: float  # largest, as a share of the range of the original's answers
    agreement: float  # share of all pixels of which both name the same class


BOUNDS = {"fp32": Bounds(1e-4, 0.9999), "fp16": Bounds(0.05, 0.995)}
"""By precision; 8 bits are held to a mIoU instead."""

HALF_PROBABILITIES = Bounds(0.2, 0.995)
"""Of probabilities with fp16: where two classes are close, softmax turns a difference of logits by
one into one of a quarter, and 5 % of the range of logits is more than one."""


def bounds_of(precision: str, probabilities: bool) -> Bounds | None:
    """What an export of this precision is held to; None for 8 bits."""
    if precision == "fp16" and probabilities:
        return HALF_PROBABILITIES
    return BOUNDS.get(precision)


@dataclass(frozen=True)
class Look:
    """Original and export on one batch."""

    what: str
    shape: tuple[int, ...]
    farthest: float | None  # largest difference of two scores; None of masks
    spread: float  # of the original's scores
    agreement: float  # share of pixels


@dataclass(frozen=True)
class Proof:
    """What all looks found."""

    looks: tuple[Look, ...]

    @property
    def difference(self) -> float | None:
        """The largest one, as a share of the range of all answers; None of masks.

        Of all, for those to an image of one colour hardly differ from each other.
        """
        found = [look.farthest for look in self.looks if look.farthest is not None]
        if not found:
            return None
        return float(np.max(found) / max(1e-12, *(look.spread for look in self.looks)))

    @property
    def agreement(self) -> float:
        """Of all pixels."""
        pixels = [look.shape[0] * look.shape[2] * look.shape[3] for look in self.looks]
        agreed = sum(n * look.agreement for n, look in zip(pixels, self.looks, strict=True))
        return agreed / sum(pixels)

    def holds(self, bounds: Bounds) -> bool:
        """Whether the export may be handed out; what is not a number is no proof."""
        close = self.difference is None or self.difference <= bounds.difference
        return close and self.agreement >= bounds.agreement

    def to_plain(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "largest_difference": self.difference,
            "argmax_agreement": self.agreement,
            "batches": len(self.looks),
        }


def prove(original: Run, export: Run, batches: Iterable[tuple[str, ndarray]]) -> Proof:
    """Run both on the same batches.

    Args:
        original: gives logits or probabilities B K H W, or masks B H W.
        export: gives the same.
        batches: of `scenes` and `photos`.
    """
    return Proof(tuple(_look(what, images, original, export) for what, images in batches))


def scenes(
    channels: int, sizes: Sequence[tuple[int, int]] = SIZES, batches: Sequence[int] = (1, 2)
) -> Iterator[tuple[str, UInt8[ndarray, "B C H W"]]]:
    """Name and images: scenes of each size, one and two at a time; random, dark, bright ones."""
    noise = np.random.default_rng(0)
    for height, width in sizes:
        for count in batches:
            drawn = [_scene(number, height, width, channels) for number in range(count)]
            yield "scene", np.stack(drawn)
        shape = (1, channels, height, width)
        yield "random", noise.integers(0, 256, shape, np.uint8)
        for what, value in (("dark", 0), ("bright", 255)):
            yield what, np.full(shape, value, np.uint8)


def photos(
    images: Sequence[UInt8[ndarray, "H W C"]],
) -> Iterator[tuple[str, UInt8[ndarray, "1 C H W"]]]:
    """Name and image of real ones, each at its own size."""
    for index, image in enumerate(images):
        yield f"image {index}", as_batch(image)


def as_batch(image: UInt8[ndarray, "H W C"]) -> UInt8[ndarray, "1 C H W"]:
    """One image as an export takes it."""
    return np.ascontiguousarray(image.transpose(2, 0, 1))[None]


def named(answer: ndarray) -> UInt8[ndarray, "B H W"]:
    """The classes that an answer names: masks as they are, the largest of scores."""
    return answer if answer.ndim == 3 else answer.argmax(1).astype(np.uint8)


def running(graph: Callable[[Tensor], Tensor]) -> Run:
    """A graph, or torch's own export of one, as a function of arrays."""

    @torch.inference_mode()
    def run(images: ndarray) -> ndarray:
        return graph(torch.from_numpy(images)).numpy()

    return run


def _scene(index: int, height: int, width: int, channels: int) -> ndarray:
    """A street scene; of other than three channels the first one, repeated."""
    image = render(7, index, height, width)[0].transpose(2, 0, 1)
    return image if channels == 3 else np.repeat(image[:1], channels, 0)


def _look(what: str, images: ndarray, original: Run, export: Run) -> Look:
    expected, found = original(images), export(images)
    if found.shape != expected.shape:  # an answer of another size is as far off as can be
        return Look(what, images.shape, np.inf, 0.0, 0.0)
    agreement = float((named(found) == named(expected)).mean())
    if found.ndim == 3:
        return Look(what, images.shape, None, 0.0, agreement)
    spread = float(expected.max() - expected.min())
    largest = float(np.abs(found.astype(np.float64) - expected).max())
    return Look(what, images.shape, largest, spread, agreement)
