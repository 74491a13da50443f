"""Where the time of training steps goes: how many images a second, and how much of it is waiting.

end of a step --waiting for data--> batch_ready() --computing--> step_done(images)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """The pace of the steps since the last `take`."""

    images_per_second: float
    waiting_share: float
    """Share of the time spent waiting for data, 0 to 1.

    On a GPU an upper bound: a step may return while the device still computes.
    """


class Clock:
    """Measures steps; what lies between `take` and the next batch, a validation, counts nowhere."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        """Measure by `now`, in seconds."""
        self.now = now
        self.idle_since: float | None = None
        self.started: float | None = None
        self._reset()

    def batch_ready(self) -> None:
        """A batch is there: the waiting ends and a step starts."""
        self.started = self.now()
        if self.idle_since is not None:
            self.waiting += self.started - self.idle_since

    def step_done(self, images: int) -> None:
        """A step over so many images has ended, and the waiting for the next batch starts."""
        self.idle_since = self.now()
        if self.started is not None:
            self.working += self.idle_since - self.started
            self.images += images

    def wait(self) -> None:
        """The waiting starts now: what was done since the step's end was neither."""
        if self.idle_since is not None:
            self.idle_since = self.now()

    def speed(self) -> Speed:
        """The pace so far; zeros before the first step."""
        whole = self.waiting + self.working
        if whole <= 0.0:
            return Speed(0.0, 0.0)
        return Speed(self.images / whole, self.waiting / whole)

    def take(self) -> Speed:
        """The pace since the last call, and start anew: time until the next batch is no waiting."""
        speed = self.speed()
        self._reset()
        return speed

    def _reset(self) -> None:
        self.waiting, self.working, self.images = 0.0, 0.0, 0
        self.idle_since = self.started = None
