"""A bar for whoever waits at a terminal; nothing where nobody does."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def progress(what: str, shows: bool = True) -> Generator[Callable[[int, int], None]]:
    """A function of (done, all) that draws a bar on standard error, if that is a terminal."""
    if not shows or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    # Imported here: `info` draws no bar and starts sooner.
    from rich.console import Console
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
