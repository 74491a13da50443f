"""What lies in the folders of one split: pairs of image and truth, and all that has no partner."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

from effunet.data.describe.layouts import Shapes
from effunet.data.sources.pairs import Pair, Pairs
from effunet.data.sources.patterns import Key

if TYPE_CHECKING:
    from effunet.data.shapes.formats import Annotations

Found = Mapping[Key, Sequence[Path]]
"""Files by the texts that the stars of a pattern matched."""


@dataclass(frozen=True)
class Truth:
    """Annotations that the masks of a listing are painted from."""

    layout: Shapes
    annotations: "Annotations | None" = None  # None: each pair has a file of its own
    entries: Int64[ndarray, " N"] | None = None  # the place of each pair's image in annotations


@dataclass(frozen=True)
class Listing:
    """The pairs of one split, sorted by name, and what is wrong with the others."""

    pairs: Pairs
    images_without_mask: tuple[Path, ...] = ()
    masks_without_image: tuple[Path, ...] = ()
    twins: tuple[tuple[Path, ...], ...] = ()
    """Files of one kind that a name cannot tell apart: a.jpg and a.png, or a.png and A.png."""
    unfound: tuple[str, ...] = ()
    """Names of a list, or rows of a manifest, for which there is no image."""
    masks_wanted: str = ""
    images_wanted: str = ""
    list_file: str = ""
    truth: Truth | None = None
    weights: Float32[ndarray, " N"] | None = None  # how often each is drawn, against the others
    notices: tuple[str, ...] = ()  # what annotations hold and no mask can
    files: tuple[Path, ...] = field(default=())  # lists, manifests and annotations that were read
    without_instances: tuple[Path, ...] = ()  # masks, where others of the split have instances
    instances_wanted: str = ""

    def faults(self) -> list[str]:
        """One line for every kind of fault; twins first, since they leave others alone."""
        lines: list[str] = []
        if self.twins:
            same = [" = ".join(str(file) for file in twin) for twin in self.twins]
            lines.append(
                f"{several(len(self.twins), 'name')} shared by several files: {shorten(same)}; "
                "keep one of each, or rename (letter case and extension do not make a name)"
            )
        if self.images_without_mask:
            lines.append(
                f"{several(len(self.images_without_mask), 'image')} without a mask: "
                f"{shorten(self.images_without_mask)}; add {self.masks_wanted}, or remove the image"
            )
        if self.masks_without_image:
            lines.append(
                f"{several(len(self.masks_without_image), 'mask')} without an image: "
                f"{shorten(self.masks_without_image)}; add {self.images_wanted}, or remove the mask"
            )
        if self.unfound:
            lines.append(
                f"{several(len(self.unfound), 'name')} of {self.list_file} without an image: "
                f"{shorten(self.unfound)}; add {self.images_wanted}, or remove the line"
            )
        return lines


def paired(
    images: Found, masks: Found, wanted: tuple[str, str], instances: Found = MappingProxyType({})
) -> Listing:
    """Join images and masks by their keys; wanted says where either is looked for.

    Files of instances are taken where every pair has one.
    """
    both = sorted(images.keys() & masks.keys())
    things = [instances[key][0] if key in instances else None for key in both]
    return Listing(
        pairs=Pairs(
            [
                Pair(name_of(key), images[key][0], masks[key][0], thing)
                for key, thing in zip(both, things, strict=True)
            ]
        ),
        without_instances=tuple(masks[key][0] for key in both if key not in instances)
        if any(things)
        else (),
        images_without_mask=tuple(images[key][0] for key in sorted(images.keys() - masks.keys())),
        masks_without_image=tuple(masks[key][0] for key in sorted(masks.keys() - images.keys())),
        twins=(*_twins(images), *_twins(masks)),
        images_wanted=wanted[0],
        masks_wanted=wanted[1],
    )


def name_of(key: Key) -> str:
    """What people and output files call the pair: the matched texts, folders before files."""
    return "/".join(part for part in key if part)


def chosen(found: Found, take: Callable[[Key], bool]) -> Found:
    """The files of the keys that are taken."""
    return {key: files for key, files in found.items() if take(key)}


def entries_of(places: Sequence[int]) -> Int64[ndarray, " N"]:
    """Places as an array."""
    return np.array(places, np.int64)


def _twins(files: Found) -> list[tuple[Path, ...]]:
    alike: defaultdict[Key, list[Path]] = defaultdict(list)
    for key, found in files.items():
        alike[tuple(part.casefold() for part in key)].extend(found)
    return [tuple(found) for found in alike.values() if len(found) > 1]


def several(count: int, noun: str) -> str:
    """'1 image' or '3 images'."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def shorten(things: Sequence[object], most: int = 10) -> str:
    """The first ten for a message, and how many more."""
    shown = ", ".join(str(thing) for thing in things[:most])
    return shown if len(things) <= most else f"{shown} and {len(things) - most} more"
