"""A map of values 0..1 laid over its image, with a scale bar that says what the colours mean."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from effunet.pictures.legends import INK, PAPER, QUIET, shortened
from effunet.pictures.overlay import shown_image

COLOURS = "inferno"
"""Of matplotlib: perceptually uniform, and darker for less in grey print and to any eye."""

MARK = (0, 255, 255)
"""Of the outline of what is explained: no colour of the scale."""

GAP, BAR, TICKS = 10, 14, 34
"""Pixels beside the picture, of the bar's width, and for the numbers beside it."""


def coloured(heat: Float[ndarray, "H W"]) -> UInt8[ndarray, "H W 3"]:
    """The colours of values 0..1."""
    return _table()[np.clip(np.rint(heat * 255), 0, 255).astype(np.uint8)]


def heat_overlay(
    image: UInt8[ndarray, "H W C"],
    heat: Float[ndarray, "H W"],
    pixels: Bool[ndarray, "H W"] | None = None,
) -> UInt8[ndarray, "H W 3"]:
    """The map over the image in grey, so that all colour is the map's; pixels are outlined.

    Args:
        image: raw.
        heat: 0..1.
        pixels: what is explained; None, or all of them: no outline.
    """
    grey = np.asarray(Image.fromarray(shown_image(image)).convert("L"), np.float32)
    mixed = 0.45 * grey[..., None] + 0.55 * coloured(heat)
    found = np.rint(mixed).clip(0, 255).astype(np.uint8)
    if pixels is not None and not pixels.all():
        found[_outline(pixels)] = MARK
    return found


def heat_sheet(
    panels: Sequence[tuple[str, UInt8[ndarray, "H W 3"]]], side: int = 480
) -> Image.Image:
    """Pictures of one image side by side with a title each, and the scale bar at the right.

    Args:
        panels: titles and pictures of one size.
        side: pixels of a panel's longer side, at least.
    """
    height, width = panels[0][1].shape[:2]
    scale = max(1.0, side / max(height, width))
    high, wide = round(height * scale), round(width * scale)
    tall = max(high, 96)  # of the scale, whose numbers need room
    font, top = ImageFont.load_default(size=15), 28
    right = len(panels) * (wide + GAP) + GAP
    sheet = Image.new("RGB", (right + BAR + TICKS + GAP, top + tall + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (title, picture) in enumerate(panels):
        left = GAP + place * (wide + GAP)
        draw.text((left, 5), shortened(draw, title, font, wide), INK, font=font)
        shown = Image.fromarray(picture)
        if scale != 1:
            shown = shown.resize((wide, high), Image.Resampling.BICUBIC)
        sheet.paste(shown, (left, top))
    bar = coloured(np.linspace(1, 0, tall, dtype=np.float32)[:, None].repeat(BAR, 1))
    sheet.paste(Image.fromarray(bar), (right, top))
    small = ImageFont.load_default(size=12)
    for value in (1.0, 0.5, 0.0):
        down = round((1 - value) * (tall - 14))
        draw.text((right + BAR + 5, top + down), f"{value:g}", QUIET, small)
    return sheet


def _outline(pixels: Bool[ndarray, "H W"]) -> Bool[ndarray, "H W"]:
    """Those of them that touch one that is not; at one pixel, a cross around it."""
    padded = np.pad(pixels, 1)
    inner = padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
    found = pixels & ~inner
    if pixels.sum() == 1:
        row, column = np.argwhere(pixels)[0]
        reach = max(3, min(pixels.shape) // 40)
        found = found.copy()
        found[max(0, row - reach) : row + reach + 1, column] = True
        found[row, max(0, column - reach) : column + reach + 1] = True
    return found


def _table() -> UInt8[ndarray, "256 3"]:
    import matplotlib

    colours = matplotlib.colormaps[COLOURS](np.arange(256))
    return np.rint(255 * colours[:, :3]).astype(np.uint8)
