"""Our reading of training samples beside the usual order of work, interleaved, on one core.

`python benchmarks/loader.py` writes pairs of 2048 x 1024 PNG (synthetic streets, which the noise
of their camera makes about 3 MB an image; the masks take 20 kB) and times, in processor time of one
thread:

usual    OpenCV decodes; albumentations scales the whole image, pads, crops, flips, jitters
         colours, normalises, and makes tensors; torch stacks the batch
plain    effunet's own way: FileDataset, Augment, collate
cached   the same with dataset.cache, warm: the pages are in memory, as in a second epoch

All give batches of 768 x 768 crops with labels, scaled by 0.5 to 2, mirrored by halves, the colours
always changed, within the same ranges. The work differs where effunet's does, and is so named: the
hue turns about the grey axis and not in HSV; the crop's window is chosen first and resized by
itself; pixels stay uint8, for the network normalises. `street` is the cached way with the preset as
it is shipped, which now and then blurs and adds noise, too.

Prints, for each way, the median over rounds of the paired ratio to `usual` with its quartiles, and
images a second.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import numpy as np
import torch
from PIL import Image

from effunet.data import synthetic
from effunet.data.augment.augment import Augment, _albumentations
from effunet.data.augment.presets import GREY, PRESETS
from effunet.data.catalog import open_dataset
from effunet.data.dataset import Dataset
from effunet.data.loading.batches import Augmented, collate
from effunet.data.loading.cache import SETTLED
from effunet.data.loading.cache_folder import cached
from effunet.data.loading.sampling import TrainBatches
from effunet.labels import IGNORE

HEIGHT, WIDTH = 1024, 2048
STREET = PRESETS["street"]
SAME_WORK = replace(STREET, steps=(), colour=replace(STREET.colour, chance=1.0))

Way = Callable[[int], None]
"""One epoch, by its number: makes all its batches."""


def main() -> None:
    args = _arguments()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    PRESETS["same work"] = SAME_WORK
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        size = write_pairs(Path(folder) / "data", args.pairs)
        plain = open_dataset(Path(folder) / "data", "train")
        (kept,) = cached([plain], Path(folder) / "cache")
        _settle(kept)
        ways: dict[str, Way] = {
            "usual": usual(plain, args.crop, args.batch),
            "plain": ours(plain, "same work", args.crop, args.batch),
            "cached": ours(kept, "same work", args.crop, args.batch),
            "street": ours(kept, "street", args.crop, args.batch),
        }
        seconds = _interleaved(ways, args.rounds)
    shape = {"pairs": args.pairs, "size": [HEIGHT, WIDTH], "png_mb": round(size / 1e6, 2)}
    run = {"crop": args.crop, "batch": args.batch, "rounds": args.rounds}
    machine = {"cpu": _cpu(), "opencv": cv2.__version__, "load": round(os.getloadavg()[0], 1)}
    results = {name: _summary(seconds, name, args.pairs) for name in ways}
    if args.json:
        print(json.dumps({**shape, **run, **machine, **results}))
        return
    print(f"{args.pairs} pairs of {WIDTH} x {HEIGHT}, {size / 1e6:.1f} MB a PNG; {machine['cpu']}")
    for name, (ratio, low, high, speed) in ((n, r.values()) for n, r in results.items()):
        print(f"{name:7} {ratio:6.2f} x  ({low:.2f} to {high:.2f})  {speed:7.1f} images/s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=8, help="images, and masks, on disk")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=15, help="epochs of each way")
    parser.add_argument("--folder", help="where files are made for the time of the run")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    return parser.parse_args()


def write_pairs(root: Path, count: int) -> float:
    """Write street scenes with their masks; returns the mean bytes of an image file."""
    sizes: list[int] = []
    for index in range(count):
        image, mask = synthetic.render(1, index, HEIGHT, WIDTH)
        for kind, pixels in (("images", image), ("masks", mask)):
            file = root / "train" / kind / f"{index:03d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
        sizes.append((root / "train" / "images" / f"{index:03d}.png").stat().st_size)
    names = ", ".join(synthetic.CLASSES)
    (root / "dataset.yaml").write_text(f"classes: [{names}]\n")
    return statistics.mean(sizes)


def usual(dataset: Dataset, crop: int, batch: int) -> Way:
    """The order that tutorials show: decode, scale, pad, crop, flip, colour, normalise, stack."""
    library = _albumentations()
    from albumentations.pytorch import ToTensorV2

    colour = STREET.colour
    assert colour is not None
    low, high = STREET.scale
    transform = library.Compose(
        [
            library.RandomScale((low - 1, high - 1), p=1.0),
            library.PadIfNeeded(crop, crop, border_mode=0, fill=GREY, fill_mask=IGNORE),
            library.RandomCrop(crop, crop),
            library.HorizontalFlip(p=STREET.flip),
            library.ColorJitter(
                colour.brightness, colour.contrast, colour.saturation, colour.hue, p=1.0
            ),
            library.Normalize(),
            ToTensorV2(),
        ],
        strict=True,
    )
    files = [(str(dataset.image_path(i)), str(dataset.mask_path(i))) for i in range(len(dataset))]

    def sample(index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = files[index]
        pixels = cv2.cvtColor(cv2.imread(image), cv2.COLOR_BGR2RGB)
        done = transform(image=pixels, mask=cv2.imread(mask, cv2.IMREAD_UNCHANGED))
        return done["image"], done["mask"]

    def epoch(number: int) -> None:
        for draws in TrainBatches(len(dataset), batch, 0).epoch(number):
            samples = [sample(draw.image) for draw in draws]
            torch.stack([image for image, _ in samples])
            torch.stack([mask for _, mask in samples])

    return epoch


def ours(dataset: Dataset, preset: str, crop: int, batch: int) -> Way:
    """What a worker of effunet's loader does."""
    augmented = Augmented(dataset, Augment(preset, (crop, crop)), seed=0, skip=False)

    def epoch(number: int) -> None:
        for draws in TrainBatches(len(dataset), batch, 0).epoch(number):
            read = collate([augmented[draw] for draw in draws])
            assert isinstance(read, dict) and "batch" in read

    return epoch


def _settle(kept: Dataset) -> None:
    """Fill the cache, and read it once when its files no longer count as just written."""
    for _ in kept:
        pass
    time.sleep(SETTLED / 1e9 + 0.1)
    for _ in kept:
        pass


def _interleaved(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way's epochs; the order turns from round to round, and one warms up."""
    names, seconds = [*ways], {name: list[float]() for name in ways}
    for number in range(rounds + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.process_time()
            ways[name](number)
            if number > 0:
                seconds[name].append(time.process_time() - start)
    return seconds


def _summary(seconds: dict[str, list[float]], name: str, images: int) -> dict[str, float]:
    ratios = np.array(seconds["usual"]) / np.array(seconds[name])
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    speed = images / _middle(seconds[name])
    facts = {"ratio": middle, "low": low, "high": high, "images_per_second": speed}
    return {key: round(float(value), 2) for key, value in facts.items()}


def _middle(values: Sequence[float]) -> float:
    return statistics.median(values)


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
