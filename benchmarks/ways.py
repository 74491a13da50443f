"""What tiles, scales and a mirrored image cost, and what they change, on a dataset's images.

`python benchmarks/ways.py SEGMENTER --data camvid --root CAMVID --split test --every 10` prints one
JSON line a way: its time by that of whole images (median of the images, all ways interleaved image
by image), the mIoU of these images, and the share of pixels that agree with the whole image.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from effunet.data.catalog import open_dataset
from effunet.infer import WHOLE, Way, predict_mask
from effunet.metrics.confusion import ConfusionMatrix
from effunet.metrics.scores import Scores
from effunet.segmenter import Segmenter

WAYS = (
    WHOLE,
    Way(tile=256),
    Way(tile=128),
    Way(flip=True),
    Way(scales=(0.75, 1.0, 1.25)),
    Way(flip=True, scales=(0.75, 1.0, 1.25)),
    Way(flip=True, scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75)),
)


def main(arguments: argparse.Namespace) -> None:
    segmenter = Segmenter.load(arguments.segmenter)
    dataset = open_dataset(arguments.data, arguments.split, arguments.root)
    matrices = [ConfusionMatrix(len(segmenter.labels)) for _ in WAYS]
    seconds: list[list[float]] = []
    agree: list[list[float]] = []
    for index in range(0, len(dataset), arguments.every):
        sample = dataset[index]
        masks, took = [], []
        for way in WAYS:
            start = time.perf_counter()
            masks.append(predict_mask(segmenter, sample.image, way))
            took.append(time.perf_counter() - start)
        seconds.append(took)
        agree.append([float((mask == masks[0]).float().mean()) for mask in masks])
        truth = torch.from_numpy(sample.mask)
        for matrix, mask in zip(matrices, masks, strict=True):
            matrix.update(mask[None], truth[None])
    costs = np.median(np.array(seconds) / np.array(seconds)[:, :1], axis=0)
    for way, cost, matrix, same in zip(WAYS, costs, matrices, np.mean(agree, 0), strict=True):
        found = {
            "way": way.describe(),
            "cost": round(float(cost), 2),
            "miou": round(Scores.from_confusion(matrix.compute()).miou, 4),
            "agree": round(float(same), 4),
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("segmenter", type=Path)
    parser.add_argument("--data", default="camvid")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--every", type=int, default=1, help="take every n-th image")
    main(parser.parse_args())
