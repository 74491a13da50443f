"""How commands speak: plain lines into a pipe, colours on a terminal."""

import sys
from pathlib import Path

from rich.console import Console

from effunet.progress import progress as progress  # commands speak through this file

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


def shown(text: str | Path) -> str:
    """One printable line: a newline or control character in a name must not reach the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def count(number: int) -> str:
    """A large number as people say it: 6.3 M, 10.2 G."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.1f} {unit}"
    return str(number)
