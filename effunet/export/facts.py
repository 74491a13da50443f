"""The metadata of an export: all that a program without effunet needs to use it."""

from typing import Any

from effunet import artifact
from effunet.export.graph import Output
from effunet.runtime import FORMAT, VERSION
from effunet.segmenter import Segmenter

KEPT = (
    *("network", "labels", "ignore_index", "channels", "value_range", "mean", "std"),
    *("training_size", "dataset", "scores", "calibration", "pixel_ranges", "parameters", "macs"),
)
"""Of a segmenter's own metadata."""


def facts_of(segmenter: Segmenter, output: Output, precision: str) -> dict[str, Any]:
    """Plain JSON; the proof is added when there is one."""
    known = segmenter.to_plain()
    return {
        **{key: known[key] for key in KEPT if key in known},
        "format": FORMAT,
        "version": VERSION,
        "library": artifact.library(),
        "output": output,
        "precision": precision,
    }
