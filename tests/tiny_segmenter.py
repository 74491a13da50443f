"""A segmenter small enough for tests: the real network with narrow stages and random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from effunet.data.dataset import Dataset, Sample
from effunet.evaluation.evaluate import evaluate
from effunet.labels import LabelClass, LabelMap
from effunet.model.decoders.plan import DecoderPlan
from effunet.model.encoder import Numerics
from effunet.model.network import EffUNet, NetworkPlan
from effunet.model.scaling import Plan, Stage
from effunet.segmenter import Segmenter

KEPT = Path(__file__).parent / "fixtures" / "segmenter-format-1.safetensors"
"""Written once by `python tests/tiny_segmenter.py` and never again: later versions must read it."""

LABELS = LabelMap(
    (
        LabelClass("sky", (70, 130, 180), (0,)),
        LabelClass("road", (128, 64, 128), (1,)),
        LabelClass("car", (0, 0, 142), (2,)),
    ),
    ignore=(255,),
)

PLAN = Plan(
    name="tiny",
    stem=4,
    stages=tuple(
        Stage(kernel=3, stride=stride, expansion=1 + (stride > 1), width=4 + 2 * index, repeats=1)
        for index, stride in enumerate((1, 2, 2, 2, 2))
    ),
    head=8,
    resolution=64,
    dropout=0.0,
)


def tiny_segmenter(
    seed: int = 0, labels: LabelMap = LABELS, channels: int = 3, **metadata: Any
) -> Segmenter:
    """Random weights from a seed, with statistics of norms that are not the identity."""
    torch.manual_seed(seed)
    plan = NetworkPlan(
        encoder=PLAN,
        classes=len(labels),
        channels=channels,
        decoder=DecoderPlan("unet", (16, 12, 8, 8, 8)),
        numerics=Numerics.for_channels(channels),
    )
    network = EffUNet.from_plan(plan)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.3, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.3, 1.5)
    # The head's scores far apart: a mask of several classes, and clear winners.
    torch.nn.init.normal_(network.head.weight, std=2.0)
    return Segmenter(network.eval(), labels, metadata)


def random_image(height: int, width: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """Coarse random blocks, which have structure that a mask can follow."""
    noise = np.random.default_rng(seed)
    coarse = noise.integers(0, 256, (-(-height // 8), -(-width // 8), channels), np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)[:height, :width].copy()


def saved(folder: Path, **options: Any) -> Path:
    """A tiny segmenter's file in a folder."""
    file = folder / "segmenter.safetensors"
    tiny_segmenter(**options).save(file)
    return file


class Patterns(Dataset):
    """Three images and masks by arithmetic alone, the same for every version of every library."""

    def __init__(self) -> None:
        super().__init__("patterns", "val", LABELS, ["0", "1", "2"])

    def __getitem__(self, index: int) -> Sample:
        y, x, c = np.mgrid[0:48, 0:64, 0:3]
        image = (y * 5 + x * 3 + c * 50 + (y // 8) * (x // 8) * (31 + index)) % 256
        mask = (y // 8 + x // 16 + index)[..., 0] % 3
        return Sample(image.astype(np.uint8), mask.astype(np.uint8), str(index))


if __name__ == "__main__":
    segmenter = tiny_segmenter(dataset="patterns", training_size=[48, 64])
    segmenter.metadata["scores"] = {"miou": evaluate(segmenter, Patterns()).scores.miou}
    KEPT.parent.mkdir(exist_ok=True)
    segmenter.save(KEPT)
