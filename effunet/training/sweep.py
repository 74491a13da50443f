"""A sweep: one training after another or side by side -> one small file each, one table of all.

A launcher of Hydra (basic, joblib, submitit, Ray) decides in which process a job runs. What a job
has to say lies therefore in the sweep's folder: job-N.json from its first moment on, and
job-N-traceback.txt where it failed by a bug. The first process reads them and writes table.csv.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from effunet.artifact import write
from effunet.errors import STOPPED, EffunetError, ResourceError, UsageError, told

TABLE = "table.csv"


@dataclass(frozen=True)
class Outcome:
    """What is known of a job; as it stands in job-N.json."""

    job: int
    overrides: list[str]
    state: str = "running"  # then done, failed or stopped; told of the dead: killed, not started
    run: str | None = None  # its folder, where it came to have one
    miou: float | None = None
    error: str | None = None
    exit_code: int = 0
    seconds: float = 0.0

    def write(self, folder: Path) -> None:
        """Put it into the sweep's folder, in the place of what stood there."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        write(folder / f"job-{self.job}.json", (text + "\n").encode())


@dataclass(frozen=True)
class Job:
    """What Hydra calls for each job; picklable, as it may be called in another process."""

    prepare: Callable[[DictConfig], Any]
    """Makes of a composed config the Run to fit; a function of a module."""
    folder: Path
    home: Path
    """The working folder of the sweep; a launcher may start its processes elsewhere."""
    program: tuple[str, ...]
    """The words that start it, up to `train`: for the processes of further devices."""
    options: tuple[str, ...]
    """Hydra's options, without the one that makes it a sweep."""
    process: str
    """The one in which the sweep was started, as `this_process` names it."""

    def __call__(self, composed: DictConfig) -> None:
        """Fit one job and write its outcome; whatever is at fault stays with this job.

        Raises:
            BaseException: Ctrl-C and SIGTERM alone, which end the whole sweep.
        """
        hydra = HydraConfig.get()
        outcome, start = Outcome(hydra.job.num, list(hydra.overrides.task)), time.time()
        outcome.write(self.folder)

        def started(folder: Path) -> None:
            # Said at once: who finds a job killed wants to know where it goes on.
            nonlocal outcome
            outcome = replace(outcome, run=str(folder))
            outcome.write(self.folder)

        try:
            with contextlib.chdir(self.home), self._alone(outcome.overrides):
                segmenter = self.prepare(composed).fit(started)
                scores = segmenter.metadata.get("scores") or {}
            outcome = replace(outcome, state="done", miou=scores.get("miou"))
        except Exception as error:
            trace = self.folder / f"job-{outcome.job}-traceback.txt"
            text, code = told(error, str(_shown(trace, self.home)))
            if not isinstance(error, EffunetError):
                trace.write_text(traceback.format_exc(), encoding="utf-8")
            print(f"effunet: job {outcome.job}: {text}", file=sys.stderr, flush=True)
            outcome = replace(outcome, state="failed", error=text, exit_code=code)
        except BaseException as stop:
            code = stop.code if isinstance(stop, SystemExit) else STOPPED
            outcome = replace(outcome, state="stopped", exit_code=int(code or 0))
            raise
        finally:
            outcome = replace(outcome, seconds=round(time.time() - start, 1))
            outcome.write(self.folder)

    @contextlib.contextmanager
    def _alone(self, overrides: Sequence[str]) -> Generator[None]:
        """Let a job find, and leave, the process as a program with this one training has it."""
        import __main__

        environment, own, spec = dict(os.environ), sys.argv, __main__.__spec__
        sys.argv = [*self.program, *self.options, *overrides]
        if this_process() != self.process:
            # Lightning starts further processes by the name of the main module, here a launcher's.
            __main__.__spec__ = find_spec("effunet.__main__")
            sys.argv = ["effunet", "train", *self.options, *overrides]
        try:
            yield
        finally:
            sys.argv, __main__.__spec__ = own, spec
            os.environ.clear()
            os.environ.update(environment)
            # A group of several devices outlives its training, and would be the next job's.
            distributed: Any = sys.modules.get("torch.distributed")
            if distributed and distributed.is_available() and distributed.is_initialized():
                distributed.destroy_process_group()


