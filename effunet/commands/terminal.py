"""How commands speak: plain lines into a pipe, colours and a progress bar on a terminal."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

PIPE_WIDTH = 200
"""Columns where there is no terminal: wide enough to break or shorten no class name."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the command line end the program; rich would end it with exit code 1."""
        raise BrokenPipeError


def console() -> Console:
    """Standard output; nothing in a text is taken for markup, not even a class named '[red]'."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return _Console(width=width, markup=False, highlight=False, emoji=False, soft_wrap=True)


@contextmanager
def progress(what: str, shows: bool = True) -> Generator[Callable[[int, int], None]]:
    """A function of (done, all) that draws a bar on standard error, if that is a terminal."""
    if not shows or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    # Imported here: `info` draws no bar and starts sooner.
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def shown(text: str | Path) -> str:
    """One printable line: a newline or control character in a name must not reach the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def count(number: int) -> str:
    """A large number as people say it: 6.3 M, 10.2 G."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.1f} {unit}"
    return str(number)
