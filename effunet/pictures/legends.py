"""Ink, paper, and the places of a legend's entries on a drawn sheet."""

from collections.abc import Sequence
from typing import Any

from PIL import ImageDraw

INK, PAPER, QUIET = (32, 33, 36), (255, 255, 255), (110, 114, 120)

LEGEND_LINE = 24
"""Pixels that a line of a legend takes."""


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
