"""`effunet explain MODEL --data NAME --measure`: how much maps mean, methods side by side."""

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from effunet import artifact
from effunet.commands.explain.asked import segmenter_of
from effunet.commands.explain.inputs import inputs_of
from effunet.commands.outputs import prepare_file
from effunet.commands.terminal import console, progress, shown
from effunet.errors import DataError, UsageError

if TYPE_CHECKING:
    from effunet.explain.average import Measured, Row

HEADS = {
    "deletion": "deletion v",
    "insertion": "insertion ^",
    "pointing": "pointing % ^",
    "randomised": "randomised v",
    "noise": "noise ^",
}
"""Of each measure, with the direction that is better."""


def run(arguments: Namespace) -> int:
    """Measure, and print a table or JSON."""
    if arguments.data is None:
        raise UsageError("--measure needs the truth: --data NAME")
    for word in ("name", "region", "pixel"):
        if getattr(arguments, word) is not None:
            said = "class" if word == "name" else word
            raise UsageError(f"--measure takes every class of whole images: leave out --{said}")
    segmenter = segmenter_of(arguments)
    given = inputs_of(arguments, segmenter, Path())
    if arguments.out is not None:
        prepare_file(arguments.out)
    from effunet.explain import METHODS
    from effunet.explain.average import measured

    samples = (one.dataset[one.index] for one in given if one.dataset is not None)
    with progress("measure") as tell:
        found = measured(
            segmenter,
            ((sample.image, sample.mask) for sample in samples),
            [*METHODS],
            arguments.layer.split(","),
            lambda done: tell(done, len(given)),
        )
    if not found.maps:
        raise DataError(f"no class of {arguments.data} {arguments.split} is predicted: no map")
    plain = _plain(found, arguments)
    if arguments.json:
        print(json.dumps(plain))
    else:
        _print(found, plain)
    if arguments.out is not None:
        artifact.write(arguments.out, (json.dumps(plain, indent=1) + "\n").encode())
    return 0


def _print(found: "Measured", plain: dict[str, Any]) -> None:
    out = console()
    out.print(
        f"{shown(plain['dataset'])} {plain['split']}: means over {found.maps} maps of "
        f"{found.images} images; v lower is better, ^ higher; by chance a point hits "
        f"{100 * found.chance:.0f} %"
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("map", no_wrap=True)
    table.add_column("layer", no_wrap=True)
    for head in HEADS.values():
        table.add_column(head, justify="right", no_wrap=True)
    for row in found.rows:
        empty = f" ({row.empty} empty)" if row.empty else ""
        table.add_row(row.method + empty, row.layer, *(_cell(row, name) for name in HEADS))
    out.print(table)


def _cell(row: "Row", measure: str) -> str:
    mean = row.mean(measure)
    if mean is None:
        return ""
    return f"{100 * mean:.0f}" if measure == "pointing" else f"{mean:.3f}"


def _plain(found: "Measured", arguments: Namespace) -> dict[str, Any]:
    return {
        "dataset": arguments.data,
        "split": arguments.split,
        "images": found.images,
        "maps": found.maps,
        "chance": found.chance,
        "rows": [
            {
                "method": row.method,
                "layer": row.layer,
                "empty": row.empty,
                **{name: row.mean(name) for name in HEADS},
            }
            for row in found.rows
        ],
    }
