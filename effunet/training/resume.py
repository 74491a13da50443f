"""A run folder and the words beside resume= in, the config that the run goes on with out.

Imports no torch. A resumed run goes on with its own config.yaml; words that say the same are fine,
words that differ are refused with the difference, unless resume_force=true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import OmegaConf

from effunet.errors import UsageError
from effunet.training.config.read import to_config, to_plain
from effunet.training.config.schema import Config

FREE = ("resume", "resume_force", "num_workers", "save_every", "loggers", "dataset.cache")
"""Keys that do not shape what is learnt: they may change whenever a run is resumed."""

FIXED = (
    *("encoder.name", "encoder.phi", "encoder.alpha", "encoder.beta", "encoder.gamma"),
    *("encoder.skip", "encoder.weights", "encoder.numerics", "encoder.stem_rule"),
    *("encoder.freeze", "encoder.freeze_norms", "decoder.", "network.", "optim.name", "init_from"),
    "accumulate",  # Lightning counts batches, of which a step would then begin in the middle
)
"""Keys (or, with a dot at the end, groups) that weights and optimizer state are tied to."""

Compose = Callable[[Sequence[str]], Mapping[str, Any]]
"""Overrides -> the composed config as plain nested values."""


def resumed(folder: str, words: Mapping[str, str], compose: Compose) -> tuple[Config, list[str]]:
    """Return the config to go on with, and each difference from the run's own as a line.

    Args:
        folder: of the run, as typed behind resume=.
        words: the override lines of this call by their key or group, resume= among them.
        compose: composes override lines.

    Raises:
        UsageError: no run there, or words that differ from its config without resume_force=true,
            or that no force can change.
    """
    stored = read_config(folder)
    before = flat(to_plain(stored))
    asked = flat(compose([*words.values()]))
    changed = {
        name: value
        for name, value in _said(words, asked, compose).items()
        if name not in before or (before[name] != value and name not in FREE)
    }
    lines = [f"{name} {before.get(name)} -> {value}" for name, value in changed.items()]
    force = bool(asked["resume_force"])
    if changed.keys() <= before.keys() and changed and not force:
        raise UsageError(
            f"resume={folder}: this call differs from the run: {'; '.join(lines)}: leave that out,"
            " or add resume_force=true to change the run"
        )
    # An unknown key, of an experiment file, is told by to_config below.
    fixed = [name for name in changed if name.startswith(FIXED)]
    if fixed:
        raise UsageError(
            f"resume={folder}: {', '.join(fixed)}: what was learnt is tied to it, so that it cannot"
            f" change in the middle: start a new run, with init_from={folder} if it is to go on"
            " from these weights"
        )
    free = {name: asked[name] for name in FREE if name in words}
    values = _nested({**before, **changed, **free, "resume": None, "resume_force": False})
    config = to_config(OmegaConf.create(values), f"resume={folder}")
    return replace(config, resume=folder, resume_force=force), lines


def read_config(folder: str | Path) -> Config:
    """Read a run's config.yaml; a UsageError says what is wrong with it."""
    file = Path(folder) / "config.yaml"
    if not file.is_file():
        raise UsageError(f"resume={folder}: no {file}: name the folder of a run, such as runs/NAME")
    try:
        stored = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: not readable as YAML: {error}") from error
    if not isinstance(stored, dict):
        raise UsageError(f"{file}: holds no keys: it is not a run's config.yaml")
    plain = cast("dict[object, Any]", stored)
    return to_config(OmegaConf.create({str(k): v for k, v in plain.items()}), str(file))


def _said(words: Mapping[str, str], asked: Mapping[str, Any], compose: Compose) -> dict[str, Any]:
    """Return every key that the words set: by itself, or through the file of a group's choice."""
    keys = {name for name in words if name in asked}
    groups = [name for name in words if name not in asked]
    if groups:
        plain = flat(compose([]))
        chosen = flat(compose([words[name] for name in groups]))
        keys |= {name for name in asked if chosen.get(name, asked[name]) != plain.get(name)}
        keys |= {name for name in asked if name.split(".")[0] in groups}
    return {name: value for name, value in asked.items() if name in keys}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves by their dotted keys."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        full = f"{prefix}{name}"
        found.update(flat(value, f"{full}.") if isinstance(value, Mapping) else {full: value})
    return found


def _nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in leaves.items():
        *groups, last = name.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return nested
