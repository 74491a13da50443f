"""The words behind `python train.py`, checked one by one and as a whole, before torch is imported.

Hydra's grammar is kept; adding, deleting and moving keys is not, for the schema holds every key.
Each complaint is one line that names the word at fault and the nearest right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from effunet.errors import UsageError
from effunet.training.config import known_keys, nearest, to_config
from effunet.training.loggers import require_loggers

RESUMABLE = ("resume", "num_workers")
"""Keys that may stand beside resume=: they do not shape what is learnt."""


def conf_folder() -> Path:
    """Return the folder of configs: a checkout's conf/, or the copy inside an installed effunet."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def check(arguments: Sequence[str], multirun: bool, config_dir: str | None = None) -> None:
    """Check every override, and every config that they compose, before anything is read or made.

    Raises:
        UsageError: names the key or value at fault and the nearest right one.
    """
    overrides = [_parse(word) for word in arguments]
    for override in overrides:
        _check_key(override, config_dir)
        if override.is_sweep_override() and not multirun:
            raise UsageError(
                f"{override.input_line}: several values are a sweep: add -m, or quote the value"
            )
    _check_resume(overrides)
    for lines in _each_choice(overrides):
        config = to_config(_compose(lines, config_dir), " ".join(lines) or "conf/config.yaml")
        require_loggers(config.loggers)


def _parse(word: str) -> Override:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"{word}: cannot be read as key=value ({reason}): a value with spaces, brackets, commas"
            " or equal signs needs quotes of its own, as \"key='a=b'\""
        ) from error


def _groups(config_dir: str | None) -> dict[str, list[str]]:
    """Return the groups of conf/ (and of --config-dir) with their options."""
    groups: dict[str, list[str]] = {}
    for folder in [conf_folder(), *([Path(config_dir)] if config_dir else [])]:
        for file in sorted(folder.glob("*/*.yaml")):
            groups.setdefault(file.parent.name, []).append(file.stem)
    return {**{"experiment": []}, **groups}


def _check_key(override: Override, config_dir: str | None) -> None:
    """Refuse a key that the schema does not hold, and every way of adding or deleting one."""
    name = override.key_or_group
    if name.split(".")[0].split("/")[0] == "hydra":
        return
    groups, known = _groups(config_dir), list(known_keys())
    if override.is_add() or override.is_delete() or override.package is not None:
        raise UsageError(
            f"{override.input_line}: keys are neither added (+), deleted (~) nor moved (@):"
            " every key exists and has a default, use key=value"
        )
    if name not in known and name not in groups:
        raise UsageError(f"{override.input_line}: unknown key {name}: {nearest(name, known)}")
    if name in groups:
        _check_option(override, groups[name])


def _check_option(override: Override, options: list[str]) -> None:
    """Refuse a group's option that no file of conf/ holds."""
    group = override.key_or_group
    swept = override.is_sweep_override() and override.is_choice_sweep()
    for value in override.sweep_iterator() if swept else [override.value()]:
        if isinstance(value, dict):
            raise UsageError(
                f"{override.input_line}: set the keys one by one, as {group}.key=value"
            )
        if str(value) in options or (group == "experiment" and value is None):
            continue
        own = "; a directory of your own is dataset=folder dataset.root=DIR"
        raise UsageError(
            f"{group}={value}: no such {group}: there are {', '.join(options) or 'none yet'}"
            f"{own if group == 'dataset' else ''}"
        )


def _check_resume(overrides: Sequence[Override]) -> None:
    """A resumed run brings its own config: another key beside it would be silently lost."""
    names = [override.key_or_group for override in overrides]
    if "resume" not in names:
        return
    others = [
        override.input_line or ""
        for override in overrides
        if override.key_or_group not in RESUMABLE and not override.key_or_group.startswith("hydra")
    ]
    if others:
        raise UsageError(
            f"resume continues a run with its own config.yaml: leave out {' '.join(others)}"
            " (a changed training is a new run)"
        )


def _each_choice(overrides: Sequence[Override]) -> list[list[str]]:
    """Return override lines to compose: each value of each sweep once, the others at their first.

    The full product is left to Hydra: a key's check never depends on a second swept key.
    """
    choices: list[list[str]] = []
    for override in overrides:
        if override.is_sweep_override() and override.is_choice_sweep():
            values = list(override.sweep_string_iterator())
            choices.append([f"{override.key_or_group}={value}" for value in values])
        elif override.is_sweep_override():
            values = [str(value) for value in override.sweep_iterator()]
            choices.append([f"{override.key_or_group}={value}" for value in values[:1]])
        else:
            choices.append([override.input_line or ""])
    first = [lines[0] for lines in choices]
    swept = [
        [*first[:place], line, *first[place + 1 :]]
        for place, lines in enumerate(choices)
        for line in lines[1:]
    ]
    return [first, *swept]


def _compose(lines: Sequence[str], config_dir: str | None) -> DictConfig:
    path = [f"hydra.searchpath=[{Path(config_dir).resolve()}]"] if config_dir else []
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            return compose("config", [*path, *lines], return_hydra_config=False)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        text = " ".join(str(error).split())
        raise UsageError(f"cannot compose the config from {' '.join(lines)}: {text}") from error
