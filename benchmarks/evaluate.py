"""What evaluating one image costs, uint8 image in and counted: effunet beside smp and torchmetrics.

`python benchmarks/evaluate.py` prints a table; `--json` one JSON object instead. A row is a process
of its own, and the rows take turns, one image each, so that a busy neighbour meets them all. A
figure is the median over the rounds of a peer's time divided by ours in the same round (above 1:
ours is faster), with the smallest and the largest. Times are processor time of one thread, pinned;
with `--threads 2` or more they are by the clock. Equal work is checked before any timing: the same
weights, and masks and counts that agree.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from effunet.allocator import keep_large_blocks

TUNABLES = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
    "glibc.malloc.trim_threshold=8589934592:glibc.malloc.top_pad=268435456"
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AGREEMENT = 0.9999  # of the masks: where two classes are nearly equal, rounding may decide

PAIRS = {
    "confusion matrix: torchmetrics Jaccard / ours": ("count-theirs", "count-ours"),
    "evaluation: smp / effunet": ("smp", "ours-kept"),
    "evaluation: smp tuned / effunet": ("smp-tuned", "ours-kept"),
    "evaluation: smp / effunet as a library": ("smp", "ours"),
    "evaluation: smp tuned / effunet as a library": ("smp-tuned", "ours"),
    "blocks kept: smp / the same": ("smp", "smp-kept"),
    "blocks kept: effunet / the same": ("ours", "ours-kept"),
}
"""Rows to compare. The program keeps large blocks; a library leaves its user's allocator alone."""

ROWS = ("count-theirs", "count-ours", "smp", "smp-tuned", "smp-kept", "ours", "ours-kept")

Work = Callable[[], Any]


