"""Tiles against the whole image with a network that was trained, on real images.

Squeeze-and-excitation looks at the mean of all that it is given, so a tile is never quite the
same part of the whole image: how close it comes is measured here, and stated.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from effunet.data.catalog import open_dataset
from effunet.infer import Way, predict
from effunet.infer.tiles import windows
from effunet.segmenter import Segmenter

CAMVID = Path(
    os.environ.get("CAMVID") or Path(__file__).resolve().parents[3] / "shared" / "data" / "camvid"
)
SEGMENTER = Path(os.environ.get("CAMVID_SEGMENTER", "no such file"))
WIDTH, TILE, IMAGES = 480, 256, 6


@pytest.mark.long
@pytest.mark.skipif(
    not (CAMVID.is_dir() and SEGMENTER.exists()),
    reason="needs CamVid and a segmenter that was trained on it: set CAMVID and CAMVID_SEGMENTER",
)
def test_tiles_of_256_agree_with_the_whole_image_on_93_of_100_pixels_and_leave_no_seam() -> None:
    segmenter, dataset = Segmenter.load(SEGMENTER), open_dataset("camvid", "test", CAMVID)
    agree, change, steps = list[float](), list[float](), np.zeros(WIDTH)
    for index in range(0, len(dataset), len(dataset) // IMAGES):
        image = dataset[index].image
        whole, tiled = segmenter(image), predict(segmenter, image, Way(tile=TILE))
        moved = tiled.probabilities - whole.probabilities
        agree.append(float((whole.mask == tiled.mask).mean()))
        change.append(float(np.abs(moved).sum(0).mean() / 2))
        steps[1:] += np.abs(np.diff(moved, axis=2)).sum((0, 1))
    assert np.mean(agree) > 0.93
    # Half the sum of absolute differences: the probability that moved to another class.
    assert np.mean(change) < 0.08
    stretches = [stretch for stretch, _ in windows(WIDTH, TILE)]
    borders = [s.start for s in stretches[1:]] + [s.stop for s in stretches[:-1]]
    assert steps[borders].mean() < 1.25 * np.delete(steps, [0, *borders]).mean()
