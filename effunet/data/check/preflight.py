"""The preflight: a dataset -> everything that is wrong with its files, and the line that mends it.

A fault found here costs seconds; found by a training it costs the epoch before it. What was found
is remembered while no file changes, so that the next training reads nothing but folders.
"""

from dataclasses import dataclass
from itertools import combinations, product

from effunet.data.check.findings import Finding, refuse_faults, told
from effunet.data.check.judge import judge
from effunet.data.check.remembered import Memory
from effunet.data.check.survey import Progress, Survey
from effunet.data.check.surveyed import memory_of, survey
from effunet.data.check.twins import shared_images
from effunet.data.dataset import Dataset
from effunet.data.sources.folder import FileDataset


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
    """What a check has found, and the surveys of the splits that lie in files."""

    findings: list[Finding]
    surveys: list[tuple[FileDataset, Survey]]


def examine(
    *datasets: Dataset,
    everything: bool = False,
    crop: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> Examination:
    """Check several splits of one dataset, and that no two of them share an image.

    What is made in memory has no findings: only files can be at fault.
    """
    findings: list[Finding] = []
    splits: list[list[_Seen]] = []
    for place, dataset in enumerate(datasets):
        splits.append([])
        asked = crop if place == 0 else None  # validation is on whole images
        # Of a mixture each part, in its own classes.
        for source in dataset.sources:
            if isinstance(source, FileDataset):
                found = _look_through(source, everything, progress=progress)
                splits[-1].append(found)
                findings += [*_pairing(source), *judge(source, found.survey, asked)]
    for ours, others in combinations(splits, 2):
        for one, other in product(ours, others):
            findings += _shared(one, other)
    return Examination(findings, [(one.dataset, one.survey) for split in splits for one in split])


def check(
    dataset: Dataset, everything: bool = False, seed: int = 0, progress: Progress | None = None
) -> list[Finding]:
    """All faults of one split and what is worth knowing of it; everything reads every pair.

    A dataset that is made in memory has no findings.
    """
    findings: list[Finding] = []
    for source in dataset.sources:
        if isinstance(source, FileDataset):
            found = _look_through(source, everything, seed, progress)
            findings += [*_pairing(source), *judge(source, found.survey)]
    return findings


@dataclass(frozen=True)
class _Seen:
    dataset: FileDataset
    memory: Memory
    survey: Survey


def _look_through(
    dataset: FileDataset, everything: bool, seed: int = 0, progress: Progress | None = None
) -> _Seen:
    memory = memory_of(dataset, seed)
    found = survey(dataset, memory, everything=everything, seed=seed, progress=progress)
    return _Seen(dataset, memory, found)


def _pairing(dataset: FileDataset) -> list[Finding]:
    return [told(line, "pairing", dataset.split) for line in dataset.listing.faults()]


def _shared(one: _Seen, other: _Seen) -> list[Finding]:
    """shared_images, remembered: bytes of many files may have to be read for it."""
    kind = f"shared-{other.memory.place}"
    known = one.memory.recall(kind)
    if known is not None and known.get("other") == other.memory.fingerprint:
        return [Finding(**finding) for finding in known["findings"]]
    findings = shared_images(one.dataset, other.dataset, (one.survey, other.survey))
    plain = [finding.to_plain() for finding in findings]
    one.memory.keep(kind, {"other": other.memory.fingerprint, "findings": plain})
    return findings
