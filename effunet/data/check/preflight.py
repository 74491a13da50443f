"""The preflight: a dataset -> everything that is wrong with its files, and the line that mends it.

A fault found here costs seconds; found by a training it costs the epoch before it. What was found
is remembered while no file changes, so that the next training reads nothing but folders.
"""

from itertools import combinations

from effunet.data.check.findings import Finding, refuse_faults, told
from effunet.data.check.judge import judge
from effunet.data.check.remembered import Memory
from effunet.data.check.survey import Progress, Survey
from effunet.data.check.surveyed import memory_of, survey
from effunet.data.check.twins import shared_images
from effunet.data.dataset import Dataset, FileDataset


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
    findings = examine(*datasets, everything=everything, crop=crop, progress=progress)
    refuse_faults(findings, strict)
    return [finding.line for finding in findings]


def examine(
    *datasets: Dataset,
    everything: bool = False,
    crop: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """All findings of several splits of one dataset, and the images that two of them share."""
    findings: list[Finding] = []
    looked_through: list[tuple[FileDataset, Memory, Survey]] = []
    for place, dataset in enumerate(datasets):
        if not isinstance(dataset, FileDataset):
            continue  # only files can be at fault
        memory = memory_of(dataset)
        found = survey(dataset, memory, everything=everything, progress=progress)
        asked = crop if place == 0 else None  # validation is on whole images
        findings += [*_pairing(dataset), *judge(dataset, found, asked)]
        looked_through.append((dataset, memory, found))
    for one, other in combinations(looked_through, 2):
        findings += _shared(one, other)
    return findings


def check(
    dataset: Dataset, everything: bool = False, seed: int = 0, progress: Progress | None = None
) -> list[Finding]:
    """All faults of one split and what is worth knowing of it; everything reads every pair.

    A dataset that is made in memory has no findings.
    """
    if not isinstance(dataset, FileDataset):
        return []
    memory = memory_of(dataset, seed)
    found = survey(dataset, memory, everything=everything, seed=seed, progress=progress)
    return [*_pairing(dataset), *judge(dataset, found)]


def _pairing(dataset: FileDataset) -> list[Finding]:
    return [told(line, "pairing", dataset.split) for line in dataset.listing.faults()]


def _shared(
    one: tuple[FileDataset, Memory, Survey], other: tuple[FileDataset, Memory, Survey]
) -> list[Finding]:
    """shared_images, remembered: bytes of many files may have to be read for it."""
    (mine, memory, survey), (theirs, their_memory, their_survey) = one, other
    kind = f"shared-{their_memory.place}"
    known = memory.recall(kind)
    if known is not None and known.get("other") == their_memory.fingerprint:
        return [Finding(**finding) for finding in known["findings"]]
    findings = shared_images(mine, theirs, (survey, their_survey))
    plain = [finding.to_plain() for finding in findings]
    memory.keep(kind, {"other": their_memory.fingerprint, "findings": plain})
    return findings
