"""Sections of pictures: each embedded in the page, under the legends that say what is seen."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from effunet.evaluation.page import markup
from effunet.evaluation.page.markup import text
from effunet.evaluation.page.parts import Figure, Panel, Section
from effunet.pictures.errors import CLASS_ERRORS, ERRORS, MARKED, confidence_scale

WIDTH = 480
"""Pixels that a picture is wide at most in the page."""

QUALITY = 82
"""Of a photo's JPEG, 0..100."""

LEGENDS = {
    "worst": ("errors", "class errors", "confidence", "classes"),
    "confused": ("marked", "classes"),
    "suspects": ("marked", "classes"),
}
"""What stands above the figures of a section; all of it above those of another kind."""


def gallery(section: Section, facts: dict[str, Any]) -> markup.Block:
    """A section with its figures, under the legends of its kind."""
    kinds = LEGENDS.get(section.key, ("errors", "class errors", "confidence", "classes"))
    legends = "".join(_legend(kind, facts) for kind in kinds)
    figures = "".join(figure_markup(figure) for figure in section.figures)
    return markup.block(
        section.key,
        section.title,
        f'<div class="legends">{legends}</div>{figures}' if figures else "",
        lead=section.lead,
    )


def embedded(panel: Panel) -> tuple[str, int, int]:
    """A picture as a data: address, and its width and height; never wider than WIDTH."""
    picture = Image.fromarray(panel.picture)
    if picture.width > WIDTH:
        size = WIDTH, max(1, round(picture.height * WIDTH / picture.width))
        # Colours of classes must not mix; the edges of a photo would be jagged without.
        how = Image.Resampling.LANCZOS if panel.smooth else Image.Resampling.NEAREST
        picture = picture.resize(size, how)
    data = io.BytesIO()
    if panel.smooth:
        picture.save(data, "JPEG", quality=QUALITY)
    else:
        _few_colours(np.asarray(picture)).save(data, "PNG", optimize=True)
    kind = "jpeg" if panel.smooth else "png"
    address = f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
    return address, picture.width, picture.height


def _few_colours(picture: UInt8[ndarray, "H W 3"]) -> Image.Image:
    """With a palette where the picture has at most 256 colours: a third of the bytes."""
    packed = picture.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours, indices = np.unique(packed, return_inverse=True)
    if len(colours) > 256:
        return Image.fromarray(picture)
    shown = Image.fromarray(indices.reshape(packed.shape).astype(np.uint8))
    shown.putpalette(
        np.stack([colours >> 16, colours >> 8 & 255, colours & 255], 1).astype(np.uint8).tobytes()
    )
    return shown


def _colours(facts: dict[str, Any]) -> list[tuple[str, Sequence[int]]]:
    named = [(c["name"], c["color"]) for c in facts["classes"] if c.get("color")]
    return [*named, ("not counted", (0, 0, 0))] if named else []


def figure_markup(figure: Figure) -> str:
    """Its pictures side by side under its title."""
    panels = "".join(_panel(panel, figure) for panel in figure.panels)
    in_threes = " threes" if len(figure.panels) in (3, 5, 6) else ""
    return (
        f'<figure class="pictures"><figcaption><b>{text(figure.title)}</b> {text(figure.caption)}'
        f'</figcaption><div class="panels{in_threes}">{panels}</div></figure>'
    )


def _panel(panel: Panel, figure: Figure) -> str:
    address, width, height = embedded(panel)
    alt = text(f"{figure.title}: {panel.title}")
    kind = "" if panel.smooth else ' class="map"'
    return (
        f'<div><span class="quiet">{text(panel.title)}</span><img{kind} src="{address}" '
        f'width="{width}" height="{height}" alt="{alt}"></div>'
    )


def _legend(kind: str, facts: dict[str, Any]) -> str:
    if kind == "confidence":
        stops = ",".join(f"rgb{color}" for color in confidence_scale())
        ramp = f'<span class="ramp" style="background:linear-gradient(90deg,{stops})"></span>'
        return f'<p class="legend-line"><b>confidence</b> 0 % {ramp} 100 %</p>'
    entries: Sequence[tuple[str, Sequence[int]]] = {
        "errors": ERRORS,
        "class errors": CLASS_ERRORS,
        "marked": MARKED,
        "classes": _colours(facts),
    }[kind]
    if not entries:
        return ""
    if kind == "classes" and len(entries) > 30:
        return f"<details><summary>classes</summary>{markup.legend(entries)}</details>"
    return f'<div class="legend-line"><b>{kind}</b> {markup.legend(entries)}</div>'
