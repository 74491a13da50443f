"""Reading facts back from plain JSON: which keys a mapping must have, and which numbers are sane.

The dataclass that holds a fact calls the checks itself, so that a value is refused wherever it is
from. A fault is a ValueError with name, rule and value; the door that knows the file names the file.
"""

import dataclasses
from typing import Any


def fields_of(cls: type, plain: object, where: str) -> dict[str, Any]:
    """Check that a plain dict has just the fields of a dataclass; the class checks the values."""
    if not isinstance(plain, dict):
        raise ValueError(f"{where} must be a mapping, got {plain!r}")
    names = {field.name for field in dataclasses.fields(cls)}
    for fault, keys in (("lacks", names - set(plain)), ("has unknown", set(plain) - names)):
        if keys:
            raise ValueError(f"{where} {fault} {', '.join(sorted(map(repr, keys)))}")
    return dict(plain)


def check_number(name: str, value: object, least: float, most: float) -> None:
    """Refuse what is no real number in [least, most]; a bool is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} must be a number in [{least:g}, {most:g}], got {value!r}")


def check_whole(name: str, value: object, least: int, most: int) -> None:
    """Refuse what is no whole number in [least, most]; a bool is no number."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number in [{least}, {most}], got {value!r}")
