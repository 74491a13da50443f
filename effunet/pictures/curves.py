"""Losses, validation scores and learning rate of a training, drawn over its epochs."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from effunet.artifact import write
from effunet.pictures.figures import figure_png, new_figure


def curves(rows: Sequence[Mapping[str, Any]] | Path, file: Path) -> None:
    """Draw losses, scores and learning rate over the epochs of a training as a PNG.

    Args:
        rows: one mapping per epoch, or the metrics.csv that holds them, with the keys `epoch`,
            `train_loss`, `val_loss`, `miou`, `image_miou`, `boundary_iou` and `lr`; what is empty
            or absent is not drawn.
        file: where the PNG goes.
    """
    if isinstance(rows, Path):
        with rows.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    panels = {
        "loss": ("train_loss", "val_loss"),
        "validation": ("miou", "image_miou", "boundary_iou"),
        "learning rate": ("lr",),
    }
    figure = new_figure(12, 3.6)
    for axes, (title, keys) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for key in keys:
            points = [
                (float(row["epoch"]), float(row[key]))
                for row in rows
                if row.get(key) not in (None, "")
            ]
            if points:
                # One epoch is one dot: a line needs two.
                marker = "o" if len(points) < 30 else None
                axes.plot(*zip(*points, strict=True), label=key, marker=marker, markersize=3)
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        if title == "validation":
            axes.set_ylim(0, 1)
        if len(axes.lines) > 1:
            axes.legend()
    write(file, figure_png(figure))
