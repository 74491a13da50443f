"""The kinds of file that a segmenter can leave as: what makes, writes and runs each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from effunet.errors import UsageError
from effunet.export import devices, int8, onnx, openvino, torch_files
from effunet.export.devices import Size
from effunet.export.graph import Graph
from effunet.export.proof import Run
from effunet.export.sensitivity import MOST, Labelled, Trial, search
from effunet.export.unet import Doubling
from effunet.runtime import open_file

Precision = Literal["fp32", "fp16", "int8"]
Save = Callable[[Path, Mapping[str, Any]], None]
"""Writes the file and what belongs beside it, with this metadata."""


@dataclass(frozen=True)
class Work:
    """What a draft is made of."""

    graph: Graph
    precision: Precision
    folder: Path  # for files on the way
    original: Run  # what the graph has to answer
    classes: int
    calibration: int8.Crops = ()  # 8 bits: images that the ranges are taken from
    judged: Labelled = ()  # 8 bits: others, by which it is judged
    most: float = MOST  # 8 bits: points of mIoU that it may lose on these
    size: Size | None = None  # of the one image that it takes; None: any


@dataclass(frozen=True)
class Draft:
    """An export that is not yet proved."""

    save: Save
    trials: Sequence[Trial] = field(default=())  # of 8 bits; the last one is what was taken


@dataclass(frozen=True)
class Format:
    """One kind of file."""

    title: str
    endings: tuple[str, ...]  # of its files; the first is the one that is named
    precisions: tuple[Precision, ...]
    draft: Callable[[Work], Draft]
    run: Callable[[Path], Run]
    needs: Mapping[Precision, tuple[str, ...]]  # modules
    extra: str | None  # of our package, which brings them
    doubling: Doubling  # how its runtime computes a U-Net soonest
    doubling_int8: Doubling = "concatenated"  # the same, of 8 bits
    fixed: bool = False  # whether it takes images of one size alone, one at a time

    def check(self, precision: Precision, size: Size | None, name: str) -> None:
        """Raise UsageError unless it has this precision and size, and what it needs is there."""
        if precision not in self.precisions:
            raise UsageError(f"--precision {precision} is for onnx and openvino, not for {name}")
        if self.fixed and size is None:
            raise UsageError(f"--format {name} takes images of one size: name it, --size 512x1024")
        if size is not None and not self.fixed:
            fixed = " and ".join(key for key, format in FORMATS.items() if format.fixed)
            raise UsageError(f"--size is for {fixed}: a file of --format {name} takes any size")
        missing = [module for module in self.needs[precision] if find_spec(module) is None]
        if missing:
            raise UsageError(
                f"--format {name} needs {', '.join(missing)}: pip install 'effunet[{self.extra}]'"
            )


def served(file: Path) -> Run:
    """A file that effunet.runtime runs, as a function of arrays."""
    return open_file(file)[1]


def _onnx(work: Work) -> Draft:
    data = onnx.to_bytes(work.graph, half=work.precision == "fp16")
    if work.precision != "int8":
        return Draft(partial(onnx.save, data))
    quantiser = int8.OnnxQuantiser(data, work.calibration, work.folder)
    return _searched(work, quantiser.quantised, onnx.save, work.folder / "trial.onnx")


def _openvino(work: Work) -> Draft:
    model = openvino.converted(work.graph)
    if work.precision != "int8":
        return Draft(partial(openvino.save, model, half=work.precision == "fp16"))
    quantiser = int8.OpenvinoQuantiser(model, work.calibration)
    return _searched(work, quantiser.quantised, openvino.save, work.folder / "trial.xml")


def _searched(
    work: Work, quantised: Callable[[Sequence[str]], Any], save: Callable[..., None], file: Path
) -> Draft:
    """The best model of 8 bits; `file` holds each that is tried."""
    made: dict[tuple[str, ...], Any] = {}

    def run(kept: tuple[str, ...]) -> Run:
        made[kept] = quantised(kept)
        save(made[kept], file, {"library": ""})
        return served(file)

    trials = search(work.original, run, work.judged, work.classes, work.most)
    return Draft(partial(save, made[trials[-1].kept]), trials)


def _torch_export(work: Work) -> Draft:
    return Draft(partial(torch_files.save_exported, onnx.traced(work.graph)))


def _torchscript(work: Work) -> Draft:
    return Draft(partial(torch_files.save_scripted, torch_files.scripted(work.graph)))


def _fixed(make: Callable[[Graph, Size], bytes], work: Work) -> Draft:
    assert work.size is not None  # as Format.check saw
    return Draft(partial(devices.save, make(work.graph, work.size)))


_ONNX = ("onnx", "onnxscript", "onnxruntime")
_OPENVINO = ("onnx", "onnxscript", "openvino")
_NOTHING: dict[Precision, tuple[str, ...]] = {"fp32": ()}

FORMATS = {
    "onnx": Format(
        "ONNX", (".onnx",), ("fp32", "fp16", "int8"), _onnx, served,
        {"fp32": _ONNX, "fp16": _ONNX, "int8": _ONNX}, "onnx", doubling="concatenated",
    ),
    "openvino": Format(
        "OpenVINO", (".xml", ".bin"), ("fp32", "fp16", "int8"), _openvino, served,
        {"fp32": _OPENVINO, "fp16": _OPENVINO, "int8": (*_OPENVINO, "nncf")}, "openvino",
        doubling="transposed", doubling_int8="shuffled",
    ),
    "torchscript": Format(
        "TorchScript", (".torchscript",), ("fp32",), _torchscript, torch_files.run_scripted,
        _NOTHING, None, doubling="transposed",
    ),
    "torch-export": Format(
        "torch.export", (".pt2",), ("fp32",), _torch_export, torch_files.run_exported,
        _NOTHING, None, doubling="transposed",
    ),
    "executorch": Format(
        "ExecuTorch", (".pte", ".pte.json"), ("fp32",), partial(_fixed, devices.executorch),
        devices.run_executorch, {"fp32": ("executorch",)}, "executorch",
        doubling="transposed", fixed=True,
    ),
    "litert": Format(
        "LiteRT", (".tflite", ".tflite.json"), ("fp32",), partial(_fixed, devices.litert),
        devices.run_litert, {"fp32": ("litert_torch",)}, "litert",
        doubling="transposed", fixed=True,
    ),
}  # fmt: skip
"""By the word after --format."""
