"""Frozen facts <-> plain JSON: dataclasses of numbers, texts, choices, tuples and dataclasses.

Types and keys are checked here, at the door; ranges by the dataclasses themselves, so that a value
is refused wherever it is from. A fault is a ValueError with the place, the rule and the value.
"""

import dataclasses
from typing import Any, Literal, get_args, get_origin

SCALARS = {int: "a whole number", float: "a number", str: "a text"}


def write(fact: Any) -> Any:
    """Give a fact as JSON types."""
    if dataclasses.is_dataclass(fact):
        fields = dataclasses.fields(fact)
        return {field.name: write(getattr(fact, field.name)) for field in fields}
    return [write(item) for item in fact] if isinstance(fact, tuple) else fact


def read(kind: Any, plain: object, where: str) -> Any:
    """Build a fact of this kind from what write gave; `where` names it in a fault."""
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, plain, where)
    if get_origin(kind) is tuple:
        if not isinstance(plain, list):
            raise ValueError(f"{where} must be a list, got {plain!r}")
        item = get_args(kind)[0]
        return tuple(read(item, part, f"{where}[{index}]") for index, part in enumerate(plain))
    if get_origin(kind) is Literal:
        check_choice(where, plain, kind)
        return plain
    accepted = int | float if kind is float else kind  # JSON may write 1.0 as 1
    if isinstance(plain, bool) or not isinstance(plain, accepted):
        raise ValueError(f"{where} must be {SCALARS[kind]}, got {plain!r}")
    return plain


def check_range(name: str, value: float, least: float, most: float) -> None:
    """Refuse a number outside [least, most]; nan lies nowhere."""
    if not least <= value <= most:
        raise ValueError(f"{name} must lie in [{least:g}, {most:g}], got {value!r}")


def check_choice(name: str, value: object, kind: Any) -> None:
    """Refuse what is none of a Literal's values."""
    if value not in get_args(kind):
        raise ValueError(f"{name} must be {' or '.join(map(repr, get_args(kind)))}, got {value!r}")


def _read_fields(kind: Any, plain: object, where: str) -> Any:
    if not isinstance(plain, dict):
        raise ValueError(f"{where} must be a mapping, got {plain!r}")
    kinds = {field.name: field.type for field in dataclasses.fields(kind)}
    for fault, keys in (("lacks", kinds.keys() - plain), ("has unknown", plain.keys() - kinds)):
        if keys:
            raise ValueError(f"{where} {fault} {', '.join(sorted(map(repr, keys)))}")
    return kind(**{name: read(kinds[name], plain[name], f"{where}.{name}") for name in kinds})
