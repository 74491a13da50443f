"""What a forward pass alone costs, from an image to logits: effunet beside smp, the same weights.

`python benchmarks/inference.py` prints a table; `--json` one JSON object instead. On a CPU effunet
computes through its inference form, as a library and as a program that keeps large blocks; smp in
eager mode, as its users run it, with channels_last, and with its allocator tuned. smp's image is
normalised beforehand, ours is not. `--device cuda` runs the plain networks there,
`--precision bf16` by autocast, `--compile` through torch.compile. `--decoder efficient` has fresh
weights of its own, so that no logits can be compared.

A figure is the median over the rounds of a peer's time divided by ours in the same round (above 1:
ours is faster), with the smallest and the largest: processor time of one thread, else the clock.
"""

import argparse
import json
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from rows import MEAN, STD, Work, arguments, result, serve, started, table, unet

from effunet.allocator import keep_large_blocks
from effunet.model.encoder import EfficientNet
from effunet.model.imported import network_of
from effunet.model.inference import Latest
from effunet.model.network import EffUNet
from effunet.model.pretrained.files import read

ROWS = {
    "cpu": ("smp", "smp-channels_last", "smp-tuned", "ours", "ours-kept"),
    "cuda": ("smp", "smp-channels_last", "ours"),
}
PAIRS = {
    "cpu": {
        "smp / effunet": ("smp", "ours-kept"),
        "smp channels_last / effunet": ("smp-channels_last", "ours-kept"),
        "smp tuned / effunet": ("smp-tuned", "ours-kept"),
        "smp / effunet as a library": ("smp", "ours"),
        "smp channels_last / effunet as a library": ("smp-channels_last", "ours"),
        "smp tuned / effunet as a library": ("smp-tuned", "ours"),
    },
    "cuda": {
        "smp / effunet": ("smp", "ours"),
        "smp channels_last / effunet": ("smp-channels_last", "ours"),
    },
}
FACTS = (
    *("encoder", "decoder", "height", "width", "batch", "classes"),
    *("device", "precision", "compile", "threads"),
)
LARGEST_DIFFERENCE = {"fp32": 1e-5, "bf16": 5e-2}  # of the logits, as a share of the largest


def main() -> None:
    args = _arguments()
    if args.row:
        _serve(args)
        return
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU here: torch.cuda.is_available() is False")
    names = ROWS[args.device]
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "unet.pth"
        torch.save(unet(args).state_dict(), weights)
        with started(names, weights, args.threads) as rows:
            rows.turn()
            difference = _difference(args, Path(folder)) if args.decoder == "unet" else None
            rounds = [rows.turn() for _ in range(args.rounds)]
    facts = {name: getattr(args, name) for name in FACTS}
    found = result(rounds, PAIRS[args.device], **facts, difference=difference)
    for row in found["rows"].values():
        row["images_per_s"] = round(args.batch / row["median_s"], 2)
    print(json.dumps(found) if args.json else f"{table(found)}\nlargest difference: {difference}")


def _arguments() -> argparse.Namespace:
    parser = arguments(str(__doc__), ROWS["cpu"])
    parser.add_argument("--decoder", default="unet", choices=["unet", "efficient"])
    parser.add_argument("--size", type=int, default=512, help="of a square image")
    parser.add_argument("--height", type=int, help="instead of --size")
    parser.add_argument("--width", type=int, help="instead of --size")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=list(ROWS))
    parser.add_argument("--precision", default="fp32", choices=list(LARGEST_DIFFERENCE))
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    args.height, args.width = args.height or args.size, args.width or args.size
    if args.device == "cpu" and (args.precision != "fp32" or args.compile):
        parser.error("--precision bf16 and --compile are for --device cuda")
    return args


def _serve(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    if args.row.endswith("-kept") and not keep_large_blocks():
        raise SystemExit("large blocks cannot be kept here: the C library is not glibc")
    noise = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (args.batch, 3, args.height, args.width), generator=noise)
    work = (_ours if args.row.startswith("ours") else _smp)(args, image.to(torch.uint8))
    with torch.inference_mode(), _autocast(args):
        serve(args, work, args.device == "cuda" or args.threads > 1, args.device)


def _smp(args: argparse.Namespace, image: torch.Tensor) -> Work:
    network = unet(args).eval()
    network.load_state_dict(torch.load(args.weights, weights_only=True))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    image = (image.float() / 255 - mean) / std
    if args.row.endswith("channels_last"):
        network = network.to(memory_format=torch.channels_last)
        image = image.contiguous(memory_format=torch.channels_last)
    return _on_device(args, network, image)


def _ours(args: argparse.Namespace, image: torch.Tensor) -> Work:
    network, _ = network_of(read(args.weights, str(args.weights)))
    if args.decoder != "unet":
        network = EffUNet(EfficientNet(args.encoder), args.classes, args.decoder)
    network = network.eval()
    if args.device == "cuda":
        return _on_device(args, network.to(memory_format=torch.channels_last), image)
    latest = Latest()
    return lambda: latest.logits(network, image)


def _on_device(args: argparse.Namespace, network: torch.nn.Module, image: torch.Tensor) -> Work:
    """Compute on a CPU, or on a GPU until it has done so."""
    if args.device == "cpu":
        return lambda: network(image)
    there, pixels = network.cuda(), image.cuda()
    compute = torch.compile(there) if args.compile else there

    def work() -> torch.Tensor:
        torch.cuda.synchronize()
        logits = compute(pixels)
        torch.cuda.synchronize()
        return logits

    return work


def _autocast(args: argparse.Namespace) -> AbstractContextManager[object]:
    if args.precision == "fp32":
        return nullcontext()
    return torch.autocast(args.device, torch.bfloat16)


def _difference(args: argparse.Namespace, folder: Path) -> float:
    """Refuse to compare networks that compute something else; else how far they are apart."""
    names = ROWS[args.device]
    found = {name: np.load(folder / f"{name}.npy") for name in names}
    largest = np.abs(found["smp"]).max()
    worst = max(np.abs(found["smp"] - found[name]).max() / largest for name in names)
    if worst > LARGEST_DIFFERENCE[args.precision]:
        raise SystemExit(f"not the same work: the logits differ by {worst:.1e} of the largest")
    return float(worst)


if __name__ == "__main__":
    main()
