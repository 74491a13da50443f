"""Rows of image, truth and prediction on one sheet, with a legend of the classes."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from effunet.labels import LabelMap
from effunet.pictures.legends import INK, LEGEND_LINE, PAPER, QUIET, legend_places, shortened
from effunet.pictures.overlay import shown_image


@dataclass(frozen=True)
class Row:
    """One line of a sheet: what went in, what is true, what the network says."""

    name: str
    image: UInt8[ndarray, "H W C"]
    truth: UInt8[ndarray, "H W"]
    prediction: UInt8[ndarray, "H W"]


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


def _fit(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Height and width of the panel: as large as both limits allow, never below one pixel."""
    scale = min(width / size[1], height / size[0])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
