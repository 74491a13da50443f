"""What several MODELs are called, and which of them differ in their seed alone."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from effunet.artifact import FILE_NAME, Header

CONFIG = "config.yaml"
OWN = ("seed", "name", "resume", "resume_force")
"""Keys of a training that make it no other training."""


def names_of(models: Sequence[str]) -> tuple[str, ...]:
    """A short name for each, unique, that can name a folder: the run's, or the file's."""
    short = [_short(Path(model)) for model in models]
    # Folded, for A and a are one folder on some machines.
    often = Counter(name.casefold() for name in short)
    taken = {name for name, times in often.items() if times == 1}
    names: list[str] = []
    for name in short:
        if often[name.casefold()] > 1:
            numbered = (f"{name}-{number}" for number in count(1))
            name = next(other for other in numbered if other.casefold() not in taken)
            taken.add(name.casefold())
        names.append(name)
    return tuple(names)


def seeds_of(headers: Sequence[Header]) -> tuple[tuple[int, ...], ...]:
    """Places of the runs' own segmenters whose configs are one but for the seed, one of a seed."""
    alike: dict[str, dict[Any, int]] = defaultdict(dict)
    for place, header in enumerate(headers):
        if header.path.name != FILE_NAME:
            continue
        with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
            config = yaml.safe_load((header.path.parent / CONFIG).read_text(encoding="utf-8"))
            if isinstance(config, dict):
                rest = {key: value for key, value in config.items() if key not in OWN}
                alike[yaml.safe_dump(rest)].setdefault(config.get("seed"), place)
    return tuple(tuple(found.values()) for found in alike.values() if len(found) > 1)


def _short(model: Path) -> str:
    path = model.resolve()
    return path.parent.name if path.name == FILE_NAME else path.name.removesuffix(path.suffix)
