"""Segmenter x dataset -> Report: one confusion matrix over all images, at the labels' own size.

The same Report is what a training writes about its validation images. Several processes share the
images without padding: each is counted once, and their matrices are summed.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from effunet import processes
from effunet.data.dataset import Dataset, Sample
from effunet.errors import DataError, ModelError
from effunet.evaluation.report import Report
from effunet.infer import predict_mask
from effunet.metrics.confusion import ConfusionMatrix
from effunet.segmenter import Segmenter


def evaluate(
    segmenter: Segmenter,
    dataset: Dataset,
    *,
    tile: int | None = None,
    flip: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Predict every image at its own size and count every pixel whose truth is known.

    In a process that has initialised torch.distributed, every process of the group must call it
    (with the same segmenter and dataset): each takes the images rank, rank + world, ..., all get
    the same report of the whole split, and a fault of one is raised in all.

    Args:
        segmenter: its classes must be the dataset's, by name and order.
        dataset: one split.
        tile: predict in tiles of this size (`effunet.infer`); None: whole images.
        flip: average with the mirrored image.
        progress: called after each image with (images done, all images) of this process.

    Raises:
        ModelError: the segmenter's classes or channels are not those of the dataset.
        DataError: an unreadable sample, or no pixel to count in the whole split.
    """
    check_fit(segmenter, dataset)
    mine = range(processes.rank(), len(dataset), processes.world())
    matrix, done = ConfusionMatrix(len(segmenter.labels)).to(segmenter.device), 0
    with processes.together() as fault_elsewhere:
        for sample in _one_ahead(dataset, mine):
            prediction = predict_mask(segmenter, sample.image, tile=tile, flip=flip)
            truth = torch.from_numpy(sample.mask).to(segmenter.device)
            matrix.update(prediction[None], truth[None])
            done += 1
            if progress is not None:
                progress(done, len(mine))
            if fault_elsewhere():
                break
    if not processes.alike(len(dataset)):
        raise DataError(
            f"{dataset.name}, split {dataset.split}: {len(dataset)} images here, and another "
            "number for other processes: give all of them the same files"
        )
    # The state itself: compute() would gather it by a way of torchmetrics' own.
    images, *cells = processes.add_up([done, *matrix.matrix.flatten().tolist()])
    how = f"tiles of {tile} pixels" if tile else "whole images"
    report = Report.from_matrix(
        torch.tensor(cells).view_as(matrix.matrix),
        segmenter.labels,
        images=images,
        dataset=dataset.name,
        split=dataset.split,
        how=how + (", with the mirrored image" if flip else ""),
        scored=dataset.scored,
    )
    if report.pixels == 0:
        raise DataError(
            f"{dataset.name}, split {dataset.split}: nothing to count, mIoU n/a: all pixels of its "
            f"{len(dataset)} images are ignored; check the classes' values in dataset.yaml"
        )
    return report


def check_fit(segmenter: Segmenter, dataset: Dataset) -> None:
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


def _one_ahead(dataset: Dataset, places: Sequence[int]) -> Iterator[Sample]:
    """The samples at these places; while one is worked on, a thread reads the next, and no more."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(dataset.__getitem__, places[0]) if places else None
        for after in (*places[1:], None):
            if coming is None:
                return
            sample = coming.result()
            coming = None if after is None else reader.submit(dataset.__getitem__, after)
            yield sample
