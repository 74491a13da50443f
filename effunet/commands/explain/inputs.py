"""The images that a command explains: files and folders, or a dataset's, with their truth."""

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import UInt8
from numpy import ndarray

from effunet.commands.outputs import found_images
from effunet.errors import DataError, UsageError

if TYPE_CHECKING:
    from effunet.data.dataset import Dataset
    from effunet.segmenter import Segmenter


@dataclass(frozen=True)
class Input:
    """One image: a file, or a dataset's sample."""

    name: str
    path: Path | None
    dataset: "Dataset | None" = None
    index: int = 0

    def image(self) -> "UInt8[ndarray, 'H W C'] | Path":
        """What a segmenter takes."""
        if self.dataset is None:
            assert self.path is not None
            return self.path
        return self.dataset.read_image(self.index)

    def truth(self) -> UInt8[ndarray, "H W"] | None:
        """Class indices, where they are known."""
        return None if self.dataset is None else self.dataset.read_mask(self.index)


def inputs_of(arguments: Namespace, segmenter: "Segmenter", out: Path) -> list[Input]:
    """Name --limit of them, and say so where there are more.

    With --data those of the split, in the folders and files that are named if any.

    Raises:
        DataError: there is none.
        ModelError: the dataset has other classes or channels.
        UsageError: neither images nor --data.
    """
    if arguments.data is None:
        if not arguments.images:
            raise UsageError("name images or folders, or a dataset by --data NAME")
        files = found_images(arguments.images, out)
        chosen = _spread([*range(len(files))], arguments.limit)
        return [Input(str(files[place][1]), files[place][0]) for place in chosen]
    from effunet.data.catalog import in_classes_of, open_dataset
    from effunet.evaluation.evaluate import check_fit

    dataset = open_dataset(arguments.data, arguments.split, arguments.root)
    dataset = in_classes_of(arguments.data, dataset, segmenter.labels.names, arguments.root)
    check_fit(segmenter, dataset)
    places = [*_inside(dataset, arguments.images)] if arguments.images else [*range(len(dataset))]
    if not places:
        named = ", ".join(map(str, arguments.images))
        raise DataError(
            f"no image of {arguments.data} {arguments.split} lies in {named}: name another --split"
        )
    return [
        Input(dataset[index].name, None, dataset, index)
        for index in _spread(places, arguments.limit)
    ]


def _spread(places: Sequence[int], count: int) -> list[int]:
    """At most `count` of them, evenly spread; how many is said where some are left out."""
    from effunet.data.subset import evenly

    if count < len(places):
        print(f"effunet: {count} of {len(places)} images: --limit N takes more", file=sys.stderr)
    return [places[one] for one in evenly(len(places), count)]


def _inside(dataset: "Dataset", given: Sequence[Path]) -> Iterator[int]:
    wanted = [path.resolve() for path in given]
    for path in given:
        if not path.exists():
            raise DataError(f"no such image or folder: {path}")
    for index in range(len(dataset)):
        file = dataset.image_path(index)
        if file is not None and any(file.resolve().is_relative_to(path) for path in wanted):
            yield index
