"""Rows of a benchmark as processes that take turns, so that a busy neighbour meets them all.

A row reads a line, does its work once and answers with a line of JSON: `serve` is its side, `Rows`
the side that asks. Only one row works at a time.
"""

import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from effunet.commands.benchmark.machine import pins, usable_cores

TUNABLES = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
    "glibc.malloc.trim_threshold=8589934592:glibc.malloc.top_pad=268435456"
)
"""GLIBC_TUNABLES of a user who knows that freed pages cost a training more than its arithmetic."""

Answer = dict[str, Any]


class Rows:
    """Running rows, by name; ended when the block is left."""

    def __init__(self, threads: int) -> None:
        self._rows: dict[str, subprocess.Popen[str]] = {}
        cores = usable_cores()[:threads]
        if len(cores) < threads:
            raise SystemExit(f"{threads} threads need as many cores, and there are {len(cores)}")
        self._environment = {**os.environ, **pins(cores)}

    def start(self, name: str, words: Sequence[str], variables: Mapping[str, str]) -> None:
        """Start `python words`, which serves, with these variables of the environment."""
        self._rows[name] = subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**self._environment, **variables},
        )

    def turn(self) -> dict[str, Answer]:
        """Ask each row once, one after another."""
        return {name: _ask(name, row) for name, row in self._rows.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: object, trace: TracebackType | None
    ) -> None:
        for row in self._rows.values():
            if kind is not None:
                row.kill()
            row.communicate()


def on_all_cores() -> None:
    """Let a runtime that is not OpenMP's see all cores of the row: pinning bound this thread."""
    places = os.environ.get("OMP_PLACES", "")
    if places and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in re.findall("[0-9]+", places)})


def serve(work: Callable[[], Answer]) -> None:
    """Do the work once for each line of the input, and answer."""
    for _ in sys.stdin:
        print(json.dumps(work()), flush=True)


def ratio(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Median, least and most of the ratios of each round."""
    found = [a / b for a, b in zip(over, under, strict=True)]
    return [round(f(found), 3) for f in (statistics.median, min, max)]


def _ask(name: str, row: subprocess.Popen[str]) -> Answer:
    assert row.stdin is not None and row.stdout is not None
    try:
        row.stdin.write("\n")
        row.stdin.flush()
    except BrokenPipeError:
        raise SystemExit(f"row {name} has ended: see what it said") from None
    answer = row.stdout.readline()
    if not answer:
        raise SystemExit(f"row {name} has ended: see what it said")
    return json.loads(answer)
