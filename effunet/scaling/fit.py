"""The largest network within budgets: by counting where that says it, by measuring where not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from effunet.model.scaling import VARIANTS, Plan, compound, published

T = TypeVar("T")

LEAST, MOST, STEP = -4.0, 12.0, 0.01
"""Of phi: what `encoder.phi` takes, and how finely it is looked at."""


@dataclass(frozen=True)
class Candidate:
    """An encoder that can be asked for, and the words that ask `effunet train` for it."""

    plan: Plan
    words: str


def candidates(*, named: bool, resolution: bool) -> list[Candidate]:
    """All encoders, smallest first.

    Args:
        named: B0 to B7 instead of the law's.
        resolution: whether those that differ in it alone are two.
    """
    if named:
        return [Candidate(published(name), f"encoder={name}") for name in VARIANTS]
    found: dict[object, Candidate] = {}
    for step in range(round((MOST - LEAST) / STEP) + 1):
        phi = round(LEAST + step * STEP, 2)
        plan = compound(phi)
        what = (plan.stem, plan.stages, plan.head, plan.resolution if resolution else None)
        if what not in found:  # rounding makes many phi one network: the smallest stands for it
            found[what] = Candidate(plan, f"encoder=phi encoder.phi={phi:g}")
    return list(found.values())


def last_fitting(found: Sequence[T], fits: Callable[[T], bool]) -> int | None:
    """The place of the largest that fits, where a smaller one never costs more; None: none does.

    Halves what is left each time: 800 candidates are 11 questions.
    """
    low, high = -1, len(found)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(found[middle]) else (low, middle)
    return None if low < 0 else low