def this_process() -> str:
    """Return a name for this process that no other has, on another machine neither."""
    return f"{platform.node()}/{os.getpid()}"


def sweep(folder: Path, planned: Sequence[list[str]], launch: Callable[[], None]) -> int:
    """Launch the jobs, print the table of what became of them, and return the exit code.

    Args:
        folder: the sweep's, which is made by what launches.
        planned: the overrides of each job, as far as they can be known before.
        launch: returns when all jobs are done; Ctrl-C ends it, behind a table of what is done.

    Raises:
        UsageError: the folder holds the jobs of another sweep.
    """
    if any(folder.glob("job-*.json")):
        raise UsageError(f"hydra.sweep.dir={folder}: holds another sweep: name a new folder")
    fault: Exception | None = None
    try:
        launch()
    except Exception as error:
        fault = error
    except BaseException:
        _conclude(folder, _read(folder, planned, "stopped"))
        raise
    outcomes = _read(folder, planned, "killed")
    _conclude(folder, outcomes)
    # A launcher that lost a process fails, too; what was lost is in the table.
    if fault is not None and not {"killed", "stopped"} & {outcome.state for outcome in outcomes}:
        raise fault
    return max((outcome.exit_code for outcome in outcomes), default=0)


def reports(folder: Path) -> list[Outcome]:
    """What the jobs in a sweep's folder have said of themselves, in no order."""
    files = folder.glob("job-*.json")
    return [Outcome(**json.loads(file.read_text(encoding="utf-8"))) for file in files]


def _read(folder: Path, planned: Sequence[list[str]], ended: str) -> list[Outcome]:
    """Every job by its number; one that is not done has been `ended`, or was never started."""
    dead = {"killed": ResourceError.exit_code}.get(ended, 0)
    found = {
        number: Outcome(number, overrides, "not started", exit_code=dead)
        for number, overrides in enumerate(planned)
    }
    for outcome in reports(folder):
        if outcome.state == "running":
            outcome = replace(outcome, state=ended, exit_code=dead)
            outcome.write(folder)
        found[outcome.job] = outcome
    return [found[number] for number in sorted(found)] if folder.is_dir() else []


def _conclude(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Print the table, and write it with all that is known; nothing where no job was launched."""
    if not outcomes:
        return
    words = [dict(word.split("=", 1) for word in outcome.overrides) for outcome in outcomes]
    keys = [
        key
        for key in dict.fromkeys(key for row in words for key in row)
        if len({row.get(key) for row in words}) > 1
    ]
    rows = [["mIoU", "run", *keys, ""]]
    for outcome, row in zip(outcomes, words, strict=True):
        score = "n/a" if outcome.miou is None else f"{outcome.miou:.4f}"
        first = score if outcome.state == "done" else outcome.state
        cells = [first, outcome.run or "-", *(row.get(key, "") for key in keys)]
        rows.append([*cells, outcome.error or ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for cells in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print(line.rstrip())
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["job", "state", "miou", "run", *keys, "seconds", "exit_code", "error"])
    for outcome, row in zip(outcomes, words, strict=True):
        start = [outcome.job, outcome.state, outcome.miou, outcome.run]
        end = [outcome.seconds, outcome.exit_code, outcome.error]
        table.writerow([*start, *(row.get(key, "") for key in keys), *end])
    write(folder / TABLE, text.getvalue().encode())
    print(f"\nsweep  {_shown(folder / TABLE, Path.cwd())}")


def _shown(path: Path, home: Path) -> Path:
    return path.relative_to(home) if path.is_relative_to(home) else path
