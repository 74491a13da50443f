"""Candidates of the efficient decoder beside the U-Net's: what each costs, and what it learns.

`python benchmarks/decoders.py cost --out DIR` measures multiply-adds, parameters, latency, the time
of a training step and the bytes that it saves for the backward pass, all candidates in turn. `...
learn NAME --seed 1 --root CAMVID --weights FILE --out DIR` trains one on CamVid under the small
budget and evaluates it on the validation split. Each run writes one JSON; `... table DIR` prints
the table of them.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from effunet.allocator import keep_large_blocks
from effunet.model.blocks import MBConv
from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet


@dataclass(frozen=True)
class Design:
    """What tells the candidates apart."""

    block: Literal["separable", "inverted", "conv"]
    blocks: int = 1  # a level
    join: Literal["add", "concat"] = "add"
    upsampling: Literal["bilinear", "subpixel", "nearest"] = "bilinear"
    context: bool = False  # an MBConv of kernel 7 at reduction 32
    widths: tuple[int, ...] = (128, 96, 64)  # reduction 16, 8, ... of the head


DESIGNS = {
    "separable": Design("separable", blocks=2, join="concat"),
    "conv": Design("conv"),
    "conv, head 2": Design("conv", widths=(128, 64, 48, 24)),
    "inverted": Design("inverted"),
    "inverted, concat": Design("inverted", join="concat"),
    "inverted, two": Design("inverted", blocks=2, widths=(128, 64, 48)),
    "inverted, context": Design("inverted", context=True),
    "inverted, subpixel": Design("inverted", upsampling="subpixel"),
}


def conv_norm(inputs: int, outputs: int, kernel: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class Inverted(nn.Module):
    """An inverted bottleneck of expansion 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = 2 * width
        self.branch = nn.Sequential(
            *conv_norm(width, inner),
            nn.ReLU(inplace=True),
            *conv_norm(inner, inner, 3, inner),
            nn.ReLU(inplace=True),
            *conv_norm(inner, width),
        )

    def forward(self, feature: Tensor) -> Tensor:
        return feature + self.branch(feature)


def mixing(kind: str, width: int) -> nn.Module:
    if kind == "inverted":
        return Inverted(width)
    if kind == "separable":
        depthwise = conv_norm(width, width, 3, width)
        return nn.Sequential(*depthwise, *conv_norm(width, width), nn.ReLU(inplace=True))
    return nn.Sequential(*conv_norm(width, width, 3), nn.ReLU(inplace=True))


class Level(nn.Module):
    """Double the size, take in the skip, mix."""

    def __init__(self, design: Design, inputs: int, skip: int, width: int) -> None:
        super().__init__()
        self.design = design
        if design.upsampling == "subpixel":
            self.spread = nn.Conv2d(inputs, 4 * width, 1, bias=False)
        elif design.join == "add":
            self.spread = nn.Conv2d(inputs, width, 1, bias=False)
        else:
            self.spread = nn.Identity()
        if design.join == "add":
            self.lateral = nn.Conv2d(skip, width, 1, bias=False)
            self.norm = nn.BatchNorm2d(width)
        else:
            self.lateral = nn.Sequential(*conv_norm(inputs + skip, width))
            self.norm = nn.Identity()
        self.mix = nn.Sequential(*(mixing(design.block, width) for _ in range(design.blocks)))

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        spread = self.spread(coarse)
        if self.design.upsampling == "subpixel":
            fine = F.pixel_shuffle(spread, 2)
        else:
            fine = F.interpolate(spread, size=skip.shape[-2:], mode=self.design.upsampling)
        if self.design.join == "add":
            joined = self.norm(fine + self.lateral(skip))
        else:
            joined = self.lateral(torch.cat([fine, skip], 1))
        return self.mix(F.relu(joined, inplace=True))


class Candidate(nn.Module):
    """A pyramid in, a feature at the reduction of the head out."""

    def __init__(self, design: Design, pyramid: Sequence[int]) -> None:
        super().__init__()
        *skips, coarsest = pyramid
        self.context = (
            MBConv(coarsest, coarsest, kernel=7, stride=1, expansion=1)
            if design.context
            else nn.Identity()
        )
        inputs = (coarsest, *design.widths[:-1])
        self.levels = nn.ModuleList(
            Level(design, *three)
            for three in zip(inputs, reversed(skips), design.widths, strict=False)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pyramid: tuple[Tensor, ...]) -> Tensor:
        *skips, feature = pyramid
        feature = self.context(feature)
        for level, skip in zip(self.levels, reversed(skips), strict=False):
            feature = level(feature, skip)
        return feature


def network_of(name: str, encoder: str, classes: int) -> EffUNet:
    network = EffUNet(EfficientNet(encoder), classes)
    if name == "unet":
        return network
    design = DESIGNS[name]
    network.decoder = Candidate(design, network.encoder.widths)  # pyright: ignore
    network.head = nn.Conv2d(design.widths[-1], classes, 1)
    return network


def gmacs(network: nn.Module, size: int) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.to("meta")(torch.empty(1, 3, size, size, device="meta"))
    return counter.get_total_flops() / 2e9


