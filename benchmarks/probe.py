"""What wrong numerics cost pretrained weights: a linear probe on the frozen features of CamVid.

`python benchmarks/probe.py --weights FILE` prints one JSON line a row: the mIoU of pixels on a
split, by the numerics that the probe was fitted with and those that it is applied with. The same
weights run with their own padding and eps, with each of the two wrong, and with both wrong.

A probe fitted with the same wrong numerics can make up for a part of the damage. One fitted with
the right numerics and applied with wrong ones cannot: that is a trained model run with the numerics
of another lineage.

The features of reductions 4 to 32 are brought to cells of 8 x 8 pixels. A ridge regression in
float64, with features of zero mean and unit variance, fits the share of each class in a cell. The
scores are enlarged to the image, never the masks reduced. Nothing is drawn at random.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from effunet.data.catalog import open_dataset
from effunet.data.dataset import Dataset
from effunet.labels import IGNORE
from effunet.metrics.confusion import ConfusionMatrix
from effunet.metrics.scores import Scores
from effunet.model import pretrained
from effunet.model.encoder import EfficientNet, Numerics

CELL = 8  # pixels
WRONG_EPS = 1e-5


@dataclass(frozen=True)
class Probe:
    """Linear scores of each class: standardised features, and 1, times weights."""

    mean: Tensor
    scale: Tensor
    weights: Tensor

    def __call__(self, cells: Tensor) -> Tensor:
        """Give the K scores of each cell, from cells by features."""
        return _with_one((cells - self.mean) / self.scale) @ self.weights


class Sums:
    """What a ridge regression needs of all cells: the sums of products, in float64."""

    def __init__(self, features: int, classes: int) -> None:
        self.gram = torch.zeros(features + 1, features + 1, dtype=torch.float64)
        self.cross = torch.zeros(features + 1, classes, dtype=torch.float64)

    def add(self, cells: Tensor, shares: Tensor) -> None:
        """Add cells by features, and cells by classes; a cell weighs what its shares sum to."""
        rows = _with_one(cells)
        self.gram += rows.T @ (rows * shares.sum(1, keepdim=True))
        self.cross += rows.T @ shares

    def probe(self, ridge: float) -> Probe:
        """Solve for the standardised features; the constant is not held down."""
        total = self.gram[-1, -1]
        mean = self.gram[-1, :-1] / total
        covariance = self.gram[:-1, :-1] / total - mean.outer(mean)
        scale = covariance.diagonal().clamp_min(1e-12).sqrt()
        share = self.cross[-1] / total
        joint = (self.cross[:-1] / total - mean.outer(share)) / scale[:, None]
        correlation = covariance / scale.outer(scale)
        weights = torch.linalg.solve(correlation + ridge * torch.eye(len(scale)), joint)
        return Probe(mean, scale, torch.cat([weights, share[None]]))


def main() -> None:
    args = _arguments()
    start = time.perf_counter()
    encoders = _encoders(args.variant, args.weights)
    right = next(iter(encoders))
    train = open_dataset("camvid", "train", args.root)
    test = open_dataset("camvid", args.split, args.root)
    classes = len(train.labels.classes)

    features = sum(encoders[right].widths[1:])
    sums = {name: Sums(features, classes) for name in encoders}
    for image, mask in _samples(train, args.train_every):
        shares = _shares(mask, classes)
        for name, encoder in encoders.items():
            sums[name].add(_cells(encoder, image), shares)
    probes = {name: sums[name].probe(args.ridge) for name in encoders}

    pairs = [(name, name) for name in encoders]
    pairs += [(right, name) for name in encoders if name != right]
    matrices = {pair: ConfusionMatrix(classes) for pair in pairs}
    for image, mask in _samples(test, args.every):
        cells = {name: _cells(encoder, image) for name, encoder in encoders.items()}
        for (fitted, applied), matrix in matrices.items():
            matrix.update(_predict(probes[fitted], cells[applied], mask.shape), mask[None])

    counts = {"train_images": _count(train, args.train_every), "images": _count(test, args.every)}
    for (fitted, applied), matrix in matrices.items():
        scores = Scores.from_confusion(matrix.compute())
        result = {"miou": scores.miou, "pixel_accuracy": scores.pixel_accuracy}
        row = {"fitted": fitted, "applied": applied, "split": args.split, **counts}
        print(json.dumps(row | {key: round(value, 4) for key, value in result.items()}))
    print(json.dumps({"seconds": round(time.perf_counter() - start)}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="a .safetensors file")
    parser.add_argument("--variant", default="b0", help="the variant that the weights are of")
    parser.add_argument("--root", type=Path, default=Path("data/camvid"), help="where CamVid lies")
    parser.add_argument("--split", default="val", help="the split that is scored")
    parser.add_argument("--train-every", type=int, default=3, help="fit on every n-th train image")
    parser.add_argument("--every", type=int, default=1, help="score every n-th image of the split")
    parser.add_argument("--ridge", type=float, default=1e-3, help="added to the correlations")
    return parser.parse_args()


def _encoders(variant: str, weights: Path) -> dict[str, EfficientNet]:
    """Give the same weights with four numerics, the right ones first."""
    found = pretrained.find(weights, notify=lambda line: None)
    right = found.numerics
    loaded = EfficientNet(variant, numerics=right)
    pretrained.load(loaded, found)
    other = "same" if right.padding == "symmetric" else "symmetric"
    choices = [
        right,
        replace(right, padding=other),
        replace(right, eps=WRONG_EPS),
        replace(right, padding=other, eps=WRONG_EPS),
    ]
    encoders: dict[str, EfficientNet] = {}
    for numerics in choices:
        encoder = EfficientNet(variant, numerics=numerics)
        # pretrained.load refuses wrong numerics, as it should.
        encoder.load_state_dict(loaded.state_dict())
        encoders[_name(numerics)] = encoder.eval().to(memory_format=torch.channels_last)
    return encoders


def _name(numerics: Numerics) -> str:
    return f"{numerics.padding} {numerics.eps:g}"


def _samples(dataset: Dataset, every: int) -> Iterator[tuple[Tensor, Tensor]]:
    for index in range(0, len(dataset), every):
        sample = dataset[index]
        yield torch.from_numpy(sample.image).permute(2, 0, 1), torch.from_numpy(sample.mask)


def _count(dataset: Dataset, every: int) -> int:
    return len(range(0, len(dataset), every))


@torch.inference_mode()
def _cells(encoder: EfficientNet, image: Tensor) -> Tensor:
    """Compute the features of each cell in float64, cells by features, row by row."""
    mean, std = (
        torch.tensor(numbers).view(-1, 1, 1)
        for numbers in (encoder.numerics.mean, encoder.numerics.std)
    )
    batch = ((image / 255 - mean) / std)[None].contiguous(memory_format=torch.channels_last)
    quarter, *coarser = encoder.features(batch)[1:]
    rows, columns = (-(-size // CELL) for size in image.shape[-2:])
    levels = [F.avg_pool2d(quarter, 2, ceil_mode=True, count_include_pad=False)]
    for level, factor in zip(coarser, (1, 2, 4), strict=True):
        # By the exact factor and cut, for a level's last cells may reach beyond the image.
        wide = F.interpolate(level, scale_factor=factor, mode="bilinear") if factor > 1 else level
        levels.append(wide[..., :rows, :columns])
    return torch.cat(levels, 1)[0].flatten(1).T.double()


def _shares(mask: Tensor, classes: int) -> Tensor:
    """Compute the share of each class in each cell, cells by classes; what is ignored has none."""
    height, width = mask.shape
    padded = F.pad(mask, (0, -width % CELL, 0, -height % CELL), value=IGNORE).long()
    hot = F.one_hot(padded.where(padded != IGNORE, classes), classes + 1)[..., :classes]
    return F.avg_pool2d(hot.permute(2, 0, 1).double(), CELL).flatten(1).T


def _predict(probe: Probe, cells: Tensor, size: torch.Size) -> Tensor:
    """Classify every pixel: enlarge the cells' scores by the exact factor, cut, take the best."""
    rows, columns = (-(-length // CELL) for length in size)
    scores = probe(cells).T.reshape(1, -1, rows, columns)
    wide = F.interpolate(scores, scale_factor=CELL, mode="bilinear")
    return wide[..., : size[0], : size[1]].argmax(1)


def _with_one(rows: Tensor) -> Tensor:
    return torch.cat([rows, rows.new_ones(len(rows), 1)], 1)


if __name__ == "__main__":
    main()
