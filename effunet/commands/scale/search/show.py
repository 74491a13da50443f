"""What a search found, as tables for a person and as plain JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich import box
from rich.table import Table

from effunet.commands.terminal import console, count
from effunet.scaling.laws import Trial
from effunet.scaling.verdict import Verdict, verdict


@dataclass(frozen=True)
class Line:
    """One network with the scores of its seeds."""

    way: str  # baseline, compound, width alone, ...; "" of a candidate
    trial: Trial
    macs: int  # of one crop
    parameters: int
    scores: Mapping[str, float]  # mIoU 0..1 by the run's name

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return fmean(self.scores.values())


@dataclass(frozen=True)
class Group:
    """Lines of one table."""

    title: str
    lines: Sequence[Line]
    held: bool = False  # whether those behind the first are held against each other


def report(facts: Mapping[str, Any], groups: Sequence[Group]) -> dict[str, Any]:
    """Print the tables, and return all that is known as plain JSON."""
    out = console()
    crop = " x ".join(map(str, facts["crop"]))
    out.print(
        f"\n{facts['dataset']} {facts['split']}; each trained {facts['length']} of "
        f"{facts['batch_size']} crops, the baseline's of {crop}, seeds {facts['seeds']}; MACs of a "
        "crop, x the baseline's"
    )
    found: dict[str, Any] = {**facts, "groups": {}}
    base = groups[0].lines[0].macs
    for group in groups:
        held = [line for line in group.lines[1:] if line.scores] if group.held else []
        said = verdict([[*line.scores.values()] for line in held]) if len(held) > 1 else None
        out.print(f"\n{group.title}")
        out.print(_table(group, held, said, base))
        if group.held:
            found["verdict"] = _verdict(said, held)
            out.print(found["verdict"]["text"])
        halves = dict(zip(map(id, held), said.halves, strict=True)) if said else {}
        found["groups"][group.title] = [
            _plain(line, base, halves.get(id(line))) for line in group.lines
        ]
    return found


def _table(group: Group, held: Sequence[Line], said: Verdict | None, base: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for head in ("alpha", "beta", "gamma", "phi", "growth", "crop", "params", "MACs", "x"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("mIoU %", no_wrap=True)
    table.add_column("by seed", no_wrap=True)
    rows = [(group.lines[0], "baseline", None)]
    if said is None:
        rows += [(line, "", None) for line in group.lines[1:]]
    else:
        marks = {said.best: "best"} | dict.fromkeys(said.untold, "not told from it")
        order = sorted(range(len(held)), key=lambda place: -held[place].mean)
        rows += [(held[place], marks.get(place, ""), said.halves[place]) for place in order]
        rows += [(line, "failed", None) for line in group.lines[1:] if not line.scores]
    for line, mark, half in rows:
        law = line.trial.law
        table.add_row(
            mark,
            *(f"{number:g}" for number in (law.alpha, law.beta, law.gamma, line.trial.phi)),
            f"{law.growth**line.trial.phi:.2f}",
            " x ".join(map(str, line.trial.crop)),
            count(line.parameters),
            count(line.macs),
            f"{line.macs / base:.2f}",
            _score(line, half),
            "  ".join(f"{100 * score:.1f}" for score in line.scores.values()),
        )
    return table


def _score(line: Line, half: float | None) -> str:
    if not line.scores:
        return "none"
    sure = f" +- {100 * half:.1f}" if half is not None and half < 1 else ""
    return f"{100 * line.mean:.1f}{sure}"


def _verdict(said: Verdict | None, lines: Sequence[Line]) -> dict[str, Any]:
    if said is None:
        return {"decided": False, "text": "undecided: fewer than two candidates have a score"}
    laws = [_law(line) for line in lines]
    return {
        "decided": said.decided,
        "text": _words(said, laws),
        "best": laws[said.best],
        "untold": [laws[place] for place in said.untold],
        "deviation": said.deviation,
        "degrees_of_freedom": said.freedom,
    }


def _words(said: Verdict, laws: Sequence[Mapping[str, float]]) -> str:
    name = " ".join(f"{key} {value:g}" for key, value in laws[said.best].items())
    if said.deviation is None:
        return f"undecided: {name} is best, but one seed says nothing of chance"
    chance = (
        f"a training's chance has a standard deviation of {100 * said.deviation:.2f} points "
        f"({said.freedom} degrees of freedom)"
    )
    others = f"of the {len(laws) - 1} others (Tukey's range test, 95 %); {chance}"
    if said.decided:
        return f"decided: {name} is told from all {others}"
    return f"undecided: {name} is best, and not told from {len(said.untold)} {others}"


def _law(line: Line) -> dict[str, float]:
    law = line.trial.law
    return {"alpha": law.alpha, "beta": law.beta, "gamma": law.gamma}


def _plain(line: Line, base: int, half: float | None) -> dict[str, Any]:
    return {
        "way": line.way,
        **_law(line),
        "phi": line.trial.phi,
        "growth": line.trial.law.growth**line.trial.phi,
        "crop": list(line.trial.crop),
        "parameters": line.parameters,
        "macs": line.macs,
        "times_baseline": line.macs / base,
        "miou": line.mean if line.scores else None,
        "half_interval": half if half is not None and half < 1 else None,
        "runs": dict(line.scores),
    }
