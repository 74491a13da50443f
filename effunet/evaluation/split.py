"""A split of a dataset as what is counted of it, and what is said of the counts."""

from dataclasses import replace

from effunet.data.dataset import Dataset
from effunet.data.sources.mixture import Mixture, parts_of
from effunet.evaluation.instances import things_of
from effunet.evaluation.report import Report
from effunet.infer import WHOLE
from effunet.metrics.bootstrap import RESAMPLES
from effunet.metrics.rows import Rows
from effunet.metrics.tally import Counts, Tally


def tally_of(dataset: Dataset, *, regions: bool = False) -> Tally:
    """An empty tally of the split; regions: also of where errors lie, which takes longer."""
    rows = _rows(dataset)
    parts = _parts(dataset)
    return Tally(
        rows,
        len(dataset),
        parts=[replace(rows, scored=part.scored) for part in parts],
        part_of=parts_of(dataset)[1],
        instances_of=dataset.instances,
        regions=regions,
    )


def report_of(
    counts: Counts,
    dataset: Dataset,
    *,
    how: str = WHOLE.describe(),
    unreadable: tuple[tuple[str, str], ...] = (),
    resamples: int = RESAMPLES,
) -> Report:
    """What the counts of the split say.

    Args:
        counts: of `tally_of` the same dataset.
        dataset: gives the names.
        how: its images were predicted.
        unreadable: names of images that could not be counted, and why.
        resamples: of the bootstrap; 0: no intervals.
    """
    datasets = (dataset, *_parts(dataset))
    whole, *parts = (
        Report(part_counts, dataset.labels, part.name, part.split, how, resamples=resamples)
        for part, part_counts in zip(datasets, (counts, *counts.parts), strict=True)
    )
    return replace(whole, parts=tuple(parts), unreadable=unreadable)


def _rows(dataset: Dataset) -> Rows:
    labels = dataset.labels
    groups = tuple(labels.categories.values())
    return Rows(len(labels), groups, dataset.scored, things_of(dataset))


def _parts(dataset: Dataset) -> tuple[Dataset, ...]:
    return dataset.parts if isinstance(dataset, Mixture) else ()
