"""What a command asks to have explained: a segmenter, a class, and the pixels of an image."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray

from effunet.commands.models import named
from effunet.errors import DataError, UsageError

if TYPE_CHECKING:
    from effunet.segmenter import Segmenter

LEAST = 0.001
"""Share of an image below which a class is not taken for one that is there."""


@dataclass(frozen=True)
class Asked:
    """One class over some pixels."""

    index: int
    pixels: Bool[ndarray, "H W"]
    missed: bool = False  # true, and nowhere predicted: its true pixels are explained


def class_named(name: str, names: Sequence[str]) -> str:
    """The class of this name; with other capitals, too, where they leave no choice.

    Raises:
        UsageError: there is none, or more than one.
    """
    alike = [one for one in names if one.casefold() == name.casefold()]
    if name in names:
        return name
    if len(alike) == 1:
        return alike[0]
    raise UsageError(f"--class {name}: the model's classes are {', '.join(names)}")


def segmenter_of(arguments: Namespace) -> "Segmenter":
    """The segmenter, ready for gradients.

    Raises:
        UsageError: an exported file, through which no gradient flows; or no such class.
    """
    model = named(arguments.model)
    if model.model is not None:
        raise UsageError(
            f"{model.header.path} is an exported file, through which no gradient flows: "
            "name the segmenter"
        )
    if arguments.name is not None:
        arguments.name = class_named(arguments.name, model.header.class_names)
    from effunet.segmenter import Segmenter

    return Segmenter.load(model.header.path, arguments.device)


def inside(arguments: Namespace, name: str, size: tuple[int, int]) -> Bool[ndarray, "H W"]:
    """The pixels that --region and --pixel leave, of an image of this height and width.

    Raises:
        UsageError: they lie outside.
    """
    height, width = size
    chosen = np.ones(size, bool)
    if arguments.region is not None:
        x, y, wide, high = arguments.region
        if x + wide > width or y + high > height:
            raise UsageError(
                f"--region {x},{y},{wide},{high}: reaches out of {name}, which is {width} wide and "
                f"{height} high"
            )
        chosen[:] = False
        chosen[y : y + high, x : x + wide] = True
    if arguments.pixel is not None:
        x, y = arguments.pixel
        if x >= width or y >= height:
            raise UsageError(
                f"--pixel {x},{y}: lies outside {name}: x is 0 to {width - 1}, y 0 to {height - 1}"
            )
        chosen[:] = False
        chosen[y, x] = True
    return chosen


def one_class(
    arguments: Namespace, names: tuple[str, ...], where: str, mask: UInt8[ndarray, "H W"]
) -> Asked:
    """The class that is named, over the pixels that are asked for.

    Raises:
        DataError: it is predicted at none of them.
        UsageError: the pixels lie outside the image.
    """
    index, chosen = names.index(arguments.name), inside(arguments, where, mask.shape)
    if arguments.over == "all" or arguments.pixel is not None:
        return Asked(index, chosen)
    pixels = chosen & (mask == index)
    if not pixels.any():
        there = [names[other] for other in np.unique(mask[chosen]) if other < len(names)]
        part = "that region of " if arguments.region is not None else ""
        raise DataError(
            f"{arguments.name} is predicted nowhere in {part}{where} (there are "
            f"{', '.join(there)}): --over all explains its score all the same"
        )
    return Asked(index, pixels)


def every_class(
    classes: int,
    mask: UInt8[ndarray, "H W"],
    truth: UInt8[ndarray, "H W"] | None,
    only: int | None = None,
) -> list[Asked]:
    """The classes that have LEAST of prediction or truth, the largest first.

    Args:
        classes: how many there are.
        mask: predicted.
        truth: class indices, 255 where unknown; None: not known.
        only: of this class alone.
    """
    found: list[Asked] = []
    for index in range(classes) if only is None else [only]:
        predicted = mask == index
        if predicted.mean() >= LEAST:
            found.append(Asked(index, predicted))
        elif truth is not None and (true := truth == index).mean() >= LEAST:
            found.append(Asked(index, true, missed=True))
    return sorted(found, key=lambda one: -int(one.pixels.sum()))
