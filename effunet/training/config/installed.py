"""Packages that a config asks for and that do not come with effunet; imports none of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from effunet.errors import UsageError


def require_loggers(names: Sequence[str]) -> None:
    """Refuse a logger whose package is not installed; imports nothing.

    Raises:
        UsageError: with the line that installs what is missing.
    """
    for name in names:
        if find_spec(name) is None:
            raise UsageError(
                f'loggers: {name} is not installed: pip install "effunet[{name}]", or leave it out'
            )
