"""One image -> its prediction as files: mask, overlay, probabilities."""

import io
from argparse import Namespace

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from effunet import artifact
from effunet.commands.outputs import MASK, OVERLAY, PROBABILITIES, Job
from effunet.infer import predict, predict_mask
from effunet.pictures import mask_png, overlay, png
from effunet.segmenter import Segmenter


def write_results(segmenter: Segmenter, job: Job, arguments: Namespace) -> Int[ndarray, " 256"]:
    """Predict one image and write its results; returns the pixels of each class index."""
    image = segmenter.as_array(job.image)
    if arguments.probabilities:
        prediction = predict(segmenter, image, tile=arguments.tile, flip=arguments.flip)
        mask = prediction.mask
        data = io.BytesIO()
        np.save(data, prediction.probabilities.astype(np.float16))
        files = {PROBABILITIES: data.getvalue()}
    else:
        mask = predict_mask(segmenter, image, tile=arguments.tile, flip=arguments.flip)
        mask, files = mask.cpu().numpy(), {}
    files[MASK] = mask_png(mask, segmenter.labels)
    if arguments.overlay:
        files[OVERLAY] = png(overlay(image, mask, segmenter.labels))
    job.stem.parent.mkdir(parents=True, exist_ok=True)
    for ending, content in files.items():
        artifact.write(job.result(ending), content)
    return np.bincount(mask.reshape(-1), minlength=256)
