"""Which parts of a network bear 8 bits: each is tried, and taken while the whole scores well.

What is asked is the mIoU on masks of the training split, which is what an export may lose: answers
that differ where the original is as often wrong cost nothing.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from effunet.errors import ModelError
from effunet.export.int8 import GROUPS
from effunet.export.proof import Run, named
from effunet.metrics import areas
from effunet.metrics.confusion import confusion

Labelled = Sequence[tuple[UInt8[ndarray, "1 C h w"], UInt8[ndarray, "h w"]]]
"""Images and their masks, in the segmenter's classes."""

MOST = 1.0
"""Points of mIoU that 8 bits may lose on them, if nothing else is asked: what a training has seen
it knows best, and has most to lose there."""


@dataclass(frozen=True)
class Trial:
    """One model of 8 bits."""

    kept: tuple[str, ...]  # groups that stayed in float32
    miou: tuple[float, float]  # of the original and of this model, 0..1

    @property
    def taken(self) -> tuple[str, ...]:
        """Groups of 8 bits."""
        return tuple(group for group in GROUPS if group not in self.kept)

    @property
    def lost(self) -> float:
        """Points of mIoU."""
        before, after = self.miou
        return 100 * (before - after)


def search(
    original: Run,
    quantised: Callable[[tuple[str, ...]], Run],
    samples: Labelled,
    classes: int,
    most: float = MOST,
) -> list[Trial]:
    """Find what has to stay in float32: all trials in order, the last one is what was found.

    All groups at once, and if that is too many: each alone, and then together, the least harmful
    first, without those with which the whole would lose more than `most`.

    Args:
        original: gives logits or probabilities.
        quantised: gives the model of which these groups stay in float32, as a function.
        samples: better none of the images that it was calibrated on.
        classes: of the network.
        most: points of mIoU on the samples that it may lose.

    Raises:
        ModelError: no pixel of the samples is labelled.
    """
    before = _miou(original, samples, classes)
    if np.isnan(before):
        raise ModelError(
            "nothing to judge 8 bits by: of the images of the training split that were looked at, "
            "no pixel is labelled; take --precision fp16"
        )

    def tried(taken: Collection[str]) -> Trial:
        kept = tuple(group for group in GROUPS if group not in taken)
        return Trial(kept, (before, _miou(quantised(kept), samples, classes)))

    trials = [tried(GROUPS)]
    if trials[0].lost <= most:
        return trials
    alone = {group: tried([group]) for group in GROUPS}
    trials += alone.values()
    first, *others = sorted(GROUPS, key=lambda group: alone[group].lost)
    best, taken = alone[first], [first]
    for group in others:
        if len(taken) == len(GROUPS) - 1:
            break  # all of them were tried first
        trials.append(trial := tried([*taken, group]))
        if trial.lost <= most:
            best, taken = trial, [*taken, group]
    return [*(trial for trial in trials if trial is not best), best]


def _miou(run: Run, samples: Labelled, classes: int) -> float:
    """Over the classes that the masks show: of so few images a rare one may be on none.

    A single pixel that is called so would count as a whole class that is lost.
    """
    matrix = sum(confusion(mask, named(run(image))[0], classes) for image, mask in samples)
    found = areas.areas_of(np.asarray(matrix))
    return float(areas.mean(np.where(found[1] > 0, areas.iou(found), np.nan)))
