"""Training step and inference of EffUNet on the CPU in both memory layouts, interleaved.

`python benchmarks/layout.py [b0 b3 ...]` prints one JSON line a variant: time of the contiguous
layout divided by that of channels_last, so above 1 means that channels_last is faster.
"""

import json
import sys
import time

import torch

from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet
from effunet.training.recipe.losses import build_loss

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
CLASSES, SIZE, BATCH, ROUNDS = 11, 192, 2, 5


def main(variants: list[str]) -> None:
    loss = build_loss("cross_entropy_dice", CLASSES)
    image = torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8)
    mask = torch.randint(0, CLASSES, (BATCH, SIZE, SIZE))
    for variant in variants:
        networks = {
            name: EffUNet(EfficientNet(variant), CLASSES).to(memory_format=layout)
            for name, layout in LAYOUTS.items()
        }
        step: dict[str, float] = {}
        infer: dict[str, float] = {}
        for _ in range(ROUNDS):
            for name, network in networks.items():
                batch = image.contiguous(memory_format=LAYOUTS[name])
                start = time.perf_counter()
                loss(network.train()(batch), mask).backward()
                middle = time.perf_counter()
                with torch.inference_mode():
                    network.eval()(batch[:1])
                end = time.perf_counter()
                step[name] = min(step.get(name, end), middle - start)
                infer[name] = min(infer.get(name, end), end - middle)
        ratios = {
            what: round(times["contiguous"] / times["channels_last"], 2)
            for what, times in (("train", step), ("infer", infer))
        }
        print(json.dumps({"variant": variant, "threads": torch.get_num_threads(), **ratios}))


if __name__ == "__main__":
    main(sys.argv[1:] or ["b0", "b3", "b5", "b7"])
