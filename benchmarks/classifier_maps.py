"""An EfficientNet that is told which classes an image holds, and never where; its maps then point.

    python benchmarks/classifier_maps.py --weights imagenet --out docs/classifier_maps.jpg

Crops of synthetic street scenes and the names of what is in them train a B0 with a classifier
head, briefly. Printed: how well it names what is there, and the pointing game of its CAM, CAM's
rivals and a random place, on crops it has not seen. The picture is that of the article's first
figure (Tan & Le 2019), of one network.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from effunet.data.catalog import open_dataset
from effunet.data.dataset import Dataset
from effunet.explain import class_activation_map, gradient_map
from effunet.model import pretrained
from effunet.model.encoder import EfficientNet
from effunet.pictures.heat import heat_overlay, heat_sheet

CLASSES = ("Building", "Tree", "Car", "Pedestrian", "Bicyclist", "SignSymbol")
CROP, BATCH, LEAST = 128, 16, 0.01
METHODS = ("cam", "grad-cam++", "layer-cam")


def crops(dataset: Dataset, count: int, seed: int) -> tuple[ndarray, ndarray]:
    """Images and index masks of random crops: N CROP CROP (3)."""
    draw = np.random.default_rng(seed)
    images, masks = [], []
    for number in range(count):
        sample = dataset[number % len(dataset)]
        top, left = (int(draw.integers(0, side - CROP + 1)) for side in sample.mask.shape)
        part = slice(top, top + CROP), slice(left, left + CROP)
        images.append(sample.image[part])
        masks.append(sample.mask[part])
    return np.stack(images), np.stack(masks)


def normalised(network: EfficientNet, images: UInt8[ndarray, "N H W 3"]) -> Tensor:
    """As the encoder takes them."""
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in
                 (network.numerics.mean, network.numerics.std))  # fmt: skip
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - mean) / std


def main() -> None:
    """Train, measure, draw."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--weights", default="none", help="a file, or imagenet from the hub")
    words.add_argument("--steps", type=int, default=150)
    words.add_argument("--scenes", type=int, default=300)
    words.add_argument("--out", type=Path)
    arguments = words.parse_args()
    torch.manual_seed(0)
    train, val = (open_dataset("synthetic", split) for split in ("train", "val"))
    places = [train.labels.names.index(name) for name in CLASSES]

    found = None
    if arguments.weights != "none":
        found = pretrained.find(arguments.weights, variant="b0")
    network = EfficientNet(
        "b0", classifier=True, classes=len(CLASSES),
        numerics=pretrained.numerics_for(found, 3) if found else None,
    )  # fmt: skip
    if found is not None:
        # Of the features alone: head and classifier are fresh, as the classes are others.
        encoder = EfficientNet("b0", numerics=network.numerics)
        pretrained.load(encoder, found)
        network.load_state_dict(encoder.state_dict(), strict=False)
    images, masks = crops(train, arguments.scenes, 1)
    there = torch.from_numpy(presence(masks, places))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
    draw, start = np.random.default_rng(2), time.perf_counter()
    network.train()
    for step in range(arguments.steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 20) * (1 - step / arguments.steps)
        chosen = draw.choice(len(images), BATCH, replace=False)
        scores = network(normalised(network, images[chosen]))
        loss = F.binary_cross_entropy_with_logits(scores, there[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"{arguments.steps} steps of {BATCH} crops: {time.perf_counter() - start:.0f} s")
    network.eval()
    measure(network, *crops(val, 96, 3), places)
    if arguments.out is not None:
        picture(network, val, places).convert("RGB").save(arguments.out, quality=88)
        print(f"wrote {arguments.out}")


def presence(masks: ndarray, places: list[int]) -> Float[ndarray, "N K"]:
    """1 where a class has at least LEAST of the pixels."""
    shares = np.stack([(masks == place).mean((1, 2)) for place in places], 1)
    return (shares >= LEAST).astype(np.float32)


def maps(network: EfficientNet, image: Tensor, index: int) -> dict[str, ndarray]:
    """Each method's, enlarged to the image, 0..1."""
    coarse = {"cam": class_activation_map(network, image, index)}
    coarse |= {name: gradient_map(network, image, index, name) for name in METHODS[1:]}
    size = image.shape[-2:]
    large = {
        name: F.interpolate(one[None, None], size=size, mode="bilinear")[0, 0]
        for name, one in coarse.items()
    }
    return {name: (one / one.max().clamp(min=1e-30)).numpy() for name, one in large.items()}


def measure(network: EfficientNet, images: ndarray, masks: ndarray, places: list[int]) -> None:
    """Name what is there; point at it."""
    batch, truth = normalised(network, images), presence(masks, places)
    with torch.no_grad():
        said = np.concatenate([network(part).sigmoid().numpy() for part in batch.split(BATCH)])
    print(f"{'class':<12}{'there %':>8}{'named right %':>15}{'   points on it %: '}", end="")
    print("  ".join(METHODS), "  by chance")
    total = {name: [] for name in (*METHODS, "chance")}
    for index, (name, place) in enumerate(zip(CLASSES, places, strict=True)):
        hits = {key: [] for key in total}
        for number in np.flatnonzero(truth[:, index]):
            for method, heat in maps(network, batch[number : number + 1], index).items():
                hits[method].append(masks[number].flat[heat.argmax()] == place)
            hits["chance"].append((masks[number] == place).mean())
        for key, values in hits.items():
            total[key] += values
        right = ((said[:, index] > 0.5) == truth[:, index]).mean()
        cells = "  ".join(f"{100 * np.mean(values):5.0f}" for values in hits.values())
        print(f"{name:<12}{100 * truth[:, index].mean():8.0f}{100 * right:15.0f}{'':20}{cells}")
    cells = "  ".join(f"{100 * np.mean(values):5.0f}" for values in total.values())
    right = ((said > 0.5) == truth).mean()
    print(f"{'all':<12}{100 * truth.mean():8.0f}{100 * right:15.0f}{'':20}{cells}")


def picture(network: EfficientNet, val: Dataset, places: list[int]) -> Image.Image:
    """A whole scene, and the CAM of three classes that it holds."""
    shown = ("Tree", "Car", "Pedestrian")
    wanted = [places[CLASSES.index(name)] for name in shown]
    sample = next(s for s in val if all((s.mask == place).mean() >= LEAST for place in wanted))
    batch = normalised(network, sample.image[None])
    panels = [("a scene", sample.image)]
    for name in shown:
        heat = maps(network, batch, CLASSES.index(name))["cam"]
        pixels = sample.mask == places[CLASSES.index(name)]
        panels.append((f"CAM of {name}, outlined: truth", heat_overlay(sample.image, heat, pixels)))
    return heat_sheet(panels, side=320)


if __name__ == "__main__":
    main()
