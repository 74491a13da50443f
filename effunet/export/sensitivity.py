"""Which parts of a network bear 8 bits: each is tried, and taken while the whole answers well.

No label is needed: what is asked of the model of 8 bits is the original's own answer, class by
class, so that a rare class which vanishes weighs as much as a road.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from effunet.export.int8 import GROUPS, Crops
from effunet.export.proof import Run, named
from effunet.metrics import areas
from effunet.metrics.confusion import confusion

FIDELITY = 0.95
"""Least mean IoU of both answers, if no other is asked for; what a mIoU loses is measured later."""


@dataclass(frozen=True)
class Trial:
    """One model of 8 bits."""

    kept: tuple[str, ...]  # groups that stayed in float32
    fidelity: float  # mean over the classes of the IoU of its answers and the original's, 0..1

    @property
    def taken(self) -> tuple[str, ...]:
        """Groups of 8 bits."""
        return tuple(group for group in GROUPS if group not in self.kept)


def search(
    original: Run,
    quantised: Callable[[tuple[str, ...]], Run],
    crops: Crops,
    classes: int,
    least: float = FIDELITY,
) -> list[Trial]:
    """Find what has to stay in float32: all trials in order, the last one is what was found.

    All groups at once, and if that is too many: each alone, and then together, the least harmful
    first, without those with which the whole would fall below `least`.

    Args:
        original: gives logits or probabilities.
        quantised: gives the model of which these groups stay in float32, as a function.
        crops: images, better none of those that it was calibrated on.
        classes: of the network.
        least: fidelity that is asked for, 0..1.
    """
    wanted = [named(original(crop))[0] for crop in crops]

    def tried(taken: Collection[str]) -> Trial:
        kept = tuple(group for group in GROUPS if group not in taken)
        return Trial(kept, _fidelity(wanted, quantised(kept), crops, classes))

    trials = [tried(GROUPS)]
    if trials[0].fidelity >= least:
        return trials
    alone = {group: tried([group]) for group in GROUPS}
    trials += alone.values()
    first, *others = sorted(GROUPS, key=lambda group: -alone[group].fidelity)
    best, taken = alone[first], [first]
    for group in others:
        if len(taken) == len(GROUPS) - 1:
            break  # all of them were tried first
        trials.append(trial := tried([*taken, group]))
        if trial.fidelity >= least:
            best, taken = trial, [*taken, group]
    return [*(trial for trial in trials if trial is not best), best]


def _fidelity(
    wanted: Sequence[UInt8[ndarray, "H W"]], run: Run, crops: Crops, classes: int
) -> float:
    matrix = sum(
        confusion(expected, named(run(crop))[0], classes)
        for crop, expected in zip(crops, wanted, strict=True)
    )
    return float(areas.mean(areas.iou(areas.areas_of(np.asarray(matrix)))))
