"""Samples that cannot be read in the middle of a training: tried again, then told or stepped over.

A network share that is away for a moment costs a pause. What stays unreadable ends the run
(dataset.on_error=raise), or is skipped and counted, up to one image in a hundred (skip).
"""

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from effunet.errors import DataError, EffunetError

PAUSES = (0.1, 0.3, 0.9)
"""Seconds before each further attempt at a file that the system could not give."""

HOPELESS = (errno.EACCES, errno.EPERM)
"""What no waiting mends."""

T = TypeVar("T")


@dataclass(frozen=True)
class Fault:
    """A sample that could not be read, on its way from a worker to the training."""

    index: int
    error: EffunetError


def may_be_skipped(error: EffunetError) -> bool:
    """Whether the sample is at fault; a lack of memory would only return with the next one."""
    return isinstance(error, DataError) or _cause(error) is not None


class Patience:
    """Calls `read(index)`, again after a pause where the system failed to give a file."""

    def __init__(self) -> None:
        self.given_up: set[int] = set()
        """Indices that have had all their attempts: they wait no more in later epochs."""

    def __call__(self, read: Callable[[int], T], index: int) -> T | Fault:
        """What `read` gives, or the fault of its last attempt; our own bugs pass through."""
        pauses = () if index in self.given_up else PAUSES
        fault: EffunetError | OSError | None = None
        for pause in (0.0, *pauses):
            if pause:  # even a sleep of nothing costs a tenth of a millisecond
                time.sleep(pause)
            try:
                return read(index)
            except (EffunetError, OSError) as error:
                fault, cause = error, _cause(error)
                if cause is None or cause.errno in HOPELESS:
                    break
        self.given_up.add(index)
        if isinstance(fault, EffunetError):
            return Fault(index, fault)
        return Fault(index, DataError(f"a sample cannot be read: {fault}"))


def _cause(error: BaseException) -> OSError | None:
    """Return the fault of the system behind an error; a decoder's OSError has no number."""
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, OSError) and behind.errno is not None:
            return behind
        behind = behind.__cause__ or behind.__context__
    return None


class Skipped:
    """The images of one split that this process has had to step over, each counted once."""

    def __init__(self, kind: str, size: int, notify: Callable[[str], None] = print) -> None:
        """Count skips among `size` images of a kind, training or validation.

        `notify` takes the line of each new one.
        """
        self.kind, self.size, self.notify = kind, size, notify
        self.faults: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.faults)

    def add(self, index: int, line: str) -> None:
        """Count an image, unless it is known already.

        Raises:
            DataError: more are unreadable than may be skipped.
        """
        if index in self.faults:
            return
        self.faults[index] = line
        if len(self.faults) > skip_limit(self.size):
            raise DataError(
                f"{len(self.faults)} of {self.size} {self.kind} images cannot be read, and"
                f" dataset.on_error=skip allows {skip_limit(self.size)}: mend the dataset, such as"
                f" {line}"
            )
        self.notify(f"notice    skipped: {line} ({self.kind} image {index})")

    def summary(self) -> list[str]:
        """The lines for the end of a training; none when nothing was skipped."""
        if not self.faults:
            return []
        count = f"{len(self)} image{'s' if len(self) > 1 else ''} skipped"
        if len(self) == 1:
            return [f"{count}: {next(iter(self.faults.values()))}"]
        lines = [f"  {line}" for line in self.faults.values()]
        return [f"{count} of {self.size} {self.kind} images:", *lines]


def skip_limit(size: int) -> int:
    """How many of `size` images may be skipped: 1 %, at least one, and never the last one."""
    return min(max(1, size // 100), size - 1)
