"""A split's survey: remembered from the last time while nothing has changed, else made."""

from contextlib import suppress

from effunet.data.check.findings import refuse_faults
from effunet.data.check.judge import judge
from effunet.data.check.remembered import keep, recall
from effunet.data.check.survey import Progress, Survey, limits, make_survey, survey_samples
from effunet.data.dataset import Dataset
from effunet.data.memory import Memory
from effunet.data.sources.folder import FileDataset
from effunet.data.sources.generated import GeneratedDataset
from effunet.data.sources.huggingface import TableDataset

_KIND = "survey"

DRAWN = 200
"""Samples that are measured of a split that is made on demand, which takes longer than reading."""

_HARMLESS = ("all_ignored", "foreground_ignored")
"""Faults of a description that leave the counts as they are, which then show them."""


def memory_of(dataset: FileDataset, seed: int = 0) -> Memory:
    """What is remembered of a split under the present limits of what is read."""
    return Memory(dataset, "checks", seed, limits())


def survey(
    dataset: FileDataset,
    memory: Memory,
    *,
    everything: bool = False,
    masks: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Survey:
    """Read as far as make_survey would, unless as much is remembered."""
    known = remembered(memory)
    if known is not None:
        enough = known.whole or not (masks or everything)
        if enough and (not everything or known.read_images == known.pairs):
            return known
    made = make_survey(dataset, everything=everything, masks=masks, seed=seed, progress=progress)
    keep(memory, _KIND, made.to_plain())
    return made


def require_survey(dataset: Dataset, progress: Progress | None = None) -> Survey:
    """What is to be measured of a split: every mask of files is read, a sample of what is made.

    Raises:
        DataError: a file is at fault, so that the numbers would not be those of the dataset.
    """
    if isinstance(dataset, FileDataset):
        found = survey(dataset, memory_of(dataset), masks=True, progress=progress)
    else:
        limit = DRAWN if isinstance(dataset, GeneratedDataset) else len(dataset)
        found = survey_samples(dataset, limit, progress=progress)
        if not isinstance(dataset, TableDataset):
            return found
    refuse_faults(finding for finding in judge(dataset, found) if finding.kind not in _HARMLESS)
    return found


def remembered(memory: Memory) -> Survey | None:
    """The survey that was made last, if nothing has changed since."""
    plain = recall(memory, _KIND)
    if plain is not None:
        with suppress(TypeError, ValueError, KeyError):  # kept by somebody else
            return Survey.from_plain(plain)
    return None
