"""What several MODELs are called, and which of them differ in their seed alone."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
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
    often = Counter(short)
    seen: Counter[str] = Counter()
    names: list[str] = []
    for name in short:
        seen[name] += 1
        names.append(f"{name}-{seen[name]}" if often[name] > 1 else name)
    return tuple(names)


def seeds_of(headers: Sequence[Header]) -> tuple[tuple[int, ...], ...]:
    """Places of segmenters that lie in run folders of one config but for the seed."""
    alike: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    for place, header in enumerate(headers):
        with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
            config = yaml.safe_load((header.path.parent / CONFIG).read_text(encoding="utf-8"))
            if isinstance(config, dict):
                seed = config.get("seed")
                rest = {key: value for key, value in config.items() if key not in OWN}
                alike[yaml.safe_dump(rest)].append((place, seed))
    groups = [found for found in alike.values() if len({seed for _, seed in found}) > 1]
    return tuple(tuple(place for place, _ in found) for found in groups)


def _short(model: Path) -> str:
    path = model.resolve()
    return path.parent.name if path.name == FILE_NAME else path.name.removesuffix(path.suffix)
