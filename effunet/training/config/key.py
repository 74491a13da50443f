"""One key of the schema: a dataclass field with its meaning and its limits."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def key(
    default: Any,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """Return a field with its meaning and limits: low <= value <= high, value > above, or a choice.

    Limits bind each number of a list. None always passes where the type allows it.
    """
    limits = {"low": low, "high": high, "above": above, "choices": choices}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    metadata = {"meaning": meaning, "limits": limits}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
