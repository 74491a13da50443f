"""From a command line to fitted runs: overrides -> one checked config each -> Run.

Every override is checked first (overrides.py), before torch is imported. Hydra composes, sweeps and
prints its help; it instantiates nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import main as hydra_main
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from effunet.errors import EffunetError, UsageError
from effunet.training.config import to_config, to_plain
from effunet.training.overrides import check, conf_folder
from effunet.training.schema import Config

VALUE_OPTIONS = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp")
VALUE_OPTIONS += ("--cfg", "-c", "--package", "-p", "--experimental-rerun")


@dataclass(frozen=True)
class Outcome:
    """How one job of a sweep ended: its folder and best mIoU, or its error."""

    run: str
    miou: float | None
    exit_code: int


def main(arguments: Sequence[str]) -> int:
    """Train what the overrides say and return the exit code: the whole of `python train.py`."""
    debug = "--debug" in arguments
    prepare()
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        multirun = any(argument in ("-m", "--multirun") for argument in arguments)
        check(_overrides(arguments), multirun, _option(arguments, "--config-dir", "-cd"))
        sys.argv = [sys.argv[0], *arguments]
        return _run_hydra(debug)
    except EffunetError as error:
        if debug:
            raise
        print(f"effunet: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def prepare() -> None:
    """Lay the schema's defaults under conf/, so that its files hold only what they change."""
    ConfigStore.instance().store("defaults", to_plain(Config()))


def _overrides(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that are overrides, without Hydra's own flags and their values."""
    found: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in VALUE_OPTIONS:
            skip = True
        elif not argument.startswith("-"):
            found.append(argument)
    return found


def _option(arguments: Sequence[str], *names: str) -> str | None:
    for place, argument in enumerate(arguments):
        if argument in names:
            return "".join(arguments[place + 1 : place + 2])
        if argument.startswith(f"{names[0]}="):
            return argument.partition("=")[2]
    return None


def _resumed(folder: str, composed: DictConfig) -> Config:
    """Return the config of the run to continue, with the keys that may change taken anew."""
    file = Path(folder) / "config.yaml"
    if not file.is_file():
        raise UsageError(f"resume={folder}: no {file}: name the folder of a run, such as runs/NAME")
    try:
        stored = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise UsageError(f"{file}: not readable as YAML: {error}") from error
    if not isinstance(stored, dict):
        raise UsageError(f"{file}: holds no keys: it is not a run's config.yaml")
    config = to_config(OmegaConf.create({str(k): v for k, v in stored.items()}), str(file))
    config.resume = folder
    if composed.num_workers is not None:
        config.num_workers = composed.num_workers
    return config


def _fit(composed: DictConfig) -> Outcome:
    """Fit one composed config; the heavy imports start here."""
    config = to_config(composed)
    if config.resume is not None:
        config = _resumed(config.resume, composed)
    from effunet.training.run import Run

    run = Run.from_config(config)
    return Outcome(str(run.folder), run.fit(), 0)


def _run_hydra(debug: bool) -> int:
    """Let Hydra compose and call once per job; a job that fails does not stop the others."""
    outcomes: list[Outcome] = []

    def job(composed: DictConfig) -> None:
        try:
            outcomes.append(_fit(composed))
        except EffunetError as error:
            if debug:
                raise
            print(f"effunet: {error}", file=sys.stderr)
            outcomes.append(Outcome(str(error), None, error.exit_code))

    # Hydra's own shortened error text would hide where one of our bugs came from.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    task: Any = hydra_main(str(conf_folder()), "config", version_base="1.3")(job)
    task()
    if len(outcomes) > 1:
        print("\nmIoU    run")
        for outcome in outcomes:
            score = "failed" if outcome.miou is None else f"{outcome.miou:.4f}"
            print(f"{score:6s}  {outcome.run}")
    return max((outcome.exit_code for outcome in outcomes), default=0)
