"""Pictures for people: a mask over its image, rows of image / truth / prediction, training curves.

Everything takes plain arrays and gives a picture; nothing here knows torch.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from effunet.artifact import write
from effunet.labels import IGNORE, LabelMap

INK, PAPER, QUIET = (32, 33, 36), (255, 255, 255), (110, 114, 120)

LEGEND_LINE = 24
"""Pixels that a line of a legend takes."""


@dataclass(frozen=True)
class Row:
    """One line of a sheet: what went in, what is true, what the network says."""

    name: str
    image: UInt8[ndarray, "H W C"]
    truth: UInt8[ndarray, "H W"]
    prediction: UInt8[ndarray, "H W"]


def overlay(
    image: UInt8[ndarray, "H W C"],
    mask: UInt8[ndarray, "H W"],
    labels: LabelMap,
    alpha: float = 0.5,
) -> UInt8[ndarray, "H W 3"]:
    """The class colours laid over the image; alpha 0 shows the image alone, 1 the colours alone.

    Ignored pixels keep the image, for nothing is said of them.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is a share and must lie in [0, 1], got {alpha}")
    below = shown_image(image)
    colours = labels.colorize(mask)
    mixed = np.asarray(Image.blend(Image.fromarray(below), Image.fromarray(colours), alpha))
    return np.where((mask == IGNORE)[..., None], below, mixed)


def sheet(rows: Sequence[Row], labels: LabelMap, width: int = 1200) -> Image.Image:
    """Rows of image | truth | prediction under one heading, with a legend of the classes below.

    Args:
        rows: at least one; images of any sizes, each shown as wide as its column.
        labels: names and colours of the legend.
        width: of the whole sheet, pixels.
    """
    if not rows:
        raise ValueError("a sheet needs at least one row")
    gap, heading, caption = 12, 30, 20
    column = (width - 4 * gap) // 3
    large, small = ImageFont.load_default(size=18), ImageFont.load_default(size=13)
    # A tall image is shown narrower, or one of them would push all others off the screen.
    sizes = [_fit(row.image.shape[:2], column, column * 3 // 2) for row in rows]
    legend = legend_places(labels.names, small, width - 2 * gap)
    legend_height = legend[-1][1] + LEGEND_LINE + gap
    height = heading + sum(high + caption + gap for high, _ in sizes) + legend_height + gap
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    lefts = [gap + (column + gap) * index for index in range(3)]
    for left, title in zip(lefts, ("image", "truth", "prediction"), strict=True):
        draw.text((left, 6), title, INK, font=large)
    top = heading
    for row, (high, wide) in zip(rows, sizes, strict=True):
        panels = (
            shown_image(row.image),
            labels.colorize(row.truth),
            labels.colorize(row.prediction),
        )
        draw.text((gap, top + 2), shortened(draw, row.name, small, column), QUIET, font=small)
        for left, panel in zip(lefts, panels, strict=True):
            # Colours of classes must not mix: only the image itself may be smoothed.
            how = Image.Resampling.BICUBIC if panel is panels[0] else Image.Resampling.NEAREST
            shown = Image.fromarray(panel).resize((wide, high), how)
            picture.paste(shown, (left, top + caption))
        top += high + caption + gap
    for (left, down), name, colour in zip(legend, labels.names, labels.palette, strict=True):
        x, y = gap + left, top + down
        draw.rectangle((x, y, x + 16, y + 16), tuple(colour.tolist()), outline=QUIET)
        draw.text((x + 22, y), name, INK, font=small)
    draw.text(
        (gap, top + legend[-1][1] + 20), "what is not counted is black in the truth", QUIET, small
    )
    return picture


def curves(rows: Sequence[Mapping[str, Any]] | Path, file: Path) -> None:
    """Draw loss, mIoU and learning rate over the epochs of a training as a PNG.

    Args:
        rows: one mapping per epoch, or the metrics.csv that holds them, with the keys `epoch`,
            `train_loss`, `val_loss`, `miou` and `lr`; what is empty or absent is not drawn.
        file: where the PNG goes.
    """
    # Imported here, for it takes long and only this drawing needs it. Figure and canvas by hand:
    # pyplot would keep every figure and pick a backend for the whole process.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if isinstance(rows, Path):
        with rows.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    panels = {
        "loss": ("train_loss", "val_loss"),
        "validation mIoU": ("miou",),
        "learning rate": ("lr",),
    }
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
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
        if title == "validation mIoU":
            axes.set_ylim(0, 1)
        if len(axes.lines) > 1:
            axes.legend()
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100, metadata={"Software": None})
    write(file, data.getvalue())


def png(picture: Image.Image | UInt8[ndarray, "H W 3"]) -> bytes:
    """A picture or an RGB array as the bytes of a PNG file."""
    data = io.BytesIO()
    picture = Image.fromarray(picture) if isinstance(picture, ndarray) else picture
    picture.save(data, "PNG")
    return data.getvalue()


def mask_png(mask: UInt8[ndarray, "H W"], labels: LabelMap) -> bytes:
    """A palette PNG: its values are class indices, and every viewer shows the class colours.

    Index 255 (ignore) and the indices above the last class are black.
    """
    return palette_png(mask, palette(labels))


def palette_png(mask: UInt8[ndarray, "H W"], colours: UInt8[ndarray, "256 3"]) -> bytes:
    """A PNG whose values are those of the mask, and in which viewers show these colours."""
    picture = Image.fromarray(mask)
    picture.putpalette(colours.tobytes())
    return png(picture)


def palette(labels: LabelMap) -> UInt8[ndarray, "256 3"]:
    """The colour of each value of an index mask: that of its class, black for every other."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(labels)] = labels.palette
    return colours


def shown_image(image: UInt8[ndarray, "H W C"]) -> UInt8[ndarray, "H W 3"]:
    """What a screen can show: grey three times, or the first three of more channels."""
    if image.shape[2] < 3:
        return np.repeat(image[..., :1], 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def _fit(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Height and width of the panel: as large as both limits allow, never below one pixel."""
    scale = min(width / size[1], height / size[0])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def legend_places(names: Sequence[str], font: Any, width: int) -> list[tuple[int, int]]:
    """Left and top of each entry, flowing over as many lines as the names need."""
    places: list[tuple[int, int]] = []
    left = top = 0
    for name in names:
        needed = 22 + int(font.getlength(name)) + 22
        if left and left + needed > width:
            left, top = 0, top + LEGEND_LINE
        places.append((left, top))
        left += needed
    return places


def shortened(draw: ImageDraw.ImageDraw, text: str, font: Any, width: int) -> str:
    """The text, cut at its start where it is longer than the column: names differ at the end."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength("..." + text, font) > width:
        text = text[1:]
    return "..." + text
