"""From a command line to fitted runs: overrides -> one checked config each -> Run.

Every override is checked first (overrides.py), before torch is imported. Hydra composes, sweeps and
prints its help; it instantiates nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra import main as hydra_main
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from effunet.errors import EffunetError, UsageError
from effunet.training.config import to_config, to_plain
from effunet.training.overrides import check, conf_folder, resume
from effunet.training.schema import Config

VALUE_OPTIONS = (
    *("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp"),
    *("--cfg", "-c", "--package", "-p", "--experimental-rerun"),
)
"""Hydra's options that take the next word as their value."""
SWITCHES = (
    *("--help", "-h", "--hydra-help", "--version", "--info", "-i", "--resolve"),
    *("--run", "-r", "--multirun", "-m", "--shell-completion", "-sc"),
)
"""Hydra's options without one."""


@dataclass(frozen=True)
class Outcome:
    """How one job of a sweep ended: its folder and best mIoU, or its error."""

    run: str
    miou: float | None = None
    error: EffunetError | None = None


def main(arguments: Sequence[str]) -> int:
    """Train what the overrides say and return the exit code; effunet.cli words what is raised.

    Raises:
        UsageError: a word at fault, before anything is read or made.
        EffunetError: the training's own, when there is one; a sweep goes on with its other jobs.
    """
    arguments = [argument for argument in arguments if argument != "--debug"]
    multirun = any(argument in ("-m", "--multirun") for argument in arguments)
    prepare()
    options, overrides = _split(arguments)
    check(overrides, multirun, _option(options, "--config-dir", "-cd"))
    # Where Hydra reads its words; it knows no option between two overrides.
    own, sys.argv = sys.argv, [sys.argv[0], *options, *overrides]
    try:
        return _run_hydra(multirun, own)
    finally:
        sys.argv = own


def prepare() -> None:
    """Lay the schema's defaults under conf/, so that its files hold only what they change."""
    ConfigStore.instance().store("defaults", to_plain(Config()))


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return Hydra's own options with their values, and the overrides."""
    options: list[str] = []
    overrides: list[str] = []
    for argument in arguments:
        if options and options[-1] in VALUE_OPTIONS:
            options.append(argument)
        elif not argument.startswith("-"):
            overrides.append(argument)
        elif argument.partition("=")[0] in VALUE_OPTIONS + SWITCHES:
            options.append(argument)
        else:
            raise UsageError(
                f"{argument}: no such option: keys are typed without dashes, as max_epochs=3;"
                " --help lists them"
            )
    return options, overrides


def _option(arguments: Sequence[str], *names: str) -> str | None:
    for place, argument in enumerate(arguments):
        if argument in names:
            return "".join(arguments[place + 1 : place + 2])
        if argument.startswith(f"{names[0]}="):
            return argument.partition("=")[2]
    return None


def _fit(composed: DictConfig) -> Outcome:
    """Fit one composed config; the heavy imports start here."""
    if composed.resume is None:
        config = to_config(composed)
    else:
        hydra = HydraConfig.get()
        sources = hydra.runtime.config_sources
        theirs = next(
            (source.path for source in sources if source.provider == "command-line"), None
        )
        config, differences = resume(composed.resume, list(hydra.overrides.task), theirs)
        for line in differences:
            print(f"notice    resume_force: {line}")
    from effunet.training.run import Run

    run = Run.from_config(config)
    scores = run.fit().metadata.get("scores") or {}
    return Outcome(str(run.folder), scores.get("miou"))


def _run_hydra(multirun: bool, own: list[str]) -> int:
    """Let Hydra compose and call once per job; a job that fails does not stop the others."""
    outcomes: list[Outcome] = []
    stopped: list[Exception] = []

    def job(composed: DictConfig) -> None:
        if stopped:
            return
        # Lightning starts the processes of further devices with the program's own words.
        sys.argv = own
        # Faults are kept and raised behind Hydra's back, which would print lines of its own.
        try:
            outcomes.append(_fit(composed))
        except EffunetError as error:
            outcomes.append(Outcome(str(error), error=error))
            if multirun:
                print(f"effunet: {error}", file=sys.stderr)
        except Exception as error:
            stopped.append(error)

    # Hydra's own shortened error text would hide where one of our bugs came from.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    task: Any = hydra_main(str(conf_folder()), "config", version_base="1.3")(job)
    task()
    if stopped:
        raise stopped[0]
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not multirun:
        if errors:
            raise errors[0]
        return 0
    print("\nmIoU    run")
    for outcome in outcomes:
        score = "n/a" if outcome.miou is None else f"{outcome.miou:.4f}"
        print(f"{'failed' if outcome.error else score:6s}  {outcome.run}")
    return max((error.exit_code for error in errors), default=0)
