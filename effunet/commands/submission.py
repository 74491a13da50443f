"""A segmenter and images -> results under the names and with the ids that a server expects.

Class names decide: the server's id of a class is that of the same name in the dataset.yaml of its
benchmark, whatever raw values the segmenter was trained with (trainIds, or another dataset's).
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from effunet.commands.layouts import Layout
from effunet.commands.outputs import MASK, Job, found_images
from effunet.data.describe.read import read_description
from effunet.data.describe.shelf import description_file
from effunet.data.files.opening import read_size
from effunet.data.sources.listing import shorten
from effunet.errors import DataError, EffunetError, ModelError, ResourceError, UsageError
from effunet.labels import LabelMap
from effunet.pictures.palettes import palette_png, png
from effunet.values import default_color

NAMED = 6
"""Names in a message, before it ends in a number."""


@dataclass(frozen=True)
class Submission:
    """The server's layout, its id of each class index, and the classes that it will miss."""

    layout: Layout
    ids: UInt8[ndarray, " K"]
    lacking: tuple[str, ...]

    def encode(self, mask: UInt8[ndarray, "H W"]) -> bytes:
        """Class indices as the PNG that the server reads."""
        ids = self.ids[mask]
        if not self.layout.palette:
            return png(Image.fromarray(ids))
        return palette_png(ids, np.array([default_color(i) for i in range(256)], np.uint8))


def submission_of(layout: Layout, labels: LabelMap) -> Submission:
    """Find the server's ids for the classes of a segmenter.

    Raises:
        ModelError: the segmenter has a class that the benchmark does not know.
    """
    file = description_file(layout.dataset)
    if file is None:
        raise DataError(f"data/{layout.dataset}/dataset.yaml is missing: it lists the server's ids")
    ids = {
        label.name: next(value for value in label.values if isinstance(value, int))
        for label in read_description(file).labels.classes
    }
    unknown = [name for name in labels.names if name not in ids]
    if unknown:
        raise ModelError(
            f"the segmenter's {shorten(unknown, NAMED)} are no classes of {layout.title} "
            f"({shorten(list(ids), NAMED)}): its server would read nonsense; "
            f"take a segmenter that was trained on dataset={layout.dataset}"
        )
    lacking = tuple(name for name in ids if name not in labels.names)
    return Submission(layout, np.array([ids[name] for name in labels.names], np.uint8), lacking)


def labels_of(facts: dict[str, Any], where: Path) -> LabelMap:
    """The classes in a segmenter's header.

    Raises:
        ModelError: they are damaged.
    """
    try:
        return LabelMap.from_plain(facts["labels"], where=str(where))
    except EffunetError as error:
        raise ModelError(str(error)) from error


def plan_submission(layout: Layout, inputs: Sequence[Path], out: Path) -> list[Job]:
    """Every image with the server's name of its result below `out`.

    Raises:
        DataError: an image without an official name, or two of one name.
        UsageError: `out` holds other PNGs, which the server would take for results.
    """
    jobs: dict[Path, Job] = {}
    misnamed: list[Path] = []
    for image, _ in found_images(inputs, out):
        match = layout.images.fullmatch(image.stem)
        if match is None:
            misnamed.append(image)
            continue
        stem = out / layout.result.format(*match.groups())
        if stem in jobs:
            raise DataError(
                f"{jobs[stem].image} and {image} are one image of {layout.title} by "
                "their names: give one of them"
            )
        jobs[stem] = Job(image, stem)
    if misnamed:
        raise DataError(
            f"not named as {layout.title} names its images ({layout.example}): "
            f"{shorten(misnamed, NAMED)}; the server goes by names: rename them, or leave them out"
        )
    results = {job.result(MASK) for job in jobs.values()}
    others = sorted(set(out.rglob("*.png")) - results)
    if others or any(job.image.resolve() == job.result(MASK).resolve() for job in jobs.values()):
        raise UsageError(
            f"--out {out} holds other PNGs ({shorten(others or [jobs[min(jobs)].image], NAMED)}), "
            "which the server would take for results: name an empty folder"
        )
    return list(jobs.values())


def notices(submission: Submission, jobs: Iterable[Job]) -> list[str]:
    """Lines on what the server will count against the results, or refuse."""
    lines: list[str] = []
    layout = submission.layout
    if submission.lacking:
        lines.append(
            f"the segmenter does not know {shorten(submission.lacking, NAMED)}: "
            f"the server of {layout.title} counts their pixels as missed"
        )
    if layout.size is not None:
        resized: list[Path] = []
        for job in jobs:
            # What cannot be read is told when it is predicted.
            with suppress(DataError, ResourceError):
                if read_size(job.image) != layout.size:
                    resized.append(job.image)
        if resized:
            height, width = layout.size
            lines.append(
                f"{len(resized)} images are not {height} x {width} ({shorten(resized, NAMED)}): "
                f"the server of {layout.title} refuses results of another size than its labels"
            )
    return lines
