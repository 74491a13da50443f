"""`effunet explain MODEL IMAGE --class NAME --out FILE.png`: one map on a sheet with its scale."""

from argparse import Namespace

import numpy as np

from effunet import artifact
from effunet.commands.explain.asked import one_class, segmenter_of
from effunet.commands.outputs import prepare_file
from effunet.commands.terminal import console, shown
from effunet.errors import DataError, UsageError


def run(arguments: Namespace) -> int:
    """Explain it, say where it looks, and draw it."""
    if len(arguments.images) != 1 or arguments.data is not None:
        raise UsageError(
            f"--out {arguments.out} is one picture: name one image and no --data, or a folder"
        )
    image = arguments.images[0]
    if image.is_dir():
        raise UsageError(
            f"--out {arguments.out} is one picture, and {image} a folder: name --out DIR"
        )
    if arguments.name is None:
        raise UsageError("name the class that is to be explained: --class NAME")
    segmenter = segmenter_of(arguments)
    prepare_file(arguments.out)
    from effunet.explain import Explainer
    from effunet.pictures.heat import heat_overlay, heat_sheet
    from effunet.pictures.palettes import png

    prediction = segmenter(image)
    asked = one_class(arguments, segmenter.labels.names, str(image), prediction.mask)
    explainer = Explainer(segmenter, arguments.method, arguments.layer)
    found = explainer(prediction.image, asked.index, asked.pixels)
    if found.empty:
        raise DataError(
            f"nothing in {arguments.layer} speaks for {found.name} there, by {arguments.method}: "
            "try another --layer or --method"
        )
    heat = found.map  # made anew when asked for
    title = f"{found.name}: {arguments.method} at {arguments.layer}"
    panels = [
        (f"{image.name}: prediction", prediction.overlay()),
        (title, heat_overlay(prediction.image, heat, asked.pixels)),
    ]
    artifact.write(arguments.out, png(heat_sheet(panels)))
    out = console()
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    sure = prediction.probabilities[asked.index][asked.pixels].mean()
    on = heat[asked.pixels].sum() / heat.sum()
    out.print(
        f"{shown(found.name)}: {asked.pixels.sum():,} pixels, {100 * sure:.1f} % sure of them; "
        f"largest at x {column}, y {row}; {100 * on:.0f} % of the map lies on these pixels"
    )
    out.print(f"wrote {shown(arguments.out)}")
    return 0
