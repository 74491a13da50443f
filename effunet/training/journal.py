"""After each validation: its row, the pace of the steps and the pictures, to the loggers."""

from __future__ import annotations

from types import TracebackType

import numpy as np
import pytorch_lightning as pl

from effunet.pictures import sheet
from effunet.training.config import to_plain
from effunet.training.loggers import Loggers, open_loggers
from effunet.training.progress import Watch
from effunet.training.record import Record


class Journal(pl.Callback):
    """Logs what `record` and `watch` know, so it stands behind them; a context that ends the logs.

    The pace goes to the loggers alone: metrics.csv is the same in every run of a config.
    """

    def __init__(self, record: Record, watch: Watch) -> None:
        """Log the rows and pictures of `record` and the speed of `watch`."""
        self.record, self.watch = record, watch
        self.loggers = Loggers({})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the loggers, at the step that the training starts from."""
        if trainer.is_global_zero:
            config = self.record.config
            self.loggers = open_loggers(config, self.record.folder, trainer.global_step)
            self.loggers.log_config(to_plain(config))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the row and the pictures of this validation."""
        if not self.loggers.opened:
            return
        step, speed = trainer.global_step, self.watch.speed
        pace = {"images_per_second": speed.images_per_second, "waiting_share": speed.waiting_share}
        self.loggers.log({**self.record.rows[-1], **pace}, step)
        labels = self.record.val.labels
        # The sheet of one row: image, truth, prediction and the legend under the sample's name.
        pictures = {row.name: np.asarray(sheet([row], labels)) for row in self.record.pictures}
        self.loggers.log_images(pictures, step)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            status = "finished"
        else:
            status = "failed" if issubclass(kind, Exception) else "stopped"
        self.loggers.close(status)
