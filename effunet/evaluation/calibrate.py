"""A temperature, and for two classes a threshold, fitted on a split and kept in the segmenter.

A network that was trained to be right is often too sure of it; dividing its logits by one number
mends the confidence and changes no class (Guo et al., On Calibration of Modern Neural Networks,
2017). The threshold decides where two classes part, by the best mIoU.
"""

import math
from collections.abc import Callable, Sequence

from effunet.data.dataset import Dataset
from effunet.errors import DataError
from effunet.evaluation.evaluate import check_fit
from effunet.infer import Way, predict
from effunet.metrics.calibration import TemperatureFit, ThresholdFit
from effunet.segmenter import Segmenter


def calibrate(
    segmenter: Segmenter,
    dataset: Dataset,
    *,
    way: Way | None = None,
    images: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Segmenter:
    """Fit on a split; what the segmenter was calibrated by before is forgotten.

    Args:
        segmenter: stays as it is.
        dataset: one split, which must not be the one that the numbers are reported on.
        way: as it will be used; None: whole images.
        images: indices of those to fit on; None: all.
        progress: called after each image with (images done, all images).

    Returns:
        A segmenter of the same network with `calibration` in its metadata.

    Raises:
        ModelError: the segmenter's classes or channels are not those of the dataset.
        DataError: an unreadable sample, or no pixel to fit on.
    """
    check_fit(segmenter, dataset)
    plain = segmenter.calibrated(1.0, None)
    classes = len(segmenter.labels)
    temperatures, thresholds = TemperatureFit(classes), ThresholdFit()
    chosen = range(len(dataset)) if images is None else images
    for done, index in enumerate(chosen, 1):
        sample = dataset[index]
        probabilities = predict(plain, sample.image, way or Way()).probabilities
        temperatures.add(probabilities, sample.mask, index)
        if classes == 2:
            thresholds.add(probabilities[1], sample.mask)
        if progress is not None:
            progress(done, len(chosen))
    try:
        temperature = temperatures.fit()
        threshold = thresholds.fit() if classes == 2 else None
    except ValueError as error:
        raise DataError(f"{dataset.name}, split {dataset.split}: {error}") from error
    if threshold is not None:
        threshold = _at(threshold, temperature)
    facts = {"dataset": dataset.name, "split": dataset.split, "images": len(chosen)}
    return segmenter.calibrated(temperature, threshold, **facts)


def _at(threshold: float, temperature: float) -> float:
    """The same border between two classes, in probabilities of another temperature."""
    logit = math.log(threshold / (1 - threshold))
    return 1 / (1 + math.exp(-logit / temperature))
