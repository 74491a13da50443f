"""`effunet scale search`: the constants of the law, found by training its candidates briefly.

Step one of the article (Tan & Le 2019, section 3.3): a grid of alpha, beta, gamma within a budget,
each candidate trained at phi 1 and at its own resolution, with several seeds. Step two: the best
one's constants stay, and phi is raised. Every training is an ordinary run below runs/, made by an
ordinary sweep; the search's own folder says which, so that a killed search goes on.
"""

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from effunet import artifact
from effunet.commands.outputs import prepare_folder
from effunet.commands.scale.search.show import Group, Line, report
from effunet.errors import UsageError
from effunet.scaling.laws import Law, Size, Trial, distinct, grid, others, spread
from effunet.training.config.read import read
from effunet.training.config.search import Search

if TYPE_CHECKING:
    from effunet.commands.scale.search.trainings import Trainings

RESULT = "search-result.json"
BEST = "the best constants"


def run(arguments: Namespace) -> int:
    """Search, print what was found, and return the exit code: the highest of all trainings."""
    search = _search([word for word in arguments.words if _group(word) == "search"])
    words = [word for word in arguments.words if _group(word) != "search"]
    found = grid(search.budget, search.tolerance, search.step)
    if len(found) < 2:
        raise UsageError(
            f"search.budget={search.budget:g}: a grid of steps of {search.step:g} has {len(found)}"
            f" candidates within {search.tolerance:g} of it: use a smaller search.step or a larger"
            " search.tolerance"
        )
    from effunet.commands.scale.search.base import Base
    from effunet.commands.scale.search.trainings import Trainings

    base = Base.of(words)
    trainings = Trainings.begin(base, search)
    laws = distinct(found, base.crop, search.budget)
    if search.macs_tolerance is not None:
        laws = base.within(laws, search.budget, search.macs_tolerance)
    if len(laws) < 2:
        raise UsageError(
            f"dataset.crop={list(base.crop)}: of {len(found)} candidates {len(laws)} is left, once"
            " rounded: use a larger dataset.crop, search.budget or search.macs_tolerance"
        )
    chosen = spread(laws, search.candidates or len(laws))
    prepare_folder(trainings.folder, "search.name")
    trainings.keep(words)
    print(
        f"search    {trainings.folder}: {len(found)} laws of growth {search.budget:g} +-"
        f" {search.tolerance:g}, {len(laws)} different once rounded, {len(chosen)} trained with"
        f" {len(search.seeds)} seed{'s' * (len(search.seeds) > 1)}, and the network that they scale"
    )
    zero, *first = trainings.train(_named(base.crop, chosen))
    groups = [Group("step one: phi 1", [zero, *first], held=True)]
    if scored := [line for line in first if line.scores]:
        groups += _second(trainings, max(scored, key=lambda line: line.mean), zero)
    _write(trainings, report({**base.facts, "seeds": search.seeds}, groups))
    return trainings.exit_code


def _search(words: Sequence[str]) -> Search:
    for word in words:
        if "=" not in word:
            raise UsageError(f"{word}: cannot be read as key=value")
    try:
        values = OmegaConf.from_dotlist([*words])
    except Exception as error:  # of YAML's or OmegaConf's many kinds
        raise UsageError(f"{' '.join(words)}: cannot be read as key=value: {error}") from error
    search = read(Search, values.get("search") or {}, " ".join(words) or "search", "search.")
    for name in ("seeds", "phis"):
        given = getattr(search, name)
        if len(set(given)) < len(given):
            raise UsageError(f"search.{name}={given}: names one twice")
    if not search.seeds:
        raise UsageError("search.seeds=[]: name one at least, such as [0,1]")
    return search


def _group(word: str) -> str:
    return word.partition("=")[0].partition(".")[0].partition("/")[0]


def _named(crop: Size, laws: Sequence[Law]) -> list[tuple[str, Trial]]:
    """The network that is scaled, and the candidates at phi 1."""
    return [("baseline", Law().trial(0, crop)), *(("", law.trial(1, crop)) for law in laws)]


def _second(trainings: "Trainings", best: Line, zero: Line) -> list[Group]:
    """Raise phi with the best constants, and scale one thing alone for as many multiply-adds."""
    base, search, law = trainings.base, trainings.search, best.trial.law
    raised = [law.trial(phi, base.crop) for phi in search.phis if phi != 1]
    named = [(BEST, trial) for trial in raised]
    groups = {BEST: [zero, best]}
    if search.others:
        targets = [base.macs(trial) for trial in (best.trial, *raised)]
        for name, other in others(search.budget):
            groups[name] = [zero]
            named += [(name, base.nearest(other, macs)) for macs in targets]
    if not named:
        return []
    for line in trainings.train(list(dict.fromkeys(named))):
        groups[line.way].append(line)
    return [Group(name, lines) for name, lines in groups.items()]


def _write(trainings: "Trainings", result: dict[str, Any]) -> None:
    from effunet.pictures.search import picture

    folder: Path = trainings.folder
    text = json.dumps(result, indent=1, ensure_ascii=False)
    artifact.write(folder / RESULT, (text + "\n").encode())
    artifact.write(folder / "search.png", picture(result))
    print(f"\nwrote  {folder / RESULT}, {folder / 'search.png'}")
