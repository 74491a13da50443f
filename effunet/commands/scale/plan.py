"""`effunet scale plan`: budgets -> the largest network within all of them, and how to train it."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Any

from effunet.commands.terminal import console, count
from effunet.errors import ResourceError, UsageError

if TYPE_CHECKING:
    from effunet.scaling.costs import Shape
    from effunet.scaling.fit import Candidate


@dataclass(frozen=True)
class Budget:
    """One limit."""

    limit: float
    cost: Callable[["Candidate"], float]
    said: Callable[[float], str]  # a cost, with its unit


def run(arguments: Namespace) -> int:
    """Find it, and say what it costs and what trains it."""
    limits = (arguments.params, arguments.macs, arguments.latency, arguments.memory)
    if limits == (None,) * 4:
        raise UsageError(
            "scale plan needs a budget: --params 10M, --macs 5G, --latency 20ms, --memory 8G"
        )
    from effunet.scaling.costs import Shape
    from effunet.scaling.fit import candidates, last_fitting

    shape = Shape(arguments.decoder, arguments.classes, arguments.size)
    found = candidates(named=arguments.named, resolution=arguments.size is None)
    budgets = _budgets(arguments, shape)
    # What is counted comes first: a network that is too large by it is never built to be measured.
    place: int | None = len(found) - 1
    for budget in budgets.values():
        place = last_fitting(found[: place + 1], lambda one, b=budget: b.cost(one) <= b.limit)
        if place is None:
            break
    if place is None:
        raise UsageError(_nothing(found[0], budgets))
    out = console()
    for line in _lines(found, place, budgets, shape, arguments.batch):
        out.print(line)
    return 0


def _budgets(arguments: Namespace, shape: "Shape") -> Mapping[str, Budget]:
    from effunet.scaling.costs import cost_of
    from effunet.scaling.fit import Candidate

    measured = cache(lambda what, candidate: _measured(what, candidate, arguments, shape))
    costs: dict[str, tuple[float | None, Callable[[Candidate], float], Callable[[float], str]]] = {
        "parameters": (arguments.params, lambda one: cost_of(one.plan, shape).parameters, _counted),
        "MACs": (arguments.macs, lambda one: cost_of(one.plan, shape).macs, _counted),
        "latency": (arguments.latency, lambda one: measured("latency", one), _milliseconds),
        "memory": (arguments.memory, lambda one: measured("memory", one), _gigabytes),
    }
    return {
        name: Budget(limit, cost, said)
        for name, (limit, cost, said) in costs.items()
        if limit is not None
    }


def _counted(number: float) -> str:
    return count(round(number))


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB"


def _measured(what: str, candidate: "Candidate", arguments: Namespace, shape: "Shape") -> float:
    """Ask a process of its own; what it dies of is too large."""
    from effunet.segmenter import device_of

    request: dict[str, Any] = {
        "what": what,
        "plan": candidate.plan.to_plain(),
        "decoder": shape.decoder,
        "classes": shape.classes,
        "size": shape.size_of(candidate.plan),
        "batch": arguments.batch,
        "device": str(device_of(arguments.device)),
    }
    path = os.pathsep.join(place or os.curdir for place in sys.path)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "effunet.commands.scale.probe"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    if done.returncode == 0:
        return float(done.stdout.splitlines()[-1])
    if done.returncode < 0 or "emory" in done.stderr:
        return inf
    raise ResourceError(
        f"measuring the {what} of {candidate.words} failed: "
        f"{(done.stderr.strip().splitlines() or ['no word'])[-1]}"
    )


def _nothing(smallest: "Candidate", budgets: Mapping[str, Budget]) -> str:
    over = [
        f"{budget.said(cost)} {name} ({budget.said(budget.limit)} allowed)"
        for name, budget in budgets.items()
        if (cost := budget.cost(smallest)) > budget.limit
    ]
    return f"nothing fits: the smallest network ({smallest.words}) has {', '.join(over)}"


def _lines(
    found: "list[Candidate]",
    place: int,
    budgets: Mapping[str, Budget],
    shape: "Shape",
    batch: int,
) -> Iterator[str]:
    best = found[place]
    plan, (height, width) = best.plan, shape.size_of(best.plan)
    yield (
        f"network     {plan.name}: {plan.blocks} blocks, stages {plan.stages[0].width} to "
        f"{plan.stages[-1].width} wide, decoder {shape.decoder}, {shape.classes} classes"
    )
    for name, budget in budgets.items():
        what = {"parameters": "", "memory": f" in a training step of {batch} images"}.get(
            name, " an image"
        )
        at = f"{what} of {height} x {width}" if what else ""
        yield f"{name:<12}{budget.said(budget.cost(best))}{at}; {budget.said(budget.limit)} allowed"
    if place + 1 < len(found):
        following = found[place + 1]
        over = [
            f"{budget.said(cost)} {name}"
            for name, budget in budgets.items()
            if (cost := budget.cost(following)) > budget.limit
        ]
        yield f"next        {following.plan.name} would have {', '.join(over)}"
    else:
        yield "next        none: this is the largest that there is"
    crop = f"dataset.crop=[{height},{width}]"
    decoder = "" if shape.decoder == "efficient" else f" decoder={shape.decoder}"
    yield f"train       python train.py {best.words}{decoder} {crop} dataset=NAME"
