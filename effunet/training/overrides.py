"""The words behind `python train.py`, checked one by one and as a whole, before torch is imported.

Hydra's grammar is kept; adding, deleting and moving keys is not, for the schema holds every key.
Each complaint is one line that names the word at fault and the nearest right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from effunet.errors import UsageError
from effunet.training.config.installed import require_loggers, require_plugin
from effunet.training.config.read import known_keys, nearest, to_config
from effunet.training.config.schema import Config
from effunet.training.resume import resumed


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
        require_plugin(override.key_or_group, override.value(), override.input_line or "")
        if override.is_sweep_override() and not multirun:
            raise UsageError(
                f"{override.input_line}: several values are a sweep: add -m, or quote the value"
            )
    _check_init(overrides)
    _check_name(overrides)
    for lines in _each_choice(overrides):
        composed = _compose(lines, config_dir)
        if isinstance(composed.resume, str):
            config, _ = resume(composed.resume, lines, config_dir)
        else:
            config = to_config(composed, " ".join(lines) or "conf/config.yaml")
        require_loggers(config.loggers)


def composed(arguments: Sequence[str]) -> Config:
    """Return the config that override lines of one training compose, each of them checked.

    Raises:
        UsageError: as for `check`.
    """
    check(arguments, multirun=False)
    return to_config(_compose(list(arguments), None), " ".join(arguments) or "conf/config.yaml")


def resume(
    folder: str, lines: Sequence[str], config_dir: str | None = None
) -> tuple[Config, list[str]]:
    """Return the config with which override lines, resume= among them, go on with a run.

    The second value is each difference that resume_force=true lets through, as a line.

    Raises:
        UsageError: no run there, or lines that change it without resume_force=true.
    """
    parsed = [_parse(line) for line in lines]
    words = {
        override.key_or_group: override.input_line or ""
        for override in parsed
        if override.key_or_group.split(".")[0].split("/")[0] != "hydra"
    }

    def plain(lines: Sequence[str]) -> dict[str, Any]:
        values = OmegaConf.to_container(_compose(lines, config_dir), resolve=True)
        assert isinstance(values, dict)
        return {str(name): value for name, value in values.items()}

    return resumed(folder, words, plain)


def plan(arguments: Sequence[str], config_dir: str | None = None) -> tuple[Path, list[list[str]]]:
    """Return the folder of a checked sweep, and the overrides of each of its jobs in order.

    The jobs are those of Hydra's own sweeper; where another one, or keys of a config file, decide
    what is swept, they are not known before, and the list is empty.
    """
    overrides = [_parse(word) for word in arguments]
    composed = _compose(_each_choice(overrides)[0], config_dir, hydra=True).hydra
    jobs: list[list[str]] = []
    if composed.runtime.choices["hydra/sweeper"] == "basic" and not composed.sweeper.params:
        swept = {o.get_key_element(): _values(o) for o in overrides if not _of_hydra(o)}
        jobs = [list(words) for words in product(*swept.values())]
    return Path(composed.sweep.dir).absolute(), jobs


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
    if _of_hydra(override):
        # Hydra builds its own parts of what this key names: any program could be run by it.
        if "_target_" in (override.input_line or ""):
            raise UsageError(f"{override.input_line}: unknown key: _target_ is never followed")
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


def _check_name(overrides: Sequence[Override]) -> None:
    """Refuse one name for several runs, of which the first job would take it."""
    several = any(override.is_sweep_override() for override in overrides)
    for override in overrides:
        named = override.key_or_group == "name" and override.value() is not None
        if named and several and not override.is_sweep_override():
            raise UsageError(
                f"{override.input_line}: every job of a sweep is a run with a name of its own:"
                " leave it out, or sweep over names, too"
            )


def _check_init(overrides: Sequence[Override]) -> None:
    """A segmenter brings its decoder; here alone a word differs from a dataset's recipe for it."""
    if "init_from" not in [override.key_or_group for override in overrides]:
        return
    for override in overrides:
        if override.key_or_group.split(".")[0] == "decoder":
            raise UsageError(
                f"init_from brings the decoder of its segmenter along: leave out"
                f" {override.input_line}"
            )


def _each_choice(overrides: Sequence[Override]) -> list[list[str]]:
    """Return override lines to compose: each value of each sweep once, the others at their first.

    The full product is left to Hydra: a key's check never depends on a second swept key.
    """
    choices: list[list[str]] = []
    for override in overrides:
        choices.append(_values(override))
    first = [lines[0] for lines in choices]
    swept = [
        [*first[:place], line, *first[place + 1 :]]
        for place, lines in enumerate(choices)
        for line in lines[1:]
    ]
    return [first, *swept]


def _values(override: Override) -> list[str]:
    """Return the override once for each value that it sweeps over, in Hydra's order."""
    if not override.is_sweep_override():
        return [override.input_line or ""]
    try:
        values = list(override.sweep_string_iterator())
    except (HydraException, TypeError, AttributeError) as error:
        raise UsageError(
            f"{override.input_line}: its values cannot be listed before the first job: write them"
            " as a,b,c or range(start,stop,step)"
        ) from error
    return [f"{override.get_key_element()}={value}" for value in values]


def _of_hydra(override: Override) -> bool:
    """Return whether a key is one of Hydra's own."""
    return override.key_or_group.split(".")[0].split("/")[0] == "hydra"


def _compose(lines: Sequence[str], config_dir: str | None, *, hydra: bool = False) -> DictConfig:
    path = [f"hydra.searchpath=[{Path(config_dir).resolve()}]"] if config_dir else []
    # Within a job Hydra is already there, and knows where its configs lie.
    inside = GlobalHydra.instance().is_initialized()
    place = (
        nullcontext() if inside else initialize_config_dir(str(conf_folder()), version_base="1.3")
    )
    try:
        with place:
            return compose("config", [*path, *lines], return_hydra_config=hydra)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        text = " ".join(str(error).split())
        raise UsageError(f"cannot compose the config from {' '.join(lines)}: {text}") from error
