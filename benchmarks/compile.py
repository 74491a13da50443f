"""What torch.compile costs and gives a training step of EffUNet, beside the plain step.

`python benchmarks/compile.py [b0 ...]` prints one JSON line a variant: seconds until the first
compiled step is done, and the time of a plain step divided by that of a compiled one, interleaved
(above 1 means that compiled is faster). On CUDA where there is one.
"""

import json
import sys
import time

import torch

from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet
from effunet.training.recipe.losses import build_loss

CLASSES, SIZE, BATCH, ROUNDS = 11, 192, 4, 7


def main(variants: list[str]) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loss = build_loss("cross_entropy_dice", CLASSES).to(device)
    image = torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8, device=device)
    mask = torch.randint(0, CLASSES, (BATCH, SIZE, SIZE), device=device)

    def seconds(forward: torch.nn.Module) -> float:
        start = time.perf_counter()
        loss(forward(image), mask).backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    for variant in variants:
        network = EffUNet(EfficientNet(variant), CLASSES).to(device).train()
        network.to(memory_format=torch.channels_last)
        compiled = torch.compile(network)
        seconds(network)
        first = seconds(compiled)
        rounds = [(seconds(network), seconds(compiled)) for _ in range(ROUNDS)]
        plain, fast = (min(times) for times in zip(*rounds, strict=True))
        print(
            json.dumps(
                {
                    "variant": variant,
                    "device": device.type,
                    "threads": torch.get_num_threads(),
                    "first_compiled_step_s": round(first, 1),
                    "plain_over_compiled": round(plain / fast, 2),
                }
            )
        )


if __name__ == "__main__":
    main(sys.argv[1:] or ["b0"])
