"""After each validation: its row, the pace of the steps and the pictures, to the loggers."""

from __future__ import annotations

from types import TracebackType

import numpy as np

from effunet.pictures.sheet import sheet
from effunet.training.config.read import to_plain
from effunet.training.output.loggers import Loggers, open_loggers
from effunet.training.output.progress import Watch
from effunet.training.output.record import Record


class Journal:
    """Logs what `record` and `watch` know, so it comes behind them; a context that ends the logs.

    The pace goes to the loggers alone: metrics.csv is the same in every run of a config.
    """

    def __init__(self, record: Record, watch: Watch) -> None:
        """Log the rows and pictures of `record` and the speed of `watch`."""
        self.record, self.watch = record, watch
        self.loggers = Loggers({})
        self.opened = False

    def open(self, step: int) -> None:
        """Open the loggers once, at the step that the training starts from."""
        if self.opened:
            return
        self.opened = True
        config = self.record.config
        self.loggers = open_loggers(config, self.record.folder, step)
        self.loggers.log_config(to_plain(config))

    def validated(self, step: int) -> None:
        """Send the row and the pictures of the validation behind this step."""
        if not self.loggers.opened:
            return
        speed = self.watch.speed
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
