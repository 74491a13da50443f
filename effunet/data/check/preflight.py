"""The preflight: a dataset -> everything that is wrong with its files, and the line that mends it.

A fault found here costs seconds; found by a training it costs the epoch before it. What was found
is remembered while no file changes, so that the next training reads nothing but folders.
"""

from dataclasses import dataclass
from itertools import combinations, product

from effunet.data.check.findings import Finding, refuse_faults, told
from effunet.data.check.judge import Readable, judge
from effunet.data.check.remembered import keep, recall
from effunet.data.check.survey import READ_PAIRS, Progress, Survey, survey_samples
from effunet.data.check.surveyed import memory_of, survey
from effunet.data.check.twins import shared_images
from effunet.data.dataset import Dataset
from effunet.data.memory import Memory
from effunet.data.sources.huggingface import TableDataset


def require(
    *datasets: Dataset,
    everything: bool = False,
    strict: bool = False,
    crop: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Check the splits of a run, and that they share no image; returns lines worth showing.

    Args:
        datasets: opened with paired=False; the first one is trained on.
        everything: read every pair, however many there are.
        strict: what is only worth a warning is a fault, too.
        crop: height and width of a training crop, pixels.
        progress: told of each pair that has been looked at.

    Raises:
        DataError: one line with the first faults whole and the number of the others.
    """
    found = examine(*datasets, everything=everything, crop=crop, progress=progress)
    refuse_faults(found.findings, strict)
    return [finding.line for finding in found.findings]


@dataclass(frozen=True)
class Examination:
    """What a check has found, and the surveys of the splits that were read."""

    findings: list[Finding]
    surveys: list[tuple[Readable, Survey]]


def examine(
    *datasets: Dataset,
    everything: bool = False,
    crop: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> Examination:
    """Check several splits, the parts of mixtures one by one, and that no two share an image.

    What is made in memory has no findings: only what is read can be at fault.
    """
    findings: list[Finding] = []
    splits: list[list[_Seen]] = []
    for place, dataset in enumerate(datasets):
        asked = crop if place == 0 else None  # validation is on whole images
        splits.append([])
        for source in dataset.sources:
            if isinstance(source, Readable):
                seen = _look_through(source, everything, progress=progress)
                splits[-1].append(seen)
                findings += [*_pairing(source), *judge(source, seen.survey, asked)]
    for some, others in combinations(splits, 2):
        for one, other in product(some, others):
            findings += _shared(one, other)
    return Examination(findings, [(s.dataset, s.survey) for seen in splits for s in seen])


def check(
    dataset: Dataset, everything: bool = False, seed: int = 0, progress: Progress | None = None
) -> list[Finding]:
    """All faults of one split and what is worth knowing of it; everything reads every pair.

    A dataset that is made in memory has no findings.
    """
    findings: list[Finding] = []
    for source in dataset.sources:
        if isinstance(source, Readable):
            found = _look_through(source, everything, seed, progress)
            findings += [*_pairing(source), *judge(source, found.survey)]
    return findings


@dataclass(frozen=True)
class _Seen:
    dataset: Readable
    survey: Survey
    memory: Memory | None = None  # rows of a table are not remembered


def _look_through(
    dataset: Readable, everything: bool, seed: int = 0, progress: Progress | None = None
) -> _Seen:
    if isinstance(dataset, TableDataset):
        limit = len(dataset) if everything else READ_PAIRS
        return _Seen(dataset, survey_samples(dataset, limit, seed, progress))
    memory = memory_of(dataset, seed)
    found = survey(dataset, memory, everything=everything, seed=seed, progress=progress)
    return _Seen(dataset, found, memory)


def _pairing(dataset: Readable) -> list[Finding]:
    lines = [] if isinstance(dataset, TableDataset) else dataset.listing.faults()
    if lines or len(dataset):
        return [told(line, "pairing", dataset.split) for line in lines]
    # Rules deal few images out so that a split may get none.
    empty = f"{dataset.name}, split {dataset.split}: no image belongs to it"
    where = dataset.where if isinstance(dataset, TableDataset) else dataset.description.where
    mend = f"give it some, or write `splits` in {where} otherwise"
    return [Finding("empty_split", empty, mend, split=dataset.split)]


def _shared(one: _Seen, other: _Seen) -> list[Finding]:
    """shared_images, remembered: bytes of many files may have to be read for it."""
    surveys = one.survey, other.survey
    if one.memory is None or other.memory is None:
        return shared_images(one.dataset, other.dataset, surveys)
    kind = f"shared-{other.memory.place}"
    known = recall(one.memory, kind)
    if known is not None and known.get("other") == other.memory.fingerprint:
        return [Finding(**finding) for finding in known["findings"]]
    findings = shared_images(one.dataset, other.dataset, surveys)
    plain = [finding.to_plain() for finding in findings]
    keep(one.memory, kind, {"other": other.memory.fingerprint, "findings": plain})
    return findings
