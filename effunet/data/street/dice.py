"""Random draws of one scene: a counter-based generator in, plain numbers out.

NumPy promises the raw words of Philox for ever, but not what its distributions make of them; so the
few distributions needed here are our own, and a scene stays the same under every NumPy.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

WORDS = 4096  # draws before a scene's stream repeats; a busy scene takes about half of them


class Dice:
    """A stream of draws; `fork` gives a thing its own, so that its draws shift nobody else's."""

    def __init__(self, units: list[float], position: int = 0):
        self._units = units
        self._position = position

    @classmethod
    def of(cls, seed: int, index: int) -> "Dice":
        """The stream of scene `index` of `seed` (Philox keyed by the two, 64 bits each)."""
        words = np.random.Philox(key=np.array([seed, index], np.uint64)).random_raw(WORDS)
        return cls(((words >> np.uint64(11)) * 2.0**-53).tolist())

    def unit(self) -> float:
        """Uniform in [0, 1)."""
        self._position = (self._position + 1) % WORDS
        return self._units[self._position]

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.unit()

    def count(self, low: int, high: int) -> int:
        """A whole number, low and high included."""
        return low + int(self.unit() * (high - low + 1))

    def chance(self, share: float) -> bool:
        """True in this share of the draws."""
        return self.unit() < share

    def sign(self) -> int:
        """-1 or 1."""
        return 1 if self.unit() < 0.5 else -1

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, each as likely."""
        return choices[int(self.unit() * len(choices))]

    def many(self, n: int) -> NDArray[np.float64]:
        """Uniform draws in [0, 1), at most WORDS of them."""
        start = self._position
        self._position = (start + n) % WORDS
        units = self._units[start : start + n]
        return np.array(units + self._units[: n - len(units)])

    def fork(self) -> "Dice":
        """The same ring of numbers from another place on."""
        return Dice(self._units, int(self.unit() * WORDS))
