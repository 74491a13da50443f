"""Which key of `loss` each loss listens to, and what may not stand together; no torch.

A key that the chosen loss has no use for is refused: a training that quietly leaves a wish out
looks like one that has tried it.
"""

from __future__ import annotations

import difflib
from dataclasses import fields

from effunet.training.config.recipe import Loss

LISTENS: dict[str, tuple[str, ...]] = {
    "cross_entropy": ("label_smoothing", "class_weights"),
    "dice": (),
    "cross_entropy_dice": ("label_smoothing", "class_weights", "dice"),
    "focal": ("class_weights", "focal_gamma"),
    "ohem": ("label_smoothing", "class_weights", "ohem_threshold", "ohem_keep"),
    "lovasz": (),
    "tversky": ("tversky_alpha", "tversky_beta"),
    "boundary": ("label_smoothing", "class_weights", "boundary_width", "boundary_weight"),
    "sum": ("terms",),  # and what its terms listen to
}
"""Each loss with the keys that change it; `loss.weighting` goes wherever class_weights does."""

HEAVIEST = 1e6
"""Largest weight of a term of a sum."""

NEEDS = {"weighting": "class_weights", "effective_beta": "class_weights"}
"""Keys that come to the loss as another one."""


def fault(part: Loss) -> str | None:
    """Return the first rule that a config's `loss` breaks, in words, or None."""
    if part.class_weights is not None and part.weighting != "none":
        return (
            f"loss.class_weights and loss.weighting={part.weighting} both weigh the classes:"
            " leave one of them out"
        )
    if part.effective_beta != Loss().effective_beta and part.weighting != "effective_number":
        return "loss.effective_beta goes with loss.weighting=effective_number alone"
    return misfit(part)


def misfit(part: Loss) -> str | None:
    """Return what the loss called part.name has no use for, or lacks, in words, or None."""
    if part.name == "sum" and not part.terms:
        return "loss=sum needs its terms, as loss.terms=[cross_entropy,lovasz:0.5]"
    if part.name != "sum" and part.terms:
        return f"loss.terms goes with loss=sum alone, not with loss={part.name}: say loss.terms=[]"
    try:
        terms = summands(part)
    except ValueError as error:
        return f"loss.terms: {error}"
    return _unheard(part, [part.name, *terms])


def summands(part: Loss) -> dict[str, float]:
    """Return the losses that loss.terms adds up, with their weights.

    Raises:
        ValueError: no such loss, one that comes twice, or a weight that is not positive.
    """
    known = [name for name in LISTENS if name != "sum"]
    found: dict[str, float] = {}
    for term in part.terms:
        name, colon, text = term.partition(":")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            mend = f"did you mean {near[0]}?" if near else f"use {', '.join(known)}"
            raise ValueError(f"no loss to add up is called {name}: {mend}")
        if name in found:
            raise ValueError(f"{name} comes twice: give it once, with the sum of the weights")
        try:
            found[name] = float(text) if colon else 1.0
        except ValueError:
            found[name] = float("nan")
        if not 0 < found[name] <= HEAVIEST:
            raise ValueError(f"{term}: a weight is a number over 0 and at most {HEAVIEST:g}")
    return found


def _unheard(part: Loss, losses: list[str]) -> str | None:
    """Tell the first key that is set and that none of the losses listens to."""
    default = Loss()
    heard = {key for name in losses for key in LISTENS[name]}
    for item in fields(part):
        key = NEEDS.get(item.name, item.name)
        if item.name == "name" or key in heard:
            continue
        if getattr(part, item.name) != getattr(default, item.name):
            users = " or ".join(name for name, keys in LISTENS.items() if key in keys)
            chosen = "loss=" + "+".join(losses[1:] or losses)
            return f"{chosen} has no loss.{item.name}: leave it out, or use loss={users}"
    return None
