"""The rows and pictures of a training, sent to TensorBoard, Weights & Biases or MLflow.

metrics.csv is always written (record.py); these come beside it where `loggers` names them. One that
fails is told of once and switched off: it never costs the training.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxtyping import UInt8
from numpy import ndarray

from effunet.errors import ResourceError
from effunet.training.config.schema import Config

Row = Mapping[str, float | int | None]
Pictures = Mapping[str, UInt8[ndarray, "H W 3"]]
"""Pictures by the name of their sample."""

STATES = {"finished": ("FINISHED", 0), "failed": ("FAILED", 1), "stopped": ("KILLED", 130)}
"""How a training ends: MLflow's word for it, and the exit code that Weights & Biases is told."""

IDS = "loggers.json"
"""The file of a run folder that says which remote runs are its own."""


@runtime_checkable
class Logger(Protocol):
    """What each of them can do; any exception switches it off."""

    def log(self, row: Mapping[str, float], step: int) -> None:
        """Take the numbers of a step."""
        ...

    def log_images(self, pictures: Pictures, step: int) -> None:
        """Take the pictures of a step."""
        ...

    def log_config(self, values: Mapping[str, Any]) -> None:
        """Take the config, keys as users type them."""
        ...

    def close(self, status: str) -> None:
        """End with a status of STATES."""
        ...


class TensorBoard:
    """Event files in the run folder: `tensorboard --logdir runs`."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What was logged after the checkpoint that a resumed run goes on from is logged anew.
        purge = step + 1 if step else None
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)

    def log(self, row: Mapping[str, float], step: int) -> None:
        """One scalar for each number."""
        for name, value in row.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def log_images(self, pictures: Pictures, step: int) -> None:
        """One image for each sample, with a slider over the steps."""
        for name, picture in pictures.items():
            self.writer.add_image(f"predictions/{name}", picture, step, dataformats="HWC")
        self.writer.flush()

    def log_config(self, values: Mapping[str, Any]) -> None:
        """The config as a table of text."""
        lines = [f"| `{name}` | {value} |" for name, value in values.items()]
        self.writer.add_text("config", "\n".join(["| key | value |", "|---|---|", *lines]))

    def close(self, status: str) -> None:
        """Write what is left."""
        self.writer.close()


class WeightsAndBiases:
    """A run of the project `effunet`, or of $WANDB_PROJECT; $WANDB_MODE=offline sends nothing."""

    def __init__(self, folder: Path, step: int) -> None:
        import wandb  # pyright: ignore[reportMissingImports] - an extra

        self.wandb: Any = wandb
        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "effunet"),
            name=folder.name,
            dir=str(folder),
            id=_own_id(folder, "wandb", lambda: secrets.token_hex(4)),
            resume="allow",
        )

    def log(self, row: Mapping[str, float], step: int) -> None:
        """One point for each number."""
        self.run.log(dict(row), step=step)

    def log_images(self, pictures: Pictures, step: int) -> None:
        """One image for each sample."""
        images = {
            f"predictions/{name}": self.wandb.Image(picture) for name, picture in pictures.items()
        }
        self.run.log(images, step=step)

    def log_config(self, values: Mapping[str, Any]) -> None:
        """The config of the run."""
        # A resumed run may have had another number of workers.
        self.run.config.update(dict(values), allow_val_change=True)

    def close(self, status: str) -> None:
        """Send what is left."""
        self.run.finish(exit_code=STATES[status][1])


class MLflow:
    """A run of the experiment `effunet` at $MLFLOW_TRACKING_URI, or in runs/mlflow.db."""

    def __init__(self, folder: Path, step: int) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient  # pyright: ignore[reportMissingImports] - an extra

        place, artifacts = os.environ.get("MLFLOW_TRACKING_URI"), None
        if place is None:
            runs = folder.parent.resolve()
            place, artifacts = f"sqlite:///{runs / 'mlflow.db'}", str(runs / "mlartifacts")
        self.client: Any = MlflowClient(tracking_uri=place)
        self.id = _own_id(folder, "mlflow", lambda: self._new_run(folder.name, artifacts))
        if step:
            self.client.update_run(self.id, status="RUNNING")

    def _new_run(self, name: str, artifacts: str | None) -> str:
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "effunet")
        found = self.client.get_experiment_by_name(experiment)
        key = (
            found.experiment_id
            if found is not None
            else self.client.create_experiment(experiment, artifact_location=artifacts)
        )
        return self.client.create_run(key, run_name=name).info.run_id

    def log(self, row: Mapping[str, float], step: int) -> None:
        """One metric for each number."""
        from mlflow.entities import Metric  # pyright: ignore[reportMissingImports] - an extra

        now = int(time.time() * 1000)
        metrics = [Metric(_plain_name(name), value, now, step) for name, value in row.items()]
        self.client.log_batch(self.id, metrics=metrics)

    def log_images(self, pictures: Pictures, step: int) -> None:
        """One image for each sample."""
        for name, picture in pictures.items():
            self.client.log_image(self.id, picture, key=_plain_name(name), step=step)

    def log_config(self, values: Mapping[str, Any]) -> None:
        """The parameters of the run, which MLflow lets nobody change afterwards."""
        from mlflow.entities import Param  # pyright: ignore[reportMissingImports] - an extra

        known = self.client.get_run(self.id).data.params
        fresh = [Param(name, str(value)) for name, value in values.items() if name not in known]
        self.client.log_batch(self.id, params=fresh)

    def close(self, status: str) -> None:
        """Mark how the run has ended."""
        self.client.set_terminated(self.id, STATES[status][0])


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


def _own_id(folder: Path, name: str, make: Callable[[], str]) -> str:
    """Return the id of this run at a logger: the one kept in its folder, or a new one."""
    file = folder / IDS
    ids: dict[str, str] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    if name not in ids:
        ids[name] = make()
        file.write_text(json.dumps(ids, indent=2) + "\n", encoding="utf-8")
    return ids[name]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            flat += _flat(value, f"{prefix}{name}.")
        else:
            flat.append((prefix + name, value))
    return flat


def _plain_name(name: str) -> str:
    """Return a name that MLflow takes: letters, digits, and a few signs."""
    return "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "_-. /") else "_" for sign in name
    )


def _told(error: Exception) -> str:
    lines = str(error).split("\n")
    return f"{type(error).__name__}: {lines[0]}"
