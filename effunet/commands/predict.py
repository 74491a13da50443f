"""`effunet predict`: images and folders -> one palette PNG an image, at the image's own size."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from effunet import artifact
from effunet.commands.outputs import plan, prepare_folder
from effunet.commands.terminal import console, progress, shown
from effunet.errors import DataError

LISTED = 10
"""Lines of a list on the terminal, before it ends in a number."""


def run(arguments: Namespace) -> int:
    """Predict all images; 0, or a DataError's exit code where some could not be read."""
    # A wrong model, image or folder is told at once, before torch takes its seconds to load.
    artifact.inspect(arguments.model)
    jobs = plan(arguments.images, arguments.out)
    prepare_folder(arguments.out)

    from effunet.commands.results import write_results
    from effunet.segmenter import Segmenter

    segmenter = Segmenter.load(arguments.model, arguments.device)
    pixels = np.zeros(256, np.int64)
    faults: list[str] = []
    with progress("predict") as tell:
        for index, job in enumerate(jobs):
            try:
                pixels += write_results(segmenter, job, arguments)
            except DataError as error:
                if arguments.strict:
                    raise
                faults.append(str(error))
            tell(index + 1, len(jobs))

    out = console()
    done = len(jobs) - len(faults)
    if done:
        out.print(f"{done} of {len(jobs)} images -> {shown(arguments.out)}{os.sep}")
        out.print("a mask's pixel values are class indices (effunet info lists them); in all:")
        out.print(shown(_shares(pixels, segmenter.labels.names)))
    if faults:
        print(f"effunet: {len(faults)} of {len(jobs)} images failed:", file=sys.stderr)
        for fault in faults[:LISTED]:
            print(f"  {shown(fault)}", file=sys.stderr)
        if len(faults) > LISTED:
            print(f"  and {len(faults) - LISTED} more", file=sys.stderr)
        return DataError.exit_code
    return 0


def _shares(pixels: Int[ndarray, " 256"], names: Sequence[str]) -> str:
    """'road 43 %, sky 21 %, ...': the classes that fill at least one pixel in a hundred."""
    shares = 100 * pixels[: len(names)] / pixels.sum()
    order = [int(index) for index in np.argsort(-shares, kind="stable")]
    large = [f"{names[index]} {shares[index]:.0f} %" for index in order if shares[index] >= 1]
    small = sum(bool(0 < share < 1) for share in shares)
    return ", ".join(large) + (f", {small} more below 1 %" if small else "")
