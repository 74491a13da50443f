"""What an exported file costs, from an image to logits, beside smp in eager mode and smp exported.

`python benchmarks/exports.py` exports smp's Unet as its users would (torch's ONNX exporter, for
ONNX Runtime and OpenVINO, and NNCF's 8 bits with its defaults), effunet's U-Net with the same
weights and its efficient decoder with fresh ones, and prints a table; `--json` one JSON object.
All rows are processes of their own that take turns, each with `--threads` threads. smp's image is
normalised beforehand, ours is not.

A figure is the median over the rounds of a peer's time divided by ours in the same round (above 1:
ours is faster), with the smallest and the largest: processor time of one thread, else the clock.
What 8 bits lose of a mIoU says `effunet export --precision int8 --data NAME`, of trained networks.
"""

import argparse
import json
import sys
import tempfile
import warnings
from contextlib import redirect_stdout
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
import turns
from rows import MEAN, STD, Work, arguments, result, serve, started, table, unet

from effunet import runtime
from effunet.data.synthetic import render
from effunet.export import int8, onnx, openvino
from effunet.export.graph import Graph
from effunet.export.proof import as_batch
from effunet.model.encoder import EfficientNet
from effunet.model.imported import network_of
from effunet.model.network import EffUNet
from effunet.model.pretrained.files import read

ENDINGS = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "openvino-int8": ".xml",
    "onnx-int8": ".onnx",
}
SMP = ("smp-onnx", "smp-openvino", "smp-openvino-int8")
OURS = tuple(f"{decoder}-{kind}" for decoder in ("unet", "efficient") for kind in ENDINGS)
ROWS = ("smp", *SMP, *OURS)
PAIRS = {
    **{f"smp / {name}": ("smp", name) for name in (*SMP, *OURS)},
    **{f"smp-onnx / {name}": ("smp-onnx", name) for name in OURS if "int8" not in name},
    **{
        f"smp-openvino-int8 / {name}": ("smp-openvino-int8", name)
        for name in OURS
        if "int8" in name
    },
}
KEPT = ("early depthwise", "early pointwise")
"""What the sensitivity pass keeps in float32 of ONNX's 8 bits, of a network trained on CamVid."""

LIBRARY = {"library": "benchmark"}


def main() -> None:
    """Export, and let all rows take turns."""
    args = _arguments()
    if args.row:
        _serve(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "unet.pth"
        torch.save(_settled(unet(args), args).state_dict(), weights)
        with redirect_stdout(sys.stderr):  # NNCF tells how far it is
            _export(args, Path(folder))
        with started(ROWS, weights, args.threads) as rows:
            rows.turn()
            difference = _difference(Path(folder))
            rounds = [rows.turn() for _ in range(args.rounds)]
        sizes = {name: _bytes(Path(folder), name) for name in (*SMP, *OURS)}
    facts = {name: getattr(args, name) for name in ("encoder", "size", "classes", "threads")}
    found = result(rounds, PAIRS, **facts, difference=difference, bytes=sizes)
    print(json.dumps(found) if args.json else f"{table(found)}\nlargest difference: {difference}")


def _arguments() -> argparse.Namespace:
    parser = arguments(str(__doc__), ROWS)
    parser.add_argument("--size", type=int, default=512, help="of a square image")
    return parser.parse_args()


def _image(args: argparse.Namespace, index: int = 0) -> np.ndarray:
    return as_batch(render(0, index, args.size, args.size)[0])


@torch.no_grad()
def _settled(network: torch.nn.Module, args: argparse.Namespace) -> torch.nn.Module:
    """Norms with the statistics of scenes: with fresh ones, nothing reaches the last layers."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    scenes = np.concatenate([_normalised(_image(args, index)) for index in range(1, 5)])
    network.train()(torch.from_numpy(scenes))
    return network


def _normalised(image: np.ndarray) -> np.ndarray:
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    return ((image / np.float32(255)) - mean) / std


@torch.inference_mode()
def _export(args: argparse.Namespace, folder: Path) -> None:
    """Write all files, smp's as its users do."""
    import nncf
    import openvino as ov

    crops = [_image(args, index) for index in range(1, 9)]
    network = unet(args).eval()
    network.load_state_dict(torch.load(folder / "unet.pth", weights_only=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (torch.from_numpy(_normalised(crops[0])),),
            dynamo=True,
            external_data=False,
            input_names=["image"],
            dynamic_shapes=({2: "height", 3: "width"},),
            verbose=False,
        )
    assert program is not None
    data = program.model_proto.SerializeToString()
    (folder / "smp-onnx.onnx").write_bytes(data)
    model = ov.convert_model(BytesIO(data))
    ov.save_model(model, folder / "smp-openvino.xml", compress_to_fp16=False)
    calibration = nncf.Dataset([{"image": _normalised(crop)} for crop in crops])
    quantised = nncf.quantize(model, calibration, subset_size=len(crops))
    ov.save_model(quantised, folder / "smp-openvino-int8.xml", compress_to_fp16=False)

    same, _ = network_of(read(folder / "unet.pth", "unet.pth"))
    torch.manual_seed(0)
    networks = {"unet": same, "efficient": EffUNet(EfficientNet(args.encoder), args.classes)}
    for name, ours in networks.items():
        data = onnx.to_bytes(Graph(ours.eval()))
        onnx.save(data, folder / f"{name}-onnx.onnx", LIBRARY)
        quantiser = int8.OnnxQuantiser(data, crops, folder)
        onnx.save(quantiser.quantised(KEPT), folder / f"{name}-onnx-int8.onnx", LIBRARY)
        (folder / "ranges.json").unlink()
        model = openvino.converted(Graph(ours, doubling="transposed"))
        openvino.save(model, folder / f"{name}-openvino.xml", LIBRARY)
        small = int8.OpenvinoQuantiser(openvino.converted(Graph(ours, doubling="shuffled")), crops)
        openvino.save(small.quantised(()), folder / f"{name}-openvino-int8.xml", LIBRARY)


def _serve(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    serve(args, _work(args), args.threads > 1)


def _work(args: argparse.Namespace) -> Work:
    image = _image(args)
    if args.row == "smp":
        network = unet(args).eval()
        network.load_state_dict(torch.load(args.weights, weights_only=True))
        pixels = torch.from_numpy(_normalised(image))
        return torch.inference_mode()(lambda: network(pixels))
    if args.row.startswith("smp"):
        image = _normalised(image)
    turns.on_all_cores()
    ending = ENDINGS[args.row.partition("-")[2]]
    run = runtime.open_file(args.weights.parent / f"{args.row}{ending}", args.threads)[1]
    return lambda: run(image)


def _bytes(folder: Path, name: str) -> int:
    return sum(file.stat().st_size for file in folder.glob(f"{name}.*") if file.suffix != ".npy")


def _difference(folder: Path) -> float:
    """Refuse to compare networks of the same weights that compute something else."""
    wanted = np.load(folder / "smp.npy")
    names = ("smp-onnx", "smp-openvino", "unet-onnx", "unet-openvino")
    found = [np.abs(np.load(folder / f"{name}.npy") - wanted).max() for name in names]
    worst = float(max(found) / np.abs(wanted).max())
    if worst > 1e-4:
        raise SystemExit(f"not the same work: the logits differ by {worst:.1e} of the largest")
    return worst


if __name__ == "__main__":
    main()
