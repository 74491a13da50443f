"""Plain YAML or JSON that a user may have written, read strictly: a slip is named, never guessed.

Every reader takes `where`, the file and key for the message, and raises DataError.
"""

import difflib
from collections.abc import Collection
from typing import Any, TypeGuard, cast

from effunet.errors import DataError


def read_table(plain: Any, known: Collection[str], where: str) -> dict[str, Any]:
    """A table that has no key but the known ones."""
    if not isinstance(plain, dict):
        raise DataError(f"{where}: expected keys ({', '.join(known)}), got {plain!r}")
    table = cast(dict[str, Any], plain)
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            mend = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(known)}"
            raise DataError(f"{where}: unknown key {key!r}; {mend}")
    return table


def read_text(table: dict[str, Any], key: str, where: str) -> str:
    """The text under a key; empty where the key is absent."""
    value = table.get(key, "")
    if not isinstance(value, str):
        # YAML reads an unquoted no, yes, on or 3 as something else than text.
        raise DataError(f'{where}: {key} must be text, got {value!r}: write {key}: "{value}"')
    return value.strip()


def is_whole(value: Any, least: int, most: int = 2**31 - 1) -> TypeGuard[int]:
    """Whether value is an integer in that range; true and false are integers to Python only."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
