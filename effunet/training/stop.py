"""A person's or a scheduler's wish to end: Ctrl-C and SIGTERM, taken at the next whole step.

The first signal is remembered, so that the step in work is finished and saved; the second ends the
program at once. Every process of a training takes the wish of any of them.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn

from effunet import processes

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """A context in which signals are taken this way."""

    def __init__(self, speaks: bool = True) -> None:
        """Listen; `speaks` is whether a signal is answered by a line (the first process's)."""
        self.signal: int | None = None
        """What this process was sent."""
        self.taken: int | None = None
        """What all have agreed upon: from then on every process ends behind the same step."""
        self.speaks = speaks
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        # Python takes signals in its main thread alone; elsewhere they stay as they are.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in SIGNALS}
            for number in SIGNALS:
                signal.signal(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def agreed(self) -> int | None:
        """Return the signal that any process has got, None if none has; called by all of them."""
        self.taken = processes.highest(self.signal or 0) or None
        return self.taken

    def raise_again(self) -> None:
        """End the program as the signal that was taken would have."""
        if self.taken is not None:
            _end(self.taken)

    def end(self) -> None:
        """End the program at once if this process was sent a signal."""
        if self.signal is not None:
            _end(self.signal)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            _end(number)
        self.signal = number
        if self.speaks:
            name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
            # Straight to standard error: a print may be what the signal has interrupted.
            os.write(2, f"\n{name}: ending behind this step; again: at once\n".encode())


def _end(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