def cost(args: argparse.Namespace) -> None:
    keep_large_blocks()
    torch.set_num_threads(args.threads)
    names = ("unet", *DESIGNS)
    rows: dict[str, dict[str, Any]] = {}
    work: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {}
    for name in names:
        network = network_of(name, args.encoder, args.classes)
        rows[name] = {
            "name": name,
            "kind": "cost",
            "encoder": args.encoder,
            "parameters": sum(p.numel() for p in network.parameters()),
            "gmacs": gmacs(network_of(name, args.encoder, args.classes), 512),
            "saved_mb": saved(network, args.classes) / 1e6,
        }
        work[name] = (inference(network, 512), training(network, args.classes))
    times: dict[str, list[list[float]]] = {name: [] for name in names}
    for _ in range(args.rounds + 1):
        for name in names:
            taken = []
            for act in work[name]:
                start = time.process_time()
                act()
                taken.append(time.process_time() - start)
            times[name].append(taken)
    for name in names:
        forward, step = zip(*times[name][1:], strict=True)
        rows[name] |= {
            "forward_s": statistics.median(forward),
            "step_s": statistics.median(step),
            "threads": args.threads,
        }
        write(args.out, f"cost {name}", rows[name])
        print(json.dumps(rows[name]), flush=True)


def inference(network: nn.Module, size: int) -> Callable[[], Any]:
    image = torch.randn(1, 3, size, size).contiguous(memory_format=torch.channels_last)
    network.to(memory_format=torch.channels_last)

    def act() -> None:
        network.eval()
        with torch.inference_mode():
            network(image)

    return act


def training(network: nn.Module, classes: int) -> Callable[[], Any]:
    image = 255 * torch.rand(4, 3, 256, 256).contiguous(memory_format=torch.channels_last)
    mask = torch.randint(classes, (4, 256, 256))
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def act() -> None:
        network.train()
        optimizer.zero_grad()
        F.cross_entropy(network(image), mask).backward()
        optimizer.step()

    return act


def saved(network: nn.Module, classes: int) -> int:
    """Bytes that a training step of 4 images of 256 x 256 saves, each storage once."""
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    found: dict[int, int] = {}
    held: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
            held.append(tensor)
        return tensor

    network.train()
    image = 255 * torch.rand(4, 3, 256, 256).contiguous(memory_format=torch.channels_last)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        F.cross_entropy(network(image), torch.randint(classes, (4, 256, 256)))
    return sum(found.values())


def learn(args: argparse.Namespace) -> None:
    from effunet.data.loading.loader import SegmentationData
    from effunet.evaluation.evaluate import evaluate
    from effunet.model import pretrained
    from effunet.segmenter import Segmenter
    from effunet.training.config.schema import Config
    from effunet.training.parts import augment_of, epochs_of, find_classes, loss_of, opened
    from effunet.training.recipe.optim import build_optimizer
    from effunet.training.recipe.schedule import schedule

    keep_large_blocks()
    torch.set_num_threads(args.threads)
    config = Config()
    config.dataset.name, config.dataset.root = "camvid", str(args.root)
    config.dataset.crop = [args.crop, args.crop]
    config.augment.preset = "light"
    config.optim.encoder_lr_factor = 0.3
    config.seed, config.num_workers = args.seed, 0
    train, val = (opened(config.dataset, split) for split in ("train", "val"))
    torch.manual_seed(args.seed)
    network = network_of(args.name, args.encoder, len(train.labels))
    if args.weights is not None:
        pretrained.load(network.encoder, pretrained.find(str(args.weights)))
    network.to(memory_format=torch.channels_last)
    data = SegmentationData(
        train,
        val,
        augment_of(config, 3),
        batch_size=args.batch,
        num_workers=0,
        seed=args.seed,
        epochs=epochs_of(config, train, find_classes(config, train, lambda *_: None)),
    )
    loss = loss_of(config, len(train.labels))
    optimizer = build_optimizer(network, config.optim)
    law = schedule(optimizer, config.optim, args.steps)
    start, losses = time.perf_counter(), list[float]()
    torch.manual_seed(args.seed)
    network.train()
    with closing(data):
        for step, batch in zip(range(1, args.steps + 1), data.train_dataloader(), strict=False):
            optimizer.zero_grad()
            value = loss(network(batch["image"]), batch["mask"])
            value.backward()
            optimizer.step()
            law.step()
            losses.append(value.item())
            if step % 25 == 0:
                seconds = time.perf_counter() - start
                print(
                    f"{args.name} {step} {statistics.mean(losses[-25:]):.4f} {seconds:.0f} s",
                    flush=True,
                )
    seconds = time.perf_counter() - start
    network.eval()
    report = evaluate(Segmenter(network, val.labels), val, resamples=0)
    row = {
        "name": args.name,
        "kind": "learn",
        **{key: getattr(args, key) for key in ("encoder", "seed", "steps", "crop", "batch")},
        "miou": report.scores.miou,
        "seconds": seconds,
        "loss": statistics.mean(losses[-25:]),
        "classes": {c["name"]: c["iou"] for c in report.to_plain()["classes"]},
    }
    write(args.out, f"learn {args.name} {args.steps} seed {args.seed}", row)
    print(json.dumps({k: v for k, v in row.items() if k != "classes"}), flush=True)


def write(folder: Path, name: str, row: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name.replace(', ', '-').replace(' ', '-')}.json").write_text(json.dumps(row))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/decoders"))
    parser.add_argument("--encoder", default="b0")
    parser.add_argument("--threads", type=int, default=1)
    actions = parser.add_subparsers(required=True)
    costs = actions.add_parser("cost")
    costs.set_defaults(act=cost)
    costs.add_argument("--classes", type=int, default=19)
    costs.add_argument("--rounds", type=int, default=5)
    learning = actions.add_parser("learn")
    learning.set_defaults(act=learn)
    learning.add_argument("name", choices=("unet", *DESIGNS))
    learning.add_argument("--root", type=Path)
    learning.add_argument("--weights", type=Path)
    learning.add_argument("--seed", type=int, default=1)
    learning.add_argument("--steps", type=int, default=250)
    learning.add_argument("--crop", type=int, default=192)
    learning.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    args.act(args)


if __name__ == "__main__":
    main()
