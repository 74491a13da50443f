"""A split's survey: remembered from the last time while nothing has changed, else made."""

from contextlib import suppress

from effunet.data.check.remembered import Memory
from effunet.data.check.survey import Progress, Survey, limits, make_survey
from effunet.data.dataset import FileDataset

_KIND = "survey"


def memory_of(dataset: FileDataset, seed: int = 0) -> Memory:
    """What is remembered of a split under the present limits of what is read."""
    return Memory(dataset, seed, limits())


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
    memory.keep(_KIND, made.to_plain())
    return made


def remembered(memory: Memory) -> Survey | None:
    """The survey that was made last, if nothing has changed since."""
    plain = memory.recall(_KIND)
    if plain is not None:
        with suppress(TypeError, ValueError, KeyError):  # kept by somebody else
            return Survey.from_plain(plain)
    return None
