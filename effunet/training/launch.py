"""From a command line to fitted runs: overrides -> one checked config each -> Run.

Every override is checked first (overrides.py), before torch is imported. Hydra composes, sweeps and
prints its help; it instantiates nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra import main as hydra_main
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from effunet.errors import UsageError
from effunet.training.config.read import to_config, to_plain
from effunet.training.config.schema import Config
from effunet.training.overrides import check, conf_folder, plan, resume
from effunet.training.sweep import Job, sweep, this_process

MULTIRUN = ("--multirun", "-m")
"""Hydra's option for a sweep."""
NO_SWEEP = ("--cfg", "-c", "--info", "-i", "--run", "-r")
"""Its options for something else."""
VALUE_OPTIONS = (
    *("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp"),
    *("--cfg", "-c", "--package", "-p", "--experimental-rerun"),
)
"""Hydra's options that take the next word as their value."""
SWITCHES = (
    *("--help", "-h", "--hydra-help", "--version", "--info", "-i", "--resolve"),
    *("--run", "-r", *MULTIRUN, "--shell-completion", "-sc"),
)
"""Hydra's options without one."""


def main(arguments: Sequence[str]) -> int:
    """Train what the overrides say and return the exit code; effunet.cli words what is raised.

    Raises:
        UsageError: a word at fault, before anything is read or made.
        EffunetError: the training's own; a sweep goes on with its other jobs (sweep.py).
    """
    program = sys.argv[: len(sys.argv) - len(arguments)]
    arguments = [argument for argument in arguments if argument != "--debug"]
    multirun = any(argument in MULTIRUN for argument in arguments)
    prepare()
    options, overrides = _split(arguments)
    for option in options:
        if multirun and option.partition("=")[0] in NO_SWEEP:
            raise UsageError(f"{option}: does not go with -m: leave out one of them")
    if multirun and "TORCHELASTIC_RUN_ID" in os.environ:
        raise UsageError(
            "-m: a sweep starts the processes of each job by itself: start it without torchrun, and"
            " say devices="
        )
    config_dir = _option(options, "--config-dir", "-cd")
    check(overrides, multirun, config_dir)
    # Where Hydra reads its words; it knows no option between two overrides.
    own, sys.argv = sys.argv, [sys.argv[0], *options, *overrides]
    try:
        if multirun:
            return _sweep(*plan(overrides, config_dir), program, options)
        _train(own)
        return 0
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


def run_of(composed: DictConfig) -> Any:
    """Return the Run of one composed config; the heavy imports start here."""
    if composed.resume is None:
        config = to_config(composed)
    else:
        hydra = HydraConfig.get()
        sources = hydra.runtime.config_sources
        theirs = next(
            (source.path for source in sources if source.provider == "command-line"), None
        )
        config, differences = resume(composed.resume, list(hydra.overrides.task), theirs)
        for line in differences if os.environ.get("RANK", "0") == "0" else ():
            print(f"notice    resume_force: {line}")
    from effunet.training import machine
    from effunet.training.run import Run

    machine.keep_memory(config)
    return Run.from_config(config)


def _train(own: list[str]) -> None:
    """Let Hydra compose one training, and fit it."""
    faults: list[Exception] = []

    def job(composed: DictConfig) -> None:
        # Lightning starts the processes of further devices with the program's own words.
        sys.argv = own
        # Faults are kept and raised behind Hydra's back, which would print lines of its own.
        try:
            run_of(composed).fit()
        except Exception as error:
            faults.append(error)

    _hydra(job)
    if faults:
        raise faults[0]


def _sweep(folder: Path, planned: list[list[str]], program: list[str], options: list[str]) -> int:
    """Let Hydra compose and launch each job of a sweep."""
    job = Job(
        run_of,
        folder,
        home=Path.cwd(),
        program=tuple(program),
        options=tuple(option for option in options if option not in MULTIRUN),
        process=this_process(),
    )
    # Named here once: a default name is made of the time, which another process reads differently.
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    sys.argv.append(f"hydra.sweep.dir='{quoted}'")
    return sweep(folder, planned, lambda: _hydra(job))


def _hydra(job: Callable[[DictConfig], None]) -> None:
    # Hydra's own shortened error text would hide where one of our bugs came from.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    task: Any = hydra_main(str(conf_folder()), "config", version_base="1.3")(job)
    task()
