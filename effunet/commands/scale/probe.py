"""The process of one measurement: `python -m effunet.commands.scale.probe`, JSON in, JSON out.

A process of its own, for the peak of its memory is the answer, and it may be killed for it.
"""

import json
import statistics
import sys
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

WARM_UP, ROUNDS = 2, 7


def main() -> None:
    """Answer one request: bytes of a training step, or seconds of an image."""
    request = json.loads(sys.stdin.read())
    with suppress(OSError):  # where memory ends, this process is to go, and nobody else's
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    print(json.dumps({"latency": _latency, "memory": _memory}[request["what"]](request)))


def _latency(request: dict[str, Any]) -> float:
    """Seconds from a uint8 image in memory to its mask in memory; the median."""
    from effunet.commands.benchmark.subject import made_images
    from effunet.commands.way import keep_blocks_for
    from effunet.infer import predict_mask
    from effunet.labels import LabelClass, LabelMap
    from effunet.segmenter import Segmenter

    network = _network(request)
    names = (LabelClass(f"class {i}", (i, i, i), (i,)) for i in range(request["classes"]))
    segmenter = Segmenter(network.eval().to(request["device"]), LabelMap(tuple(names)))
    keep_blocks_for(segmenter)
    height, width = request["size"]
    image = made_images(1, height, width, 3)[0]
    seconds: list[float] = []
    for _ in range(WARM_UP + ROUNDS):
        start = perf_counter()
        predict_mask(segmenter, image).cpu().numpy()
        seconds.append(perf_counter() - start)
    return statistics.median(seconds[WARM_UP:])


def _memory(request: dict[str, Any]) -> int:
    """Bytes at the peak of two training steps: the process's on a CPU, the allocator's on a GPU."""
    import torch
    import torch.nn.functional as F

    from effunet.commands.benchmark.memory import forget_peak, peak

    device = request["device"]
    network = _network(request).train().to(device)
    optimizer = torch.optim.AdamW(network.parameters())
    batch, (height, width) = request["batch"], request["size"]
    image = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8).to(device)
    truth = torch.randint(0, request["classes"], (batch, height, width)).to(device)
    kind = torch.device(device).type
    forget_peak(kind)
    for _ in range(2):  # the second one has the optimizer's averages beside it
        # As a training's precision=auto: bfloat16 on a GPU, float32 on a CPU.
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            loss = F.cross_entropy(network(image).float(), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return peak(kind) or 0


def _network(request: dict[str, Any]) -> Any:
    from effunet.model.scaling import Plan
    from effunet.scaling.costs import Shape

    shape = Shape(request["decoder"], request["classes"])
    return shape.network(Plan.from_plain(request["plan"]))


if __name__ == "__main__":
    main()
