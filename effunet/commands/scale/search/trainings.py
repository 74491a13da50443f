"""The trainings of a search: what is trained already, what goes on, what begins; by sweeps."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from effunet import artifact
from effunet.commands.scale.search.base import Base
from effunet.commands.scale.search.show import Line
from effunet.errors import UsageError
from effunet.scaling.laws import Trial
from effunet.training import launch
from effunet.training.config.search import Search
from effunet.training.output.folder import RUNS
from effunet.training.sweep import reports

SETTINGS = "search.json"
EXPERIMENTS = "experiment"
"""A group of Hydra's configs: one file for each training."""


@dataclass
class Trainings:
    """A search's folder, and the runs beside it."""

    base: Base
    search: Search
    folder: Path
    first: dict[object, Trial] = field(default_factory=dict)  # of each network and crop
    exit_code: int = 0  # the highest of all trainings of this call

    @classmethod
    def begin(cls, base: Base, search: Search) -> Trainings:
        """Name the folder; makes none.

        Raises:
            UsageError: a name that no run can have.
        """
        name = search.name or f"search-{base.config.dataset.name}"
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
            raise UsageError(
                f"search.name={name}: use letters, digits, '.', '_' and '-': runs are named by it"
            )
        return cls(base, search, RUNS / name)

    def keep(self, words: Sequence[str]) -> None:
        """Write down what is trained, or see that it is what was begun in the folder.

        Other keys of `search` are no other search: more seeds, candidates or phis add trainings.

        Raises:
            UsageError: the folder holds trainings of other words, or something else.
        """
        asked = sorted(word for word in words if word not in self.base.hydra)
        file = self.folder / SETTINGS
        if not file.exists():
            if any(self.folder.iterdir()):
                raise UsageError(f"{self.folder} holds something else: choose another search.name")
            artifact.write(file, (json.dumps({"words": asked}, indent=1) + "\n").encode())
            return
        kept: list[str] = json.loads(file.read_text(encoding="utf-8"))["words"]
        if kept != asked:
            changed = " ".join(sorted({*kept} ^ {*asked}))
            raise UsageError(
                f"{self.folder} holds trainings of other words ({changed}): give the same to go on,"
                " or choose another search.name"
            )

    def train(self, named: Sequence[tuple[str, Trial]]) -> list[Line]:
        """Train each trial with every seed, as far as it is not done, and return what came out."""
        # Rounding makes one network of several laws, whose first one is trained for all.
        firsts = {trial: self.first.setdefault(trial.what, trial) for _, trial in named}
        wanted = [trial.with_seed(n) for trial in firsts.values() for n in self.search.seeds]
        done = self._scores()
        left = [run for trial in wanted if (run := self._run(trial)) not in done]
        begun = [run for run in left if (RUNS / run).is_dir()]
        fresh = {run: trial for trial in wanted if (run := self._run(trial)) in {*left} - {*begun}}
        if begun:
            # A run goes on with its own config: nothing else is said of it.
            self._sweep([f"resume={','.join(str(RUNS / run) for run in begun)}"])
        if fresh:
            (self.folder / EXPERIMENTS).mkdir(exist_ok=True)
            for run, trial in fresh.items():
                self._write_experiment(run, trial)
            self._sweep([f"experiment={','.join(fresh)}", *self.base.words])
        scores = self._scores()
        return [self._line(way, trial, scores) for way, trial in named]

    def _line(self, way: str, trial: Trial, scores: dict[str, float]) -> Line:
        first = self.first[trial.what]
        runs = [self._run(first.with_seed(seed)) for seed in self.search.seeds]
        found = {run: scores[run] for run in runs if run in scores}
        return Line(way, trial, self.base.macs(trial), self.base.parameters(trial), found)

    def _run(self, trial: Trial) -> str:
        return f"{self.folder.name}-{trial.name}"

    def _scores(self) -> dict[str, float]:
        """The mIoU of each run that is done, by its name."""
        jobs = (job for folder in self.folder.glob("sweep-*") for job in reports(folder))
        return {
            Path(job.run).name: job.miou
            for job in jobs
            if job.state == "done" and job.run is not None and job.miou is not None
        }

    def _write_experiment(self, run: str, trial: Trial) -> None:
        law = trial.law
        above = [self.base.experiment] if self.base.experiment else []
        values = {
            "defaults": [*above, {"override /encoder": "phi"}],
            "encoder": {"phi": trial.phi, "alpha": law.alpha, "beta": law.beta, "gamma": law.gamma},
            "dataset": {"crop": [*trial.crop]},
            "seed": trial.seed,
            "name": run,
            # One validation, of the last weights: the best of many would be a luckier number.
            "val_every": 1_000_000,
        }
        text = "# @package _global_\n" + yaml.safe_dump(values, sort_keys=False)
        artifact.write(self.folder / EXPERIMENTS / f"{run}.yaml", text.encode())

    def _sweep(self, words: list[str]) -> None:
        numbers = [int(path.name.partition("-")[2]) for path in self.folder.glob("sweep-*")]
        place = self.folder.absolute() / f"sweep-{max(numbers, default=0) + 1}"
        arguments = ["-m", "--config-dir", str(self.folder.absolute()), *words, *self.base.hydra]
        arguments.append(f"hydra.sweep.dir='{place}'")
        try:
            with _started_with(["train", *arguments]):
                self.exit_code = max(self.exit_code, launch.main(arguments))
        except (KeyboardInterrupt, SystemExit):
            print(f"effunet: the same command goes on with {self.folder}", file=sys.stderr)
            raise


@contextmanager
def _started_with(words: list[str]) -> Generator[None]:
    """Let a sweep find the words of the program that would have started it."""
    own, sys.argv = sys.argv, [sys.argv[0], *words]
    try:
        yield
    finally:
        sys.argv = own
