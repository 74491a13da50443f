"""Samples with their class colours -> one picture to look at, with a legend of what is in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from effunet.labels import IGNORE, LabelMap
from effunet.pictures.legends import INK, LEGEND_LINE, PAPER, QUIET, legend_places, shortened
from effunet.pictures.overlay import shown_image

MARGIN, GAP, CAPTION = 20, 10, 22
"""Pixels: round the sheet, between panels, a line of small text."""

STRENGTH = 0.55
"""Share of the class colour where it is laid over an image."""

STRIPE = 8
"""Pixels from one stripe to the next where nothing is counted."""


@dataclass(frozen=True)
class Panel:
    """An image and its class indices, side by side on the sheet, under a line of text."""

    caption: str
    image: UInt8[ndarray, "H W C"]
    mask: UInt8[ndarray, "H W"]


def draw_sheet(
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[Panel]],
    labels: LabelMap,
    width: int = 1600,
) -> Image.Image:
    """Every panel as image | class colours over it; a row of panels is one sample.

    Args:
        title: the first line.
        headings: one for each panel of a row.
        rows: at least one; all of the same number of panels, images of any sizes.
        labels: names and colours; the legend has those that occur.
        width: of the whole sheet, pixels.
    """
    large, small = (ImageFont.load_default(size=size) for size in (20, 14))
    columns = 2 * len(headings)
    column = (width - 2 * MARGIN - (columns - 1) * GAP) // columns
    heights = [max(_fit(panel, column)[0] for panel in row) for row in rows]
    legend = _legend(rows, labels)
    places = legend_places([name for name, _ in legend], small, width - 2 * MARGIN)
    top = MARGIN + 34 + CAPTION
    bottom = top + sum(height + CAPTION + GAP for height in heights)
    height = bottom + GAP + (places[-1][1] + LEGEND_LINE if places else 0) + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    lefts = [MARGIN + place * (column + GAP) for place in range(columns)]
    draw.text((MARGIN, MARGIN), shortened(draw, title, large, width - 2 * MARGIN), INK, font=large)
    for left, heading in zip(lefts[::2], headings, strict=True):
        draw.text((left, MARGIN + 34), heading, INK, font=small)
    for row, high in zip(rows, heights, strict=True):
        for left, panel in zip(lefts[::2], row, strict=True):
            caption = shortened(draw, panel.caption, small, 2 * column + GAP)
            draw.text((left, top + 2), caption, QUIET, font=small)
            plain, colored = _drawn(panel, _fit(panel, column), labels)
            sheet.paste(plain, (left, top + CAPTION))
            sheet.paste(colored, (left + column + GAP, top + CAPTION))
        top += high + CAPTION + GAP
    for (left, down), (name, index) in zip(places, legend, strict=True):
        x, y = MARGIN + left, bottom + GAP + down
        swatch = Image.fromarray(_colors(np.full((16, 16), index, np.uint8), labels))
        sheet.paste(swatch, (x, y))
        draw.rectangle((x, y, x + 16, y + 16), outline=QUIET)
        draw.text((x + 23, y), name, INK, font=small)
    return sheet


def _drawn(panel: Panel, size: tuple[int, int], labels: LabelMap) -> list[Image.Image]:
    """The image, and the colours over it, both at the size that is shown."""
    shape = size[1], size[0]
    how = Image.Resampling.LANCZOS
    image = np.asarray(Image.fromarray(shown_image(panel.image)).resize(shape, how))
    # Indices must not mix, so that no class is shown that is not there.
    mask = np.asarray(Image.fromarray(panel.mask).resize(shape, Image.Resampling.NEAREST))
    colors = _colors(mask, labels)
    mixed = image * (1 - STRENGTH) + colors * STRENGTH
    return [Image.fromarray(image), Image.fromarray(mixed.round().astype(np.uint8))]


def _colors(mask: UInt8[ndarray, "H W"], labels: LabelMap) -> UInt8[ndarray, "H W 3"]:
    """The class colours; striped grey where nothing is counted."""
    rows, columns = np.indices(mask.shape)
    stripes = np.where((rows + columns) % STRIPE < STRIPE // 2, 230, 90).astype(np.uint8)
    return np.where((mask == IGNORE)[..., None], stripes[..., None], labels.colorize(mask))


def _legend(rows: Sequence[Sequence[Panel]], labels: LabelMap) -> list[tuple[str, int]]:
    """Name and index of all that occurs on the sheet, in the order of the map."""
    seen = np.zeros(256, bool)
    for row in rows:
        for panel in row:
            seen[np.unique(panel.mask)] = True
    entries = [(name, index) for index, name in enumerate(labels.names) if seen[index]]
    return entries + ([("not counted", IGNORE)] if seen[IGNORE] else [])


def _fit(panel: Panel, column: int) -> tuple[int, int]:
    """Height and width that are shown: as wide as the column, unless that is much too tall."""
    height, width = panel.mask.shape
    scale = min(column / width, 1.5 * column / height)
    return max(1, round(height * scale)), max(1, round(width * scale))
