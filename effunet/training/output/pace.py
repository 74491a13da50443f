"""Pictures that are drawn again and again, so that drawing never takes much of a training."""

from __future__ import annotations

import time
from collections.abc import Callable

SHARE = 20
"""Times as long as the last drawing took, that pass before the next one begins."""


class Pace:
    """Does a work when it is asked to, but for the times when that would come too soon."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the time from `clock`, in seconds."""
        self.clock = clock
        self._next = float("-inf")

    def __call__(self, work: Callable[[], None]) -> None:
        """Do it now, or not at all; the first time it is always done."""
        start = self.clock()
        if start < self._next:
            return
        work()
        end = self.clock()
        self._next = end + SHARE * (end - start)
