"""One image -> its prediction as files: mask, overlay, probabilities; a GeoTIFF keeps its place."""

import io
from argparse import Namespace
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float16, Int, UInt8
from numpy import ndarray
from PIL import Image

from effunet import artifact
from effunet.commands.outputs import (
    GEO_MASK,
    GEO_PROBABILITIES,
    MASK,
    OVERLAY,
    PROBABILITIES,
    Job,
)
from effunet.commands.submission import Submission
from effunet.commands.way import way_of
from effunet.data.files.georeference import (
    Georeference,
    gaps,
    mask_tiff,
    probabilities_tiff,
    read_georeference,
)
from effunet.infer import Way, blocks, predict_mask
from effunet.labels import IGNORE, LabelMap
from effunet.pictures.overlay import overlay
from effunet.pictures.palettes import mask_png, palette, png
from effunet.predictor import Predictor


@dataclass(frozen=True)
class Written:
    """What was written of one image: pixels of each class index, and whether it kept a place."""

    pixels: Int[ndarray, " 256"]
    georeferenced: bool


def write_results(
    segmenter: Predictor, job: Job, arguments: Namespace, submission: Submission | None = None
) -> Written:
    """Predict one image and write its results.

    A GeoTIFF gives TIFFs with its georeference, and pixels without data have no class (255).
    """
    image = segmenter.as_array(job.image)
    place = None if submission else read_georeference(job.image)
    empty = None if place is None else gaps(job.image, place)
    way, files = way_of(arguments), dict[str, bytes]()
    if arguments.probabilities:
        mask, probabilities = _predicted(segmenter, image, way)
        if empty is not None:
            probabilities[:, empty] = np.nan
        ending = PROBABILITIES if place is None else GEO_PROBABILITIES
        files[ending] = _probabilities(probabilities, segmenter.labels, place)
    else:
        mask = predict_mask(segmenter, image, way).cpu().numpy()
    if empty is not None:
        mask[empty] = IGNORE
    if submission is not None:
        files[MASK] = submission.encode(mask)
    elif place is not None:
        files[GEO_MASK] = mask_tiff(mask, palette(segmenter.labels), place)
    else:
        files[MASK] = mask_png(mask, segmenter.labels)
    if arguments.overlay:
        files[OVERLAY] = png(overlay(image, mask, segmenter.labels))
    job.stem.parent.mkdir(parents=True, exist_ok=True)
    for ending, content in files.items():
        artifact.write(job.result(ending), content)
    # Pillow counts where the values lie; bincount would first write each with eight bytes.
    pixels = np.array(Image.fromarray(mask).histogram(), np.int64)
    return Written(pixels, place is not None)


def _predicted(
    segmenter: Predictor, image: UInt8[ndarray, "H W C"], way: Way
) -> tuple[UInt8[ndarray, "H W"], Float16[ndarray, "K H W"]]:
    """Classes, decided at full precision, and the probabilities as they are written."""
    size = image.shape[:2]
    mask = np.empty(size, np.uint8)
    probabilities = np.empty((len(segmenter.labels), *size), np.float16)
    for rows, columns, part in blocks(segmenter, image, way):
        mask[rows, columns] = segmenter.decide(part).cpu().numpy()
        probabilities[:, rows, columns] = part.cpu().numpy()
    return mask, probabilities


def _probabilities(
    probabilities: Float16[ndarray, "K H W"], labels: LabelMap, place: Georeference | None
) -> bytes:
    if place is not None:
        return probabilities_tiff(probabilities, labels.names, place)
    data = io.BytesIO()
    np.save(data, probabilities)
    return data.getvalue()
