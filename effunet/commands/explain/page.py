"""`effunet explain MODEL IMAGES --out DIR`: every class that is there, on one HTML page."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from effunet import artifact
from effunet.commands.explain.asked import LEAST, Asked, every_class, inside, segmenter_of
from effunet.commands.explain.inputs import Input, inputs_of
from effunet.commands.outputs import prepare_folder
from effunet.commands.terminal import console, progress, shown
from effunet.errors import DataError, UsageError

if TYPE_CHECKING:
    from effunet.evaluation.page.parts import Figure
    from effunet.explain import Explainer
    from effunet.prediction import Prediction

PAGE = "index.html"
LISTED = 10
"""Lines of a list on the terminal."""


def run(arguments: Namespace) -> int:
    """Explain all of them, write the page, and say what was left out."""
    if arguments.out is None:
        raise UsageError("name where it is to go: --out FILE.png, or --out DIR for a page")
    if arguments.over == "all":
        raise UsageError("--over all goes with one class of one image: --class NAME --out FILE.png")
    if arguments.pixel is not None:
        raise UsageError("--pixel goes with one class of one image: --class NAME --out FILE.png")
    segmenter = segmenter_of(arguments)
    given = inputs_of(arguments, segmenter, arguments.out)
    prepare_folder(arguments.out)
    from effunet.evaluation.page.gallery import figure_markup
    from effunet.evaluation.page.markup import block, text
    from effunet.evaluation.page.page import document
    from effunet.explain import Explainer

    explainer = Explainer(segmenter, arguments.method, arguments.layer)
    figures: list[str] = []
    faults: list[str] = []
    maps = 0
    with progress("explain") as tell:
        for number, one in enumerate(given):
            try:
                figure, count = _figure(explainer, one, arguments)
                figures.append(figure_markup(figure))
                maps += count
            except DataError as error:
                faults.append(str(error))
            tell(number + 1, len(given))
    if not figures:
        raise DataError(faults[0] if len(faults) == 1 else f"no image could be read: {faults[0]}")
    title = f"What {shown(arguments.model)} looks at"
    lead = (
        f"{arguments.method} at {arguments.layer}. A map shows what speaks for a class at the "
        "outlined pixels: those where it is predicted, or, where it is missed, the true ones. Its "
        "largest value is the bright end of the scale; maps of two classes are not to be compared "
        f"in brightness. Classes below {100 * LEAST:g} % of an image are left out."
    )
    blocks = [block("maps", "Maps", _scale(), *figures, lead=lead)]
    page = document(title, f"<h1>{text(title)}</h1>", blocks)
    artifact.write(arguments.out / PAGE, page.encode())
    console().print(
        f"{maps} maps of {len(figures)} images -> {shown(arguments.out / PAGE)}, "
        f"{arguments.method} at {arguments.layer}"
    )
    for fault in faults[:LISTED]:
        print(f"effunet: left out: {shown(fault)}", file=sys.stderr)
    return DataError.exit_code if faults else 0


def _figure(explainer: "Explainer", one: Input, arguments: Namespace) -> "tuple[Figure, int]":
    """An image with its prediction, and a map for each class that is there."""
    from effunet.evaluation.page.parts import Figure, Panel
    from effunet.pictures.heat import heat_overlay
    from effunet.pictures.overlay import shown_image

    segmenter = explainer.segmenter
    prediction, truth = segmenter(one.image()), one.truth()
    names = segmenter.labels.names
    only = None if arguments.name is None else names.index(arguments.name)
    chosen = inside(arguments, one.name, prediction.mask.shape)
    asked = [
        Asked(each.index, each.pixels & chosen, each.missed)
        for each in every_class(len(names), prediction.mask, truth, only)
        if (each.pixels & chosen).any()
    ]
    if not asked:
        what = arguments.name or "no class"
        known = "prediction" if truth is None else "prediction and truth"
        raise DataError(f"{what} is absent from {one.name}, from its {known}")
    found = explainer.each(prediction.image, [(each.index, each.pixels) for each in asked])
    panels = [
        Panel("image", shown_image(prediction.image), smooth=True),
        Panel("prediction", prediction.overlay(), smooth=True),
    ]
    for each, explanation in zip(asked, found, strict=True):
        heat = explanation.map  # made anew when asked for
        said = _said(each, explanation.name, heat, prediction)
        panels.append(Panel(said, heat_overlay(prediction.image, heat, each.pixels), smooth=True))
    return Figure(one.name, _caption(asked, names), tuple(panels)), len(found)


def _said(asked: Asked, name: str, heat: np.ndarray, prediction: "Prediction") -> str:
    sure = prediction.probabilities[asked.index][asked.pixels].mean()
    missed = ", missed" if asked.missed else ""
    if not heat.any():
        return f"{name}{missed}: nothing at this feature speaks for it"
    on = heat[asked.pixels].sum() / heat.sum()
    return (
        f"{name}{missed}: {100 * asked.pixels.mean():.1f} % of the image, "
        f"{100 * sure:.0f} % sure, {100 * on:.0f} % of the map on it"
    )


def _caption(asked: Sequence[Asked], names: Sequence[str]) -> str:
    missed = [names[one.index] for one in asked if one.missed]
    return f"missed: {', '.join(missed)}" if missed else ""


def _scale() -> str:
    from effunet.pictures.heat import coloured

    colours = coloured(np.linspace(0, 1, 9, dtype=np.float32)[None])[0]
    stops = ",".join(f"rgb({r},{g},{b})" for r, g, b in colours.tolist())
    ramp = f'<span class="ramp" style="background:linear-gradient(90deg,{stops})"></span>'
    return (
        f'<div class="legends"><p class="legend-line"><b>map</b> 0 {ramp} 1, '
        "its largest value</p></div>"
    )
