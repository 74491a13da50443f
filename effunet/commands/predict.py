"""`effunet predict`: images and folders -> one mask an image, at the image's own size."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from effunet import artifact
from effunet.commands.layouts import LAYOUTS
from effunet.commands.models import named
from effunet.commands.outputs import Job, plan, prepare_folder
from effunet.commands.submission import (
    Submission,
    labels_of,
    notices,
    plan_submission,
    submission_of,
)
from effunet.commands.terminal import console, progress, shown
from effunet.commands.way import keep_blocks_for
from effunet.errors import DataError, UsageError
from effunet.labels import IGNORE

LISTED = 10
"""Lines of a list on the terminal, before it ends in a number."""


def run(arguments: Namespace) -> int:
    """Predict all images; 0, or a DataError's exit code where some could not be read."""
    # A wrong model, image or folder is told at once, before torch takes its seconds to load.
    model = named(arguments.model)
    submission = None
    if arguments.layout is None:
        jobs = plan(arguments.images, arguments.out)
    else:
        submission, jobs = _submission(arguments, model.header)
    prepare_folder(arguments.out)

    from effunet.commands.results import write_results

    segmenter = model.load(arguments.device)
    keep_blocks_for(segmenter)
    pixels, placed = np.zeros(256, np.int64), 0
    faults: list[str] = []
    with progress("predict") as tell:
        for index, job in enumerate(jobs):
            try:
                written = write_results(segmenter, job, arguments, submission)
                pixels += written.pixels
                placed += written.georeferenced
            except DataError as error:
                if arguments.strict:
                    raise
                faults.append(str(error))
            tell(index + 1, len(jobs))

    out = console()
    done = len(jobs) - len(faults)
    if done:
        out.print(f"{done} of {len(jobs)} images -> {shown(arguments.out)}{os.sep}")
        if placed:
            out.print(f"{placed} of them GeoTIFFs: .tif masks with their georeference")
        if submission is None:
            out.print("a mask's pixel values are class indices (effunet info lists them); in all:")
        else:
            out.print(f"a mask's pixel values are the ids of {submission.layout.title}; in all:")
        out.print(shown(_shares(pixels, segmenter.labels.names)))
    if faults:
        print(f"effunet: {len(faults)} of {len(jobs)} images failed:", file=sys.stderr)
        for fault in faults[:LISTED]:
            print(f"  {shown(fault)}", file=sys.stderr)
        if len(faults) > LISTED:
            print(f"  and {len(faults) - LISTED} more", file=sys.stderr)
        return DataError.exit_code
    return 0


def _submission(arguments: Namespace, header: artifact.Header) -> tuple[Submission, list[Job]]:
    """What a server is to get, checked before anything is predicted."""
    if arguments.overlay or arguments.probabilities:
        raise UsageError(
            "--layout writes what a server takes and nothing else: leave --overlay and "
            "--probabilities out, and predict a second time into another folder for them"
        )
    layout = LAYOUTS[arguments.layout]
    found = submission_of(layout, labels_of(header.metadata, header.path))
    jobs = plan_submission(layout, arguments.images, arguments.out)
    for notice in notices(found, jobs):
        print(f"effunet: {shown(notice)}", file=sys.stderr)
    return found, jobs


def _shares(pixels: Int[ndarray, " 256"], names: Sequence[str]) -> str:
    """'road 43 %, sky 21 %, ...': the classes that fill at least one pixel in a hundred."""
    shares = 100 * pixels / pixels.sum()
    order = [int(index) for index in np.argsort(-shares[: len(names)], kind="stable")]
    large = [f"{names[index]} {shares[index]:.0f} %" for index in order if shares[index] >= 1]
    small = sum(bool(0 < share < 1) for share in shares[: len(names)])
    parts = [*large, *([f"{small} more below 1 %"] if small else [])]
    return ", ".join(parts + ([f"no data {shares[IGNORE]:.0f} %"] if pixels[IGNORE] else []))
