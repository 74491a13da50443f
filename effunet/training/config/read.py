"""Values in, a checked Config out: unknown keys, wrong types and broken limits end here.

Imports neither torch nor Hydra, so that a mistyped key is told before anything heavy is loaded.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from effunet.errors import UsageError
from effunet.training.config.rules import check_together
from effunet.training.config.schema import Config

T = TypeVar("T")


def known_keys(schema: type = Config, prefix: str = "") -> Iterator[str]:
    """Yield every key as users type it: `max_steps`, `optim`, `optim.lr`, ..."""
    hints = get_type_hints(schema)
    for item in fields(schema):
        yield prefix + item.name
        if is_dataclass(hints[item.name]):
            yield from known_keys(hints[item.name], f"{prefix}{item.name}.")


def nearest(word: str, known: list[str]) -> str:
    """Return the mend for a mistyped word: the nearest known one, whole or by its last part."""
    last = {name.rpartition(".")[2]: name for name in reversed(known)}
    found = difflib.get_close_matches(word, known, 1, 0.6)
    if not found:
        matches = difflib.get_close_matches(word.rpartition(".")[2], list(last), 1, 0.6)
        found = [last[match] for match in matches]
    return f"did you mean {found[0]}?" if found else "docs/config.md lists every key"


def to_config(values: DictConfig | Mapping[str, Any], where: str = "the config") -> Config:
    """Merge plain values into the typed schema and check every limit.

    Args:
        values: nested keys; what is absent keeps its default.
        where: what to name in an error, such as a file.

    Raises:
        UsageError: an unknown key, a value of the wrong type, or one out of its limits.
    """
    config = read(Config, values, where)
    check_together(config, where)
    return config


def read(schema: type[T], values: DictConfig | Mapping[str, Any], where: str, group: str = "") -> T:
    """Merge plain values into a schema and check each key's own limits.

    Args:
        schema: a dataclass whose fields are of config.key.
        values: nested keys; what is absent keeps its default.
        where: what to name in an error.
        group: what users type before its keys, such as `search.`.

    Raises:
        UsageError: an unknown key, a value of the wrong type, or one out of its limits.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), values)
        OmegaConf.resolve(merged)
        found = OmegaConf.to_object(merged)
    except ConfigKeyError as error:
        name = group + str(error.full_key or error.key)
        raise UsageError(
            f"{where}: unknown key {name}: {nearest(name, list(known_keys(schema, group)))}"
        ) from error
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        first = str(error).splitlines()[0]
        name = getattr(error, "full_key", None)
        raise UsageError(f"{where}: {f'{group}{name}: ' if name else ''}{first}") from error
    assert isinstance(found, schema)
    _check_limits(found, where, group)
    return found


def to_plain(config: Config) -> dict[str, Any]:
    """Return the config as nested JSON types, equal again after `to_config`."""
    plain = OmegaConf.to_container(OmegaConf.structured(config))
    assert isinstance(plain, dict)
    return {str(name): value for name, value in plain.items()}


def _check_limits(part: Any, where: str, prefix: str = "") -> None:
    for item in fields(part):
        value, name = getattr(part, item.name), prefix + item.name
        if is_dataclass(value):
            _check_limits(value, where, f"{name}.")
            continue
        # Limits bind each number of a list.
        for number in value if isinstance(value, list) else [value]:
            mend = _broken_limit(number, item.metadata["limits"])
            if mend:
                raise UsageError(f"{where}: {name} {mend}, got {number}")


def _broken_limit(value: Any, limits: Mapping[str, Any]) -> str | None:
    """Return the rule that value breaks, in words, or None."""
    if value is None:
        return None
    if "choices" in limits and value not in limits["choices"]:
        mend = difflib.get_close_matches(str(value), limits["choices"], 1)
        hint = f" (did you mean {mend[0]}?)" if mend else ""
        return f"must be one of {', '.join(limits['choices'])}{hint}"
    # Written so that nan, which compares false with everything, breaks a limit.
    if "low" in limits and not value >= limits["low"]:
        return f"must be at least {limits['low']}"
    if "above" in limits and not value > limits["above"]:
        return f"must be more than {limits['above']}"
    if "high" in limits and not value <= limits["high"]:
        return f"must be at most {limits['high']}"
    return None
