"""The keys of `effunet scale search`, beside those of the trainings that it makes."""

from __future__ import annotations

from dataclasses import dataclass

from effunet.training.config.key import key


@dataclass
class Search:
    """The grid search of the scaling law's constants: [scaling.md](scaling.md)."""

    budget: float = key(
        2.0, "what alpha beta^2 gamma^2 is to be: the growth of the work", above=1.0, high=8.0
    )
    tolerance: float = key(0.1, "how far from the budget a candidate may be", low=0.0, high=1.0)
    macs_tolerance: float | None = key(
        None,
        "how far from the budget the multiply-adds may be that are counted, times the baseline's:"
        " rounding takes a network far from its law; empty: any",
        low=0.0,
        high=8.0,
    )
    step: float = key(
        0.05, "between two values of a constant in the grid, from 1 to 2", low=0.01, high=1.0
    )
    candidates: int | None = key(
        12,
        "how many of the grid are trained, spread evenly over the shares of depth, width and"
        " resolution; empty: all",
        low=2,
    )
    seeds: list[int] = key(
        [0, 1], "each candidate is trained once with each", low=0, high=2**32 - 1
    )
    phis: list[float] = key(
        [2.0], "step two: the best candidate's constants, at these phi too", above=0.0, high=12.0
    )
    others: bool = key(
        False,
        "step two also with the article's constants, and with depth, width and resolution alone, at"
        " the multiply-adds of the best",
    )
    name: str | None = key(
        None, "folder under runs/, and the first word of its runs; empty: search-DATASET"
    )
