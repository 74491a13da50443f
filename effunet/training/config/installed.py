"""Packages that a config asks for and that do not come with effunet; imports none of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from effunet.errors import UsageError
from effunet.training.config.read import nearest

PARENT = "hydra_plugins"
PLUGINS = {
    "hydra/launcher": {
        "joblib": "hydra-joblib-launcher",
        "submitit_local": "hydra-submitit-launcher",
        "submitit_slurm": "hydra-submitit-launcher",
        "ray": "hydra-ray-launcher",
        "ray_aws": "hydra-ray-launcher",
    },
    "hydra/sweeper": {
        "ax": "hydra-ax-sweeper",
        "nevergrad": "hydra-nevergrad-sweeper",
        "optuna": "hydra-optuna-sweeper",
    },
}
"""Hydra's parts that do not come with it, and the package that brings each."""


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


def require_plugin(group: str, name: object, line: str) -> None:
    """Refuse a launcher or sweeper of Hydra that is unknown or not installed.

    Args:
        group: hydra/launcher or hydra/sweeper; any other has no plugins and passes.
        name: the one that is asked for.
        line: the word that asks for it.

    Raises:
        UsageError: with the line that installs what is missing.
    """
    installs = PLUGINS.get(group)
    if installs is None or name == "basic":
        return
    if not isinstance(name, str) or name not in installs:
        raise UsageError(f"{line}: {nearest(str(name), ['basic', *installs])}")
    package = installs[name]
    if not (find_spec(PARENT) and find_spec(f"{PARENT}.{package.replace('-', '_')}")):
        what = "'effunet[joblib]'" if name == "joblib" else package
        raise UsageError(f"{line}: not installed: pip install {what}")
