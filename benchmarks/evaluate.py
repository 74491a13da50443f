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
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rows import MEAN, STD, Work, arguments, result, serve, started, table, unet

from effunet.allocator import keep_large_blocks

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


def main() -> None:
    args = _arguments()
    if args.row:
        _serve(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "unet.pth"
        torch.save(unet(args).state_dict(), weights)
        with started(ROWS, weights, args.threads) as rows:
            rows.turn()
            _check_equal_work(Path(folder))
            rounds = [rows.turn() for _ in range(args.rounds)]
    facts = {"encoder": args.encoder, "height": args.height, "width": args.width}
    found = result(rounds, PAIRS, **facts, threads=args.threads)
    print(json.dumps(found) if args.json else table(found))


def _arguments() -> argparse.Namespace:
    parser = arguments(str(__doc__), ROWS)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=2048)
    return parser.parse_args()


def _serve(args: argparse.Namespace) -> None:
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
        serve(args, work, clock=args.threads > 1)


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


def _smp(args: argparse.Namespace) -> Work:
    network = unet(args).eval()
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


def _check_equal_work(folder: Path) -> None:
    """Refuse to compare what does not count the same pixels in the same cells."""
    found = {name: np.load(folder / f"{name}.npy") for name in ROWS}
    if not np.array_equal(found["count-ours"], found["count-theirs"]):
        raise SystemExit("not the same work: the confusion matrices differ")
    for name in ("ours", "ours-kept", "smp-tuned", "smp-kept"):
        theirs, ours = found["smp"], found[name]
        moved = np.abs(theirs - ours).sum() / 2
        if theirs.sum() != ours.sum() or moved > (1 - AGREEMENT) * theirs.sum():
            raise SystemExit(f"not the same work: {moved} pixels of {name} lie in other cells")


if __name__ == "__main__":
    main()
