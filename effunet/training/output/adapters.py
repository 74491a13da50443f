"""What each logger's own package wants: TensorBoard, Weights & Biases, MLflow, behind one door.

A package is imported when its logger is opened.
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


def _own_id(folder: Path, name: str, make: Callable[[], str]) -> str:
    """Return the id of this run at a logger: the one kept in its folder, or a new one."""
    file = folder / IDS
    ids: dict[str, str] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    if name not in ids:
        ids[name] = make()
        file.write_text(json.dumps(ids, indent=2) + "\n", encoding="utf-8")
    return ids[name]


def _plain_name(name: str) -> str:
    """Return a name that MLflow takes: letters, digits, and a few signs."""
    return "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "_-. /") else "_" for sign in name
    )
