"""What was fitted on validation images after a training, and lies in the segmenter's file.

A temperature divides the logits, so that a probability says how often it is right (Guo et al.
2017, "On Calibration of Modern Neural Networks", section 4.2: it moves no class past another). A
threshold, for two classes, says from which probability on the second one is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COLDEST, HOTTEST = 0.01, 100.0
"""What a file may hold; a fit stays well within (effunet/metrics/calibration.py)."""


@dataclass(frozen=True)
class Calibration:
    """Logits are divided by temperature; class 1 of two is named from threshold (0..1) on.

    Raises ValueError for a temperature outside 0.01..100 or a threshold outside 0..1.
    """

    temperature: float = 1.0
    threshold: float | None = None  # None: the most probable class is named

    def __post_init__(self) -> None:
        # As what must hold, for nan fails every comparison.
        if not COLDEST <= self.temperature <= HOTTEST:
            raise ValueError(
                f"temperature must lie in {COLDEST:g} to {HOTTEST:g}, got {self.temperature!r}: "
                "use 1, which changes nothing"
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(
                f"threshold must lie in 0 to 1, got {self.threshold!r}: "
                "use None, which names the most probable class"
            )

    @classmethod
    def from_plain(cls, plain: object, classes: int) -> "Calibration":
        """Read the entry `calibration` of a segmenter's metadata; None (no entry) changes nothing.

        Facts beside temperature and threshold say where they are from, and change nothing.

        Raises:
            ValueError: a missing or wrong value, or a threshold for other than two classes.
        """
        if plain is None:
            return cls()
        if not isinstance(plain, Mapping):
            raise ValueError(f"calibration must be a mapping, got {plain!r}")
        temperature = _number("temperature", plain.get("temperature"))
        threshold = plain.get("threshold")
        if threshold is not None:
            threshold = _number("threshold", threshold)
            if classes != 2:
                raise ValueError(
                    f"a threshold decides between 2 classes, and here are {classes}: leave it out"
                )
        return cls(temperature, threshold)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, got {value!r}")
    return float(value)
