"""What a check has found, as JSON in the memory of a split."""

import json
from contextlib import suppress
from typing import Any, cast

from effunet.data.memory import Memory


def recall(memory: Memory, kind: str) -> dict[str, Any] | None:
    """What was found of this kind, if nothing has changed since it was kept."""
    entry = memory.recall(kind)
    if entry is not None:
        with suppress(ValueError, RecursionError):
            found = json.loads(entry)
            return cast("dict[str, Any]", found) if isinstance(found, dict) else None
    return None


def keep(memory: Memory, kind: str, found: dict[str, Any]) -> None:
    """Keep what was found, of JSON types, in place of what was before."""
    memory.keep(kind, json.dumps(found).encode())