def main() -> None:
    args = _arguments()
    if args.row:
        _serve(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "unet.pth"
        torch.save(_unet(args).state_dict(), weights)
        rows = {name: _start(name, weights) for name in ROWS}
        first = {name: _ask(row) for name, row in rows.items()}
        _check_equal_work(first, Path(folder))
        rounds = [{name: _ask(row) for name, row in rows.items()} for _ in range(args.rounds)]
        for row in rows.values():
            row.communicate("")
    result = _result(args, rounds)
    print(json.dumps(result) if args.json else _table(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--encoder", default="b0", help="b0 to b7")
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _start(name: str, weights: Path) -> subprocess.Popen[str]:
    threads = str(_arguments().threads)
    places = ",".join(f"{{{core}}}" for core in range(int(threads)))
    pins = {"OMP_NUM_THREADS": threads, "OMP_PROC_BIND": "close", "OMP_PLACES": places}
    environment = {**os.environ, **pins}
    if name == "smp-tuned":
        environment["GLIBC_TUNABLES"] = TUNABLES
    words = [sys.executable, __file__, *sys.argv[1:], "--row", name, "--weights", str(weights)]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=environment)


def _ask(row: subprocess.Popen[str]) -> dict[str, float]:
    assert row.stdin is not None and row.stdout is not None
    row.stdin.write("\n")
    row.stdin.flush()
    answer = row.stdout.readline()
    if not answer:
        raise SystemExit(f"a row ended: {row.args}")
    return json.loads(answer)


def _serve(args: argparse.Namespace) -> None:
    """Do the row's work once for each line of the input, and tell what it took."""
    torch.set_num_threads(args.threads)
    with torch.inference_mode():
        work = {
            "count-ours": _count_ours,
            "count-theirs": _count_theirs,
            "ours": _ours,
            "ours-kept": _ours,
        }.get(args.row, _smp)(args)
        if args.row.endswith("-kept") and not keep_large_blocks():
            raise SystemExit("large blocks cannot be kept here: the C library is not glibc")
        base = _peak()
        for number, _ in enumerate(sys.stdin):
            wall, cpu = time.perf_counter(), time.process_time()
            result = work()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            if number == 0:
                np.save(args.weights.parent / f"{args.row}.npy", np.asarray(result))
            taken = cpu if args.threads == 1 else wall
            answer = {"seconds": taken, "peak_mb": _peak(), "base_mb": base}
            print(json.dumps(answer), flush=True)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _scene(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image, a truth with ignored pixels, and another mask; all in blocks, as scenes are."""
    noise = np.random.default_rng(0)
    shape = (args.height // 16 + 1, args.width // 16 + 1)

    def enlarged(coarse: np.ndarray) -> np.ndarray:
        return coarse.repeat(16, 0).repeat(16, 1)[: args.height, : args.width]

    image = enlarged(noise.integers(0, 256, (*shape, 3), np.uint8)).copy()
    truth, other = (enlarged(noise.integers(0, args.classes, shape, np.uint8)) for _ in (0, 1))
    truth[enlarged(noise.random(shape)) < 0.05] = 255
    return image, truth.copy(), other.copy()


def _unet(args: argparse.Namespace) -> torch.nn.Module:
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    return smp.Unet(f"efficientnet-{args.encoder}", encoder_weights=None, classes=args.classes)


def _smp(args: argparse.Namespace) -> Work:
    network = _unet(args).eval()
    network.load_state_dict(torch.load(args.weights, weights_only=True))
    image, truth, _ = _scene(args)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    counted = _jaccard(args)
    target = torch.from_numpy(truth).long()[None]

    def work() -> np.ndarray:
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float().contiguous()
        predicted = network((pixels / 255 - mean) / std).argmax(1)
        return counted(predicted, target)

    return work


def _ours(args: argparse.Namespace) -> Work:
    from effunet.infer import predict_mask
    from effunet.labels import LabelClass, LabelMap
    from effunet.metrics.confusion import confusion
    from effunet.model.imported import network_of
    from effunet.model.pretrained.files import read
    from effunet.segmenter import Segmenter

    network, _ = network_of(read(args.weights, str(args.weights)))
    classes = (LabelClass(f"class {i}", (i, i, i), (i,)) for i in range(args.classes))
    segmenter = Segmenter(network, LabelMap(tuple(classes)))
    image, truth, _ = _scene(args)
    return lambda: confusion(truth, predict_mask(segmenter, image).numpy(), args.classes)


def _jaccard(args: argparse.Namespace) -> Callable[[torch.Tensor, torch.Tensor], np.ndarray]:
    from torchmetrics.classification import MulticlassJaccardIndex

    metric = MulticlassJaccardIndex(args.classes, ignore_index=255)

    def counted(predicted: torch.Tensor, target: torch.Tensor) -> np.ndarray:
        metric.reset()
        metric.update(predicted, target)
        return metric.confmat.numpy()

    return counted


def _count_theirs(args: argparse.Namespace) -> Work:
    counted = _jaccard(args)
    _, truth, other = _scene(args)
    target, predicted = (torch.from_numpy(mask).long()[None] for mask in (truth, other))
    return lambda: counted(predicted, target)


def _count_ours(args: argparse.Namespace) -> Work:
    from effunet.metrics.confusion import confusion

    _, truth, other = _scene(args)
    return lambda: confusion(truth, other, args.classes)


def _check_equal_work(first: dict[str, Any], folder: Path) -> None:
    """Refuse to compare what does not count the same pixels in the same cells."""
    found = {name: np.load(folder / f"{name}.npy") for name in first}
    if not np.array_equal(found["count-ours"], found["count-theirs"]):
        raise SystemExit("not the same work: the confusion matrices differ")
    for name in ("ours", "ours-kept", "smp-tuned", "smp-kept"):
        theirs, ours = found["smp"], found[name]
        moved = np.abs(theirs - ours).sum() / 2
        if theirs.sum() != ours.sum() or moved > (1 - AGREEMENT) * theirs.sum():
            raise SystemExit(f"not the same work: {moved} pixels of {name} lie in other cells")


def _result(args: argparse.Namespace, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    ratios: dict[str, Any] = {}
    for title, (theirs, ours) in PAIRS.items():
        found = [turn[theirs]["seconds"] / turn[ours]["seconds"] for turn in rounds]
        ratios[title] = [round(f(found), 2) for f in (statistics.median, min, max)]
    rows = {
        name: {
            "median_s": round(statistics.median(turn[name]["seconds"] for turn in rounds), 4),
            "least_s": round(min(turn[name]["seconds"] for turn in rounds), 4),
            "peak_mb": rounds[-1][name]["peak_mb"],
            "extra_mb": rounds[-1][name]["peak_mb"] - rounds[-1][name]["base_mb"],
        }
        for name in ROWS
    }
    shape = {"encoder": args.encoder, "height": args.height, "width": args.width}
    return {**shape, "threads": args.threads, "rounds": args.rounds, "ratios": ratios, "rows": rows}


def _table(result: dict[str, Any]) -> str:
    lines = [f"{'row':14} {'median s':>9} {'least s':>9} {'peak MB':>8} {'extra MB':>9}"]
    for name, row in result["rows"].items():
        lines.append(
            f"{name:14} {row['median_s']:9.3f} {row['least_s']:9.3f} {row['peak_mb']:8} "
            f"{row['extra_mb']:9}"
        )
    lines.append("")
    for title, (median, least, most) in result["ratios"].items():
        lines.append(f"{title:46} {median:6.2f} x ({least:.2f} to {most:.2f})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
