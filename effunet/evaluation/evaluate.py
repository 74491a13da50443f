"""Segmenter x dataset -> Report: every image counted once, at the labels' own size.

The same Report is what a training writes about its validation images. Several processes share the
images without padding, and their counts are summed.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from effunet import processes
from effunet.data.dataset import Dataset, Sample
from effunet.errors import DataError, ModelError
from effunet.evaluation.report import Report
from effunet.evaluation.split import report_of, tally_of
from effunet.infer import Way, predict_decided
from effunet.metrics.bootstrap import RESAMPLES
from effunet.predictor import Predictor


def evaluate(
    segmenter: Predictor,
    dataset: Dataset,
    *,
    way: Way | None = None,
    regions: bool = False,
    strict: bool = True,
    resamples: int = RESAMPLES,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Predict every image at its own size and count every pixel whose truth is known.

    In a process that has initialised torch.distributed, every process of the group must call it
    (with the same segmenter and dataset): each takes the images rank, rank + world, ..., all get
    the same report of the whole split, and a fault of one is raised in all.

    Args:
        segmenter: its classes must be the dataset's, by name and order.
        dataset: one split.
        way: tiles, scales, the mirrored image (effunet/infer); None: whole images.
        regions: count as well where errors lie, by size of objects and distance to a boundary.
        strict: whether an image that cannot be read ends the evaluation; otherwise it is named in
            the report's `unreadable`, and all others are counted.
        resamples: of the bootstrap behind the intervals; 0: none.
        progress: called after each image with (images done, all images) of this process.

    Raises:
        ModelError: the segmenter's classes or channels are not those of the dataset.
        DataError: an unreadable sample and strict, or no pixel to count in the whole split.
    """
    check_fit(segmenter, dataset)
    way = way or Way()
    mine = range(processes.rank(), len(dataset), processes.world())
    tally, faults = tally_of(dataset, regions=regions), dict[int, str]()

    def count(index: int, sample: Sample, *predicted: Any) -> None:
        try:
            tally.add(index, sample.mask, *predicted)
        except DataError as error:  # of its instances, which are read there
            if strict:
                raise
            faults[index] = str(error)

    with processes.together() as fault_elsewhere, _one_behind(count) as behind:
        for done, (index, sample) in enumerate(_one_ahead(dataset, mine), 1):
            if isinstance(sample, Sample):
                predicted, sure = predict_decided(segmenter, sample.image, way)
                confidence = sure.cpu().numpy() if segmenter.weighs else None
                behind(index, sample, predicted.cpu().numpy(), confidence)
            elif strict:
                raise sample
            else:
                faults[index] = str(sample)
            if progress is not None:
                progress(done, len(mine))
            if fault_elsewhere():
                break
    if not processes.alike(len(dataset)):
        raise DataError(
            f"{dataset.name}, split {dataset.split}: {len(dataset)} images here, and another "
            "number for other processes: give all of them the same files"
        )
    counts = tally.counts()
    missing: list[int] = np.setdiff1d(np.arange(len(dataset)), counts.images).tolist()
    unreadable = [(dataset.ids[place], _why(dataset, place, faults)) for place in missing]
    report = report_of(
        counts,
        dataset,
        how=way.describe(),
        unreadable=tuple(unreadable),
        resamples=resamples,
    )
    if report.pixels == 0:
        found = f"all pixels of its {report.images} images are ignored"
        if unreadable:
            found += f", and {len(unreadable)} images cannot be read: {unreadable[0][1]}"
        raise DataError(
            f"{dataset.name}, split {dataset.split}: nothing to count, mIoU n/a: {found}; "
            "check the classes' values in dataset.yaml"
        )
    return report


def check_fit(segmenter: Predictor, dataset: Dataset) -> None:
    """Raise ModelError unless the segmenter can be measured on the dataset.

    Equal numbers of classes in another order would give a number that looks like a bad network.
    """
    mismatch = segmenter.labels.mismatch(dataset.labels)
    if mismatch:
        raise ModelError(
            f"the segmenter's classes (here) are not those of {dataset.name} (there): {mismatch}. "
            "Name the dataset that it was trained on, or train one on this"
        )
    if segmenter.channels != dataset.channels:
        raise ModelError(
            f"the segmenter takes images of {segmenter.channels} channels, "
            f"and {dataset.name} has {dataset.channels}: train one on this dataset"
        )


def _one_ahead(dataset: Dataset, places: Sequence[int]) -> Iterator[tuple[int, Sample | DataError]]:
    """The samples at these places; while one is worked on, a thread reads the next, and no more."""
    with ThreadPoolExecutor(1) as reader:
        coming = [reader.submit(_read, dataset, place) for place in places[:1]]
        for number, place in enumerate(places):
            sample = coming.pop().result()
            coming += [reader.submit(_read, dataset, after) for after in places[number + 1 :][:1]]
            yield place, sample


def _read(dataset: Dataset, place: int) -> Sample | DataError:
    try:
        return dataset[place]
    except DataError as error:
        return error
    except OSError as error:
        if error.filename is None:  # not of a file, but of the machine
            raise
        return DataError(f"{error.filename} cannot be read: {error.strerror}")


@contextmanager
def _one_behind(work: Callable[..., None]) -> Generator[Callable[..., None]]:
    """The work in a thread, one call at a time, while its caller goes on; faults are raised."""
    with ThreadPoolExecutor(1) as worker:
        last: Future[None] | None = None

        def call(*arguments: Any) -> None:
            nonlocal last
            if last is not None:
                last.result()
            last = worker.submit(work, *arguments)

        yield call
        if last is not None:
            last.result()


def _why(dataset: Dataset, place: int, faults: dict[int, str]) -> str:
    """Why an image was not counted; one that another process could not read is read once more."""
    if place in faults:
        return faults[place]
    again = _read(dataset, place)
    if isinstance(again, DataError):
        return str(again)
    try:
        dataset.instances(place)
    except DataError as error:
        return str(error)
    return "another process could not read it"
