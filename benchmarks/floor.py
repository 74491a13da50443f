"""The bytes that a training step moves, operator by operator, and those that fused kernels would.

`python benchmarks/floor.py --encoder b0 --size 512 --batch 8` prints a table of smp's U-Net and of
ours, in GB an image; `--json` one JSON object. Nothing is computed: the tensors are on the meta
device. The weights are of the activations' type, and what the optimizer moves is left out. With
`--bandwidth`, the bytes a second of a GPU's memory (3.35e12 for an H100 SXM), it also says how many
images a second these bytes allow.

The fused floor is a model, not a kernel that was measured. Each convolution's output crosses memory
7 times: written and read forwards; backwards its gradient is written, it is read for the sums of
the batch norm, both are read for the gradients of input and weight, and it is read as the input of
the next weight's gradient. What feeds a squeeze-and-excitation, which needs its mean first, crosses
3 times more. The logits, as the head gives them, cross 2 times, with head and loss in one.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from networks import NETWORKS
from torch import nn
from traffic import GATE, Traffic, traffic

CROSSINGS, BEFORE_A_GATE, LOGITS = 7, 3, 2
TYPES = {"32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
IGNORE = 255


def main() -> None:
    args = _arguments()
    found = {name: count(name, args) for name in NETWORKS}
    shape = {name: getattr(args, name) for name in ("encoder", "size", "batch", "precision")}
    print(json.dumps({**shape, "rows": found}) if args.json else _table(found, args.bandwidth))


def count(network: str, args: argparse.Namespace) -> dict[str, Any]:
    """Count one step's bytes an image: eager, by kind; and fused, by the model above."""
    with torch.device("meta"):
        built = NETWORKS[network](args.encoder, args.classes)
    counter = step_traffic(built, args.size, args.batch, TYPES[args.precision])
    return {
        "eager": counter.total // args.batch,
        "fused": fused(counter) // args.batch,
        "kinds": {kind: moved // args.batch for kind, moved in counter.kinds.most_common()},
    }


def step_traffic(network: nn.Module, size: int, batch: int, dtype: torch.dtype) -> Traffic:
    """Forward, cross-entropy in float32, backward; as raw images of the network's own type."""
    network = network.to("meta", dtype).train()
    image = torch.empty(batch, 3, size, size, device="meta", dtype=dtype)
    mask = torch.empty(batch, size, size, device="meta", dtype=torch.long)
    image = image.contiguous(memory_format=torch.channels_last)
    network.to(memory_format=torch.channels_last)

    def step() -> None:
        F.cross_entropy(network(image).float(), mask, ignore_index=IGNORE).backward()

    return traffic(step)


def fused(counter: Traffic) -> int:
    """Bytes of the model; the head, which writes the logits, is the last convolution."""
    features = sum(written for kind, written in counter.outputs.items() if kind != GATE)
    gated = counter.outputs["convolution, depthwise"]
    logits = counter.last_output
    return CROSSINGS * (features - logits) + BEFORE_A_GATE * gated + LOGITS * logits


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--encoder", default="b0", help="b0 to b7")
    parser.add_argument("--size", type=int, default=512, help="height and width of the images")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--precision", choices=TYPES, default="bf16")
    parser.add_argument("--bandwidth", type=float, help="of a GPU's memory, bytes a second")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _table(found: dict[str, Any], bandwidth: float | None) -> str:
    lines = [f"{'GB an image':26}" + "".join(f"{name:>14}" for name in found)]

    def line(title: str, text: Callable[[dict[str, Any]], str]) -> None:
        lines.append(f"{title:26}" + "".join(f"{text(row):>14}" for row in found.values()))

    line("eager", lambda row: f"{row['eager'] / 1e9:.2f}")
    line("fused floor", lambda row: f"{row['fused'] / 1e9:.2f}")
    line("eager / fused", lambda row: f"{row['eager'] / row['fused']:.2f}")
    if bandwidth:
        line("eager, images/s", lambda row: f"{bandwidth / row['eager']:.0f}")
        line("fused floor, images/s", lambda row: f"{bandwidth / row['fused']:.0f}")
    for kind in dict.fromkeys(kind for row in found.values() for kind in row["kinds"]):

        def share(row: dict[str, Any], kind: str = kind) -> str:
            moved = row["kinds"].get(kind, 0)
            return f"{moved / 1e9:.3f} {moved / row['eager']:6.1%}"

        line(kind, share)
    return "\n".join(lines)


if __name__ == "__main__":
    main()
