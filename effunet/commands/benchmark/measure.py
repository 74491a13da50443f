"""`effunet benchmark`: segmenters that take turns, each in a process of its own -> their costs."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from math import ceil
from typing import Any

from effunet import artifact
from effunet.artifact import Header
from effunet.commands.benchmark import machine
from effunet.commands.benchmark.rows import Row, started
from effunet.commands.benchmark.spread import speeds, spread
from effunet.commands.benchmark.table import print_captions, print_size
from effunet.commands.evaluate.seeds import names_of
from effunet.commands.models import named
from effunet.commands.outputs import prepare_file
from effunet.commands.terminal import console, progress
from effunet.errors import UsageError

WARM_UP = 3
"""Rounds that do not count: caches fill, libraries choose their ways, memory is taken."""

LEAST, MOST = 10, 1000
"""Rounds that count, where nobody has said how many."""

SIZE = (512, 512)
"""Where nothing says at which size the segmenter was trained."""

Answers = list[list[dict[str, Any]]]
"""Of each round, each model's."""


def run(arguments: Namespace) -> int:
    """Measure, print the tables or JSON alone, and write the file where --out says."""
    headers = [named(model).header for model in arguments.models]
    cores = machine.usable_cores()
    threads = arguments.threads or len(cores)
    if threads > len(cores):
        raise UsageError(
            f"--threads {threads}: this process may use {len(cores)} cores: use {len(cores)} or "
            "fewer"
        )
    if arguments.out is not None:
        if arguments.out.resolve() in [header.path.resolve() for header in headers]:
            raise UsageError(f"--out {arguments.out} is a MODEL: name another file")
        prepare_file(arguments.out)
    sizes = list(dict.fromkeys(arguments.size or [_trained_at(headers[0])]))
    hardware = machine.described(cores[:threads])
    if hardware["busy"]:
        print(
            f"effunet: the machine is busy (load {hardware['load_average'][0]}, "
            f"{hardware['machine_cores']} cores, {threads} to be used): times will be too long; "
            "those of models that take turns can still be compared",
            file=sys.stderr,
        )
    result: dict[str, Any] = {
        "library": artifact.library(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware,
        "threads": threads,
        "batch": arguments.batch,
        "warm_up_rounds": WARM_UP,
        "sizes": [],
    }
    out = console()
    for size in sizes:
        facts, answers = _measured(arguments, size, cores[:threads])
        for key in ("torch", "instructions", "device", "device_name"):
            result["hardware"][key] = facts[0][key]
        result["sizes"].append(_of_size(arguments, size, headers, facts, answers))
        if not arguments.json:
            print_size(out, result)
    if arguments.json:
        print(json.dumps(result))
    else:
        print_captions(out, result)
    if arguments.out is not None:
        artifact.write(arguments.out, f"{json.dumps(result)}\n".encode())
    return 0


def _trained_at(header: Header) -> tuple[int, int]:
    match header.metadata["training_size"]:
        case [int(height), int(width)] if min(height, width) > 0:
            return height, width
        case _:
            return SIZE


def _measured(
    arguments: Namespace, size: tuple[int, int], cores: list[int]
) -> tuple[list[dict[str, Any]], Answers]:
    """The facts of each model, and its answer in each round that counts."""
    requests = [
        {
            "model": model,
            "height": size[0],
            "width": size[1],
            "batch": arguments.batch,
            "device": arguments.device,
            "cores": cores,
            "beside": len(arguments.models),
        }
        for model in arguments.models
    ]
    what = f"{size[0]} x {size[1]}"
    with started(requests, arguments.debug) as rows, progress(what) as tell:
        facts = [row.facts() for row in rows]
        for turn in range(WARM_UP):
            _turn(rows, turn)
        return facts, _rounds(rows, arguments.rounds, arguments.seconds, tell)


def _rounds(
    rows: Sequence[Row], rounds: int | None, seconds: float, tell: Callable[[int, int], None]
) -> Answers:
    """Rounds as many as asked for, or until each model has had about so many seconds."""
    answers: Answers = []
    spent, wanted = 0.0, rounds or LEAST
    while len(answers) < wanted:
        answers.append(_turn(rows, len(answers)))
        spent += sum(sum(answer["seconds"].values()) for answer in answers[-1])
        if rounds is None:
            fitting = ceil(seconds * len(rows) / spent * len(answers))
            wanted = min(MOST, max(LEAST, fitting))
        tell(len(answers), wanted)
    return answers


def _turn(rows: Sequence[Row], turn: int) -> list[dict[str, Any]]:
    """One round of each; every other time from the last to the first, so that none is favoured."""
    order = range(len(rows)) if turn % 2 == 0 else reversed(range(len(rows)))
    found = {place: rows[place].round() for place in order}
    return [found[place] for place in range(len(rows))]


def _of_size(
    arguments: Namespace,
    size: tuple[int, int],
    headers: list[Header],
    facts: list[dict[str, Any]],
    answers: Answers,
) -> dict[str, Any]:
    """All that was measured at one size, plain JSON."""
    models: list[dict[str, Any]] = []
    names = names_of(arguments.models)
    first = _seconds(answers, 0)
    for place, (name, header) in enumerate(zip(names, headers, strict=True)):
        seconds, last = _seconds(answers, place), answers[-1][place]
        known = None not in (last["peak"], last["loaded"])
        models.append(
            {
                "name": name,
                "path": str(header.path),
                "bytes": header.size,
                "parameters": header.metadata["parameters"],
                "precision": facts[place]["precision"],
                "macs": facts[place]["macs"],
                "threads": facts[place]["threads"],
                "cores": facts[place]["cores"],
                "memory": {
                    "of": "gpu" if facts[place]["device"] == "cuda" else "process",
                    "loaded_bytes": last["loaded"],
                    "peak_bytes": last["peak"],
                    "above_bytes": max(0, last["peak"] - last["loaded"]) if known else None,
                },
                "works": {
                    work: {
                        "latency_s": asdict(found := spread(times)),
                        "images_per_second": arguments.batch / found.median,
                        "speed": asdict(spread(speeds(first[work], times))) if place else None,
                        "rounds_s": times,
                    }
                    for work, times in seconds.items()
                },
            }
        )
    return {"height": size[0], "width": size[1], "rounds": len(answers), "models": models}


def _seconds(answers: Answers, place: int) -> dict[str, list[float]]:
    """One model's times of all rounds, by the name of the work."""
    works = answers[0][place]["seconds"]
    return {work: [turn[place]["seconds"][work] for turn in answers] for work in works}
