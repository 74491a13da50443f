"""The rows and pictures of a training, sent to TensorBoard, Weights & Biases or MLflow.

metrics.csv is always written (record.py); these come beside it where `loggers` names them. One that
fails is told of once and switched off: it never costs the training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from effunet.errors import ResourceError
from effunet.training.config.schema import Config
from effunet.training.output.adapters import Logger, MLflow, Pictures, TensorBoard, WeightsAndBiases

Row = Mapping[str, float | int | None]


LOGGERS: dict[str, Callable[[Path, int], Logger]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
}


class Loggers:
    """All loggers of a run as one; none at all is fine, too."""

    def __init__(self, opened: Mapping[str, Logger]) -> None:
        """Hold loggers by name."""
        self.opened = dict(opened)

    def log(self, row: Row, step: int) -> None:
        """Send numbers; None is a score that does not exist, and is left out."""
        numbers = {name: float(value) for name, value in row.items() if value is not None}
        self._each(lambda logger: logger.log(numbers, step))

    def log_images(self, pictures: Pictures, step: int) -> None:
        """Send pictures; the same names again and again show how a sample comes along."""
        self._each(lambda logger: logger.log_images(pictures, step))

    def log_config(self, values: Mapping[str, Any]) -> None:
        """Send a config as nested plain values."""
        flat = dict(_flat(values))
        self._each(lambda logger: logger.log_config(flat))

    def close(self, status: str) -> None:
        """End all with a status of STATES; nothing can be sent any more."""
        self._each(lambda logger: logger.close(status))
        self.opened.clear()

    def _each(self, work: Callable[[Logger], None]) -> None:
        for name, logger in list(self.opened.items()):
            try:
                work(logger)
            except Exception as error:  # whatever a disk, a connection or a foreign library raises
                del self.opened[name]
                print(
                    f"notice    {name} is switched off, the training goes on: {_told(error)}",
                    flush=True,
                )


def open_loggers(config: Config, folder: Path, step: int = 0) -> Loggers:
    """Open what `config.loggers` names, in the first process alone; needs the run folder.

    Args:
        config: which loggers.
        folder: of the run; it also keeps the ids under which a resumed run logs on.
        step: the one that a resumed run goes on from.

    Raises:
        ResourceError: one cannot be opened, such as without an account or a connection.
    """
    opened: dict[str, Logger] = {}
    for name in config.loggers:
        try:
            opened[name] = LOGGERS[name](folder, step)
        except Exception as error:
            raise ResourceError(
                f"loggers: {name} cannot be opened ({_told(error)}): mend its set-up, or leave it"
                " out"
            ) from error
    return Loggers(opened)


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            flat += _flat(value, f"{prefix}{name}.")
        else:
            flat.append((prefix + name, value))
    return flat


def _told(error: Exception) -> str:
    lines = str(error).split("\n")
    return f"{type(error).__name__}: {lines[0]}"
