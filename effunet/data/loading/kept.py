"""Whereabouts on disk: what one training has found out about its masks, the next one reads."""

from contextlib import suppress

from safetensors import SafetensorError
from safetensors.numpy import load, save

from effunet.data.dataset import Dataset
from effunet.data.loading.whereabouts import Progress, Whereabouts, find_classes, looked_at
from effunet.data.memory import Memory

_KIND = "whereabouts"


def whereabouts_of(
    dataset: Dataset, progress: Progress | None = None, *, skip: bool = False
) -> Whereabouts:
    """Read where the classes of a split are, or look through its masks and keep the result.

    Raises:
        DataError: a mask cannot be read (unless `skip`), or none has a pixel of any class.
    """
    memory = Memory(dataset, "whereabouts")
    entry = memory.recall(_KIND)
    if entry is not None:
        with suppress(SafetensorError, TypeError, ValueError):  # kept by somebody else
            return Whereabouts(**load(entry))
    found = find_classes(dataset, progress, skip=skip)
    # A mask that was skipped, which has no width, may be readable the next time.
    if found.widths[list(looked_at(dataset))].all():
        memory.keep(_KIND, save(found.parts()))
    return found
