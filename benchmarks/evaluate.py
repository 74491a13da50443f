"""What evaluating one image costs, uint8 image in and counted: effunet beside smp and torchmetrics.

`python benchmarks/evaluate.py` prints a table; `--json` one JSON object instead. A row is a process
of its own, and the rows take turns, one image each, so that a busy neighbour meets them all. A
figure is the median over the rounds of a peer's time divided by ours in the same round (above 1:
ours is faster), with the smallest and the largest. Times are processor time of one thread, pinned;
with `--threads 2` or more they are by the clock. Equal work is checked before any timing: the same
weights, and masks and counts that agree.

`--exported` adds files of `effunet export --format openvino --output mask`: of the same U-Net, and
of an efficient decoder with fresh weights; in float32, and in 8 bits, where random weights move
pixels.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import turns
from rows import MEAN, STD, Work, arguments, result, serve, started, table, unet

from effunet.allocator import keep_large_blocks

if TYPE_CHECKING:
    from effunet.predictor import Predictor
    from effunet.segmenter import Segmenter

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

EXPORTED = tuple(
    f"{decoder}-openvino{bits}" for decoder in ("unet", "efficient") for bits in ("", "-int8")
)
EXPORTED_PAIRS = {
    f"evaluation: {peer} / {name}": (peer, name)
    for name in EXPORTED
    for peer in ("smp", "smp-tuned")
}

ROWS = ("count-theirs", "count-ours", "smp", "smp-tuned", "smp-kept", "ours", "ours-kept")


def main() -> None:
    args = _arguments()
    if args.row:
        _serve(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "unet.pth"
        torch.save(unet(args).state_dict(), weights)
        names, pairs = ROWS, PAIRS
        if args.exported:
            names, pairs = (*ROWS, *EXPORTED), {**PAIRS, **EXPORTED_PAIRS}
            with redirect_stdout(sys.stderr):  # NNCF tells how far it is
                _export(args, Path(folder))
        with started(names, weights, args.threads) as rows:
            rows.turn()
            _check_equal_work(Path(folder), args.exported)
            rounds = [rows.turn() for _ in range(args.rounds)]
    facts = {"encoder": args.encoder, "height": args.height, "width": args.width}
    found = result(rounds, pairs, **facts, threads=args.threads)
    print(json.dumps(found) if args.json else table(found))


def _arguments() -> argparse.Namespace:
    parser = arguments(str(__doc__), (*ROWS, *EXPORTED))
    parser.add_argument("--exported", action="store_true", help="exported files, too")
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
            **dict.fromkeys(EXPORTED, _exported),
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
    from effunet.model.imported import network_of
    from effunet.model.pretrained.files import read

    network, _ = network_of(read(args.weights, str(args.weights)))
    return _counted(args, _segmenter(args, network))


def _segmenter(args: argparse.Namespace, network: torch.nn.Module) -> "Segmenter":
    from effunet.labels import LabelClass, LabelMap
    from effunet.segmenter import Segmenter

    classes = (LabelClass(f"class {i}", (i, i, i), (i,)) for i in range(args.classes))
    return Segmenter(network, LabelMap(tuple(classes)))


def _counted(args: argparse.Namespace, predictor: "Predictor") -> Work:
    """Predict and count, with what `effunet evaluate` calls."""
    from effunet.infer import predict_mask
    from effunet.metrics.confusion import confusion

    image, truth, _ = _scene(args)
    return lambda: confusion(truth, predict_mask(predictor, image).numpy(), args.classes)


def _exported(args: argparse.Namespace) -> Work:
    from effunet.exported import Exported
    from effunet.runtime import Model

    turns.on_all_cores()
    file = args.weights.parent / f"{args.row}.xml"
    return _counted(args, Exported(Model.load(file, args.threads)))


def _export(args: argparse.Namespace, folder: Path) -> None:
    """Write the files of EXPORTED."""
    from effunet.data.synthetic import render
    from effunet.export import int8, openvino
    from effunet.export.facts import facts_of
    from effunet.export.graph import Graph
    from effunet.export.proof import as_batch
    from effunet.model.encoder import EfficientNet
    from effunet.model.imported import network_of
    from effunet.model.network import EffUNet
    from effunet.model.pretrained.files import read

    crops = [as_batch(render(0, index, 512, 512)[0]) for index in range(8)]
    same, _ = network_of(read(folder / "unet.pth", "unet.pth"))
    torch.manual_seed(0)
    networks = {"unet": same, "efficient": EffUNet(EfficientNet(args.encoder), args.classes)}
    for name, network in networks.items():
        segmenter = _segmenter(args, network.eval())
        facts = facts_of(segmenter, "mask", "fp32")
        model = openvino.converted(Graph(network, "mask", doubling="transposed"))
        openvino.save(model, folder / f"{name}-openvino.xml", facts)
        model = openvino.converted(Graph(network, "mask", doubling="shuffled"))
        small = int8.OpenvinoQuantiser(model, crops)
        openvino.save(small.quantised(()), folder / f"{name}-openvino-int8.xml", facts)


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


def _check_equal_work(folder: Path, exported: bool) -> None:
    """Refuse to compare what does not count the same pixels in the same cells."""
    found = {file.stem: np.load(file) for file in folder.glob("*.npy")}
    if not np.array_equal(found["count-ours"], found["count-theirs"]):
        raise SystemExit("not the same work: the confusion matrices differ")
    same = ("ours", "ours-kept", "smp-tuned", "smp-kept")
    for name in (*same, "unet-openvino") if exported else same:
        theirs, ours = found["smp"], found[name]
        moved = np.abs(theirs - ours).sum() / 2
        if theirs.sum() != ours.sum() or moved > (1 - AGREEMENT) * theirs.sum():
            raise SystemExit(f"not the same work: {moved} pixels of {name} lie in other cells")


if __name__ == "__main__":
    main()
