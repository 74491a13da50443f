"""Candidates of the efficient decoder beside the U-Net's: what each costs, and what it learns.

`python benchmarks/decoders.py cost` measures multiply-adds, parameters, the latency of the plain
network, the time of a training step, and the bytes that it saves for its backward pass; all take
turns. `... learn NAME --seed 1 --root CAMVID --weights FILE` trains one on CamVid under a small
budget and evaluates it on the validation split. Each run writes one JSON into `--out`; `... table`
prints the table of all of them.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from decoder_designs import DESIGNS, network_of
from memory import saved_bytes
from torch import Tensor, nn

from effunet.allocator import keep_large_blocks
from effunet.data.loading.loader import SegmentationData
from effunet.evaluation.evaluate import evaluate
from effunet.model import pretrained
from effunet.model.raw import count_macs
from effunet.segmenter import Segmenter
from effunet.training.config.schema import Config
from effunet.training.parts import augment_of, epochs_of, loss_of, opened
from effunet.training.recipe.optim import build_optimizer
from effunet.training.recipe.schedule import schedule

NAMES = ("unet", "efficient", *DESIGNS)
TOLD = 25  # steps between two lines


def cost(args: argparse.Namespace) -> None:
    """Measure what each candidate costs, one thread by processor time."""
    keep_large_blocks()
    torch.set_num_threads(1)
    networks = {name: network_of(name, args.encoder, args.classes) for name in NAMES}
    work = {name: (_inference(network), _training(network)) for name, network in networks.items()}
    times: dict[str, list[list[float]]] = {name: [] for name in NAMES}
    for _ in range(args.rounds + 1):  # the first is not counted
        for name in NAMES:
            times[name].append([_taken(act) for act in work[name]])
    unet = list(zip(*times["unet"][1:], strict=True))
    for name, network in networks.items():
        forward, step = zip(*times[name][1:], strict=True)
        row = {
            "name": name,
            "encoder": args.encoder,
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "saved_mb": _saved(network) / 1e6,
            "gmacs": count_macs(partial(network_of, name, args.encoder, args.classes), 3, 512, 512)
            / 1e9,
            "forward": _ratio(unet[0], forward),
            "step": _ratio(unet[1], step),
        }
        _write(args.out, f"cost {name}", row)


def learn(args: argparse.Namespace) -> None:
    """Train one on CamVid, and evaluate it on the validation split."""
    keep_large_blocks()
    torch.set_num_threads(args.threads)
    config = Config()
    config.dataset.name, config.dataset.root = "camvid", str(args.root)
    config.dataset.crop = [args.crop, args.crop]
    config.augment.preset = "light"
    config.optim.encoder_lr_factor = 0.3
    config.seed = args.seed
    train, val = (opened(config.dataset, split) for split in ("train", "val"))
    torch.manual_seed(args.seed)
    network = network_of(args.name, args.encoder, len(train.labels))
    pretrained.load(network.encoder, pretrained.find(str(args.weights)))
    network.to(memory_format=torch.channels_last).train()
    data = SegmentationData(
        train,
        val,
        augment_of(config, 3),
        batch_size=args.batch,
        num_workers=0,
        seed=args.seed,
        epochs=epochs_of(config, train, None),
    )
    loss = loss_of(config, len(train.labels))
    optimizer = build_optimizer(network, config.optim)
    law = schedule(optimizer, config.optim, args.steps)
    losses: list[float] = []
    start = time.perf_counter()
    with closing(data):
        for step, batch in zip(range(1, args.steps + 1), data.train_dataloader(), strict=False):
            optimizer.zero_grad()
            value = loss(network(batch["image"]), batch["mask"])
            value.backward()
            optimizer.step()
            law.step()
            losses.append(value.item())
            if step % TOLD == 0:
                seconds = time.perf_counter() - start
                recent = statistics.mean(losses[-TOLD:])
                print(f"{args.name}: step {step}, loss {recent:.4f}, {seconds:.0f} s", flush=True)
    seconds = time.perf_counter() - start
    report = evaluate(Segmenter(network.eval(), val.labels), val, resamples=0)
    row = {key: getattr(args, key) for key in ("name", "encoder", "seed", "steps", "crop", "batch")}
    row |= {
        "miou": report.scores.miou,
        "loss": statistics.mean(losses[-TOLD:]),
        "seconds": seconds,
        "classes": {entry["name"]: entry["iou"] for entry in report.to_plain()["classes"]},
    }
    _write(args.out, f"learn {args.name} {args.steps} seed {args.seed}", row)


def table(args: argparse.Namespace) -> None:
    """Print what the JSON files of a folder say, as a table of Markdown."""
    rows = [json.loads(file.read_text()) for file in sorted(args.out.glob("*.json"))]
    costs = {row["name"]: row for row in rows if "gmacs" in row}
    learnt: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        if "miou" in row:
            learnt.setdefault((row["name"], row["steps"]), []).append(row)
    steps = sorted({count for _, count in learnt})
    budgets = " | ".join(f"val mIoU, {count} steps" for count in steps)
    print(f"| decoder | GMACs | parameters | forward | step | saved MB | {budgets} |")
    print("|---" * (6 + len(steps)) + "|")
    for name in NAMES:
        if name not in costs:
            continue
        row = costs[name]
        found = [
            ", ".join(f"{100 * run['miou']:.1f}" for run in learnt.get((name, count), []))
            for count in steps
        ]
        print(
            f"| {name} | {row['gmacs']:.2f} | {row['parameters'] / 1e6:.2f} M"
            f" | {row['forward']:.2f} | {row['step']:.2f} | {row['saved_mb']:.0f}"
            f" | {' | '.join(found)} |"
        )


def _inference(network: nn.Module) -> Callable[[], object]:
    image = 255 * torch.rand(1, 3, 512, 512).contiguous(memory_format=torch.channels_last)
    network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def act() -> Tensor:
        return network.eval()(image)

    return act


def _training(network: nn.Module) -> Callable[[], object]:
    image, mask = _batch()
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def act() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network.train()(image), mask).backward()
        optimizer.step()

    return act


def _batch() -> tuple[Tensor, Tensor]:
    image = 255 * torch.rand(4, 3, 256, 256).contiguous(memory_format=torch.channels_last)
    return image, torch.randint(2, (4, 256, 256))


def _saved(network: nn.Module) -> int:
    image, mask = _batch()
    network.train()
    own = [*network.parameters(), *network.buffers()]
    return saved_bytes(lambda: F.cross_entropy(network(image), mask), own)


def _taken(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start


def _ratio(unet: tuple[float, ...], own: tuple[float, ...]) -> float:
    """How many times as long the U-Net takes; the median of the rounds."""
    return statistics.median(a / b for a, b in zip(unet, own, strict=True))


def _write(folder: Path, name: str, row: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name.replace(',', '').replace(' ', '-')}.json").write_text(json.dumps(row))
    print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/decoders"))
    parser.add_argument("--encoder", default="b0")
    actions = parser.add_subparsers(required=True)
    costs = actions.add_parser("cost")
    costs.set_defaults(act=cost)
    costs.add_argument("--classes", type=int, default=19)
    costs.add_argument("--rounds", type=int, default=5)
    learning = actions.add_parser("learn")
    learning.set_defaults(act=learn)
    learning.add_argument("name", choices=NAMES)
    learning.add_argument("--root", type=Path, required=True, help="the folder of CamVid")
    learning.add_argument("--weights", type=Path, required=True, help="of the encoder")
    learning.add_argument("--seed", type=int, default=1)
    learning.add_argument("--steps", type=int, default=250)
    learning.add_argument("--crop", type=int, default=192)
    learning.add_argument("--batch", type=int, default=8)
    learning.add_argument("--threads", type=int, default=1)
    actions.add_parser("table").set_defaults(act=table)
    args = parser.parse_args()
    args.act(args)


if __name__ == "__main__":
    main()
