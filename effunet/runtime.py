"""Run a segmenter that effunet has exported: NumPy, OpenCV or Pillow, and ONNX Runtime or OpenVINO.

It imports nothing of effunet and no torch: copied beside a model, this file is all that a program
needs. Everything else (classes, colours, what the output means) lies in the model's own metadata.

    from runtime import Model
    model = Model.load("model.onnx")
    mask = model("photo.jpg").mask                       # H x W, uint8, class indices

    python runtime.py model.onnx photo.jpg ... --out out/ [--overlay] [--tile 1024]
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

FORMAT, VERSION, KEY = "effunet-export", 1, "effunet"
GRID = 32
"""Tiles start on multiples of it, where the network's cells lie in the whole image."""

RUNTIMES = {".onnx": "onnxruntime", ".xml": "openvino"}
"""What runs a model, by the ending of its file."""

OUTPUTS = ("logits", "probabilities", "mask")

Array = np.ndarray
Run = Callable[[Array], Array]
"""Images B C H W, uint8 -> the model's own output."""


class ExportError(Exception):
    """A file that is none of effunet's exports, or a runtime that is missing; one line."""


@dataclass(frozen=True)
class Result:
    """What a model says of one image, at the image's own size."""

    mask: Array  # H x W, uint8: class indices
    probabilities: Array | None  # K x H x W, float32; None where the model gives masks alone


@dataclass(frozen=True)
class Model:
    """An exported segmenter; call it with an image of any size."""

    facts: dict[str, Any]  # its metadata, plain JSON
    run: Run

    @classmethod
    def load(cls, path: str | Path, threads: int | None = None) -> "Model":
        """Read a model.onnx, or the .xml of an OpenVINO model.

        Args:
            path: of the file.
            threads: of the runtime; None: its own choice.

        Raises:
            ExportError: no such file, not ours, or the runtime is not installed.
        """
        text, run = open_file(Path(path), threads)
        return cls(_checked(Path(path), text), run)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their indices."""
        return tuple(entry["name"] for entry in self.facts["labels"]["classes"])

    @property
    def palette(self) -> Array:
        """The colours of the classes, K x 3, uint8, red green blue."""
        return np.array([entry["color"] for entry in self.facts["labels"]["classes"]], np.uint8)

    @property
    def output(self) -> str:
        """What the model gives: logits, probabilities or mask."""
        return str(self.facts["output"])

    def __call__(self, image: Array | str | Path, tile: int | None = None) -> Result:
        """Segment one image.

        Args:
            image: H x W x C, uint8, red green blue, or a file.
            tile: height and width of tiles, a multiple of 32 and 64 at least, for images that do
                not fit into the memory whole; they overlap by a quarter and are blended.

        Raises:
            ValueError: an image of another type or number of channels, or no such tile.
        """
        array = self.as_array(image)
        if tile is not None and (tile < 2 * GRID or tile % GRID):
            raise ValueError(
                f"tile must be a multiple of {GRID} and {2 * GRID} at least, got {tile}"
            )
        if tile is None or max(array.shape[:2]) <= tile:
            return self._decided(self._looked(array))
        if self.output == "mask":
            raise ValueError(
                "this model gives masks, which cannot be blended: predict whole images"
            )
        return self._decided(self._blended(array, tile))

    def as_array(self, image: Array | str | Path) -> Array:
        """An image as the model takes it, H x W x C; grey becomes RGB where it must."""
        array = read_image(image) if isinstance(image, str | Path) else np.asarray(image)
        channels = int(self.facts["channels"])
        if array.ndim == 2:
            array = array[..., None]
        if array.ndim == 3 and array.shape[2] == 1 and channels == 3:
            array = np.repeat(array, 3, axis=2)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != channels:
            raise ValueError(
                f"an image must be uint8 of the shape (height, width, {channels}), "
                f"got {array.dtype} {array.shape}"
            )
        return array

    def colored(self, mask: Array) -> Array:
        """A mask in the colours of its classes, H x W x 3."""
        return self.palette[mask]

    def overlay(self, image: Array, mask: Array, alpha: float = 0.5) -> Array:
        """The colours of the classes laid over an RGB image, with their share alpha in 0..1."""
        mixed = (1 - alpha) * image[..., :3] + alpha * self.colored(mask)
        return np.round(mixed).astype(np.uint8)

    def _looked(self, array: Array) -> Array:
        """Mask H W, or probabilities K H W, of an image or tile."""
        found = self.run(np.ascontiguousarray(array.transpose(2, 0, 1))[None])[0]
        return _softmax(found, self._temperature) if self.output == "logits" else found

    def _decided(self, found: Array) -> Result:
        if self.output == "mask":
            return Result(found, None)
        threshold = (self.facts.get("calibration") or {}).get("threshold")
        if threshold is not None:
            return Result((found[1] >= threshold).astype(np.uint8), found)
        return Result(found.argmax(0).astype(np.uint8), found)

    @property
    def _temperature(self) -> float:
        return float((self.facts.get("calibration") or {}).get("temperature") or 1.0)

    def _blended(self, array: Array, tile: int) -> Array:
        """Probabilities of an image from tiles with raised-cosine flanks."""
        height, width = array.shape[:2]
        total = np.zeros((len(self.classes), height, width), np.float32)
        for rows, row_weight in _windows(height, tile):
            for columns, column_weight in _windows(width, tile):
                weight = np.outer(row_weight, column_weight).astype(np.float32)
                total[:, rows, columns] += self._looked(array[rows, columns]) * weight
        return total


def open_file(file: Path, threads: int | None = None) -> tuple[str | None, Run]:
    """The metadata of a model as they stand there (None: it has none), and how to run it.

    Raises:
        ExportError: no such file, damaged, or its runtime is not installed.
    """
    if not file.is_file():
        raise ExportError(f"no model at {file}: no such file")
    name = RUNTIMES.get(file.suffix.lower())
    if name is None:
        raise ExportError(
            f"{file}: a model ends in {' or '.join(RUNTIMES)}, not in {file.suffix!r}"
        )
    return (_onnx if name == "onnxruntime" else _openvino)(file, threads)


def tell_nobody() -> None:
    """Keep OpenVINO and NNCF from reporting their use to their makers' server; call it first."""
    sys.modules.setdefault("openvino_telemetry", cast("Any", None))


def read_image(path: str | Path) -> Array:
    """An image file upright as H x W x 3, red green blue; by OpenCV, or by Pillow.

    Raises:
        ExportError: it cannot be read, or neither library is installed.
    """
    try:
        import cv2
    except ImportError:
        return _by_pillow(Path(path))
    found = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if found is None:
        raise ExportError(f"{path} is no image that OpenCV reads")
    return np.ascontiguousarray(found[..., ::-1])


def write_mask(path: Path, mask: Array, palette: Array | None = None) -> None:
    """Write class indices (a palette PNG with Pillow, a grey one with OpenCV), or an RGB image."""
    try:
        from PIL import Image
    except ImportError:
        import cv2

        cv2.imwrite(str(path), mask if mask.ndim == 2 else mask[..., ::-1])
        return
    picture = Image.fromarray(mask)
    if palette is not None:
        picture.putpalette(palette.tobytes())
    picture.save(path)


def _by_pillow(path: Path) -> Array:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ExportError("images are read by OpenCV or Pillow: pip install pillow") from None
    try:
        with Image.open(path) as picture:
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except OSError as error:
        raise ExportError(f"{path} is no image that Pillow reads: {error}") from error


def _onnx(file: Path, threads: int | None) -> tuple[str | None, Run]:
    try:
        import onnxruntime
    except ImportError:
        raise ExportError(f"{file} needs ONNX Runtime: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3  # its warnings are about its own insides
    # Our weights lie in the file. A model that asks for others could read any file: it is given a
    # folder that cannot be there.
    key = "session.model_external_initializers_file_folder_path"
    options.add_session_config_entry(key, str(file.resolve() / "nothing"))
    try:
        session = onnxruntime.InferenceSession(
            file.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        if "xternal" in str(error):
            raise ExportError(
                f"{file} keeps its weights in other files, which no export of effunet does: refused"
            ) from error
        raise ExportError(f"{file} is damaged, or no ONNX model: {_short(error)}") from error
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    return text, lambda images: cast("Array", session.run(None, {"image": images})[0])


def _openvino(file: Path, threads: int | None) -> tuple[str | None, Run]:
    tell_nobody()
    try:
        import openvino
    except ImportError:
        raise ExportError(f"{file} needs OpenVINO: pip install openvino") from None
    # Else it computes in bfloat16 where the processor can, and says so to nobody.
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    try:
        model = openvino.Core().read_model(file)
        compiled = openvino.compile_model(model, "CPU", options)
    except Exception as error:
        raise ExportError(f"{file} is damaged, or no OpenVINO model: {_short(error)}") from error
    text = model.get_rt_info([KEY]).astype(str) if model.has_rt_info([KEY]) else None
    return text, lambda images: compiled([images])[0]


def _checked(file: Path, text: str | None) -> dict[str, Any]:
    """The metadata of a model, if it is one of ours."""
    if text is None:
        raise ExportError(f"{file} was not exported by effunet: it lacks its metadata")
    try:
        facts = json.loads(text)
    except ValueError as error:
        raise ExportError(f"{file} has damaged metadata: export it again") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ExportError(f"{file} has damaged metadata: export it again")
    if facts.get("version") != VERSION:
        raise ExportError(
            f"{file} has version {facts.get('version')!r} of the metadata, and this program reads "
            f"version {VERSION}: take the one of the effunet that exported it"
        )
    match facts:
        case {"labels": {"classes": [_, *_] as classes}, "channels": int(), "output": str(output)}:
            whole = all(_is_class(entry) for entry in classes) and output in OUTPUTS
        case _:
            whole = False
    if not whole:
        raise ExportError(f"{file} has damaged metadata: export it again")
    return facts


def _is_class(entry: Any) -> bool:
    match entry:
        case {"name": str(), "color": [int(), int(), int()]}:
            return True
        case _:
            return False


def _windows(size: int, tile: int) -> list[tuple[slice, Array]]:
    """Overlapping stretches that cover 0..size, with weights that sum to one at every place."""
    overlap = max(GRID, tile // 4 // GRID * GRID)
    starts = [0]
    while starts[-1] + tile < size:
        starts.append(min(starts[-1] + tile - overlap, -(-(size - tile) // GRID) * GRID))
    flank = np.sin(np.pi / 2 * (np.arange(overlap) + 0.5) / overlap) ** 2
    total = np.zeros(size)
    found: list[tuple[slice, Array]] = []
    for start in starts:
        stretch = slice(start, min(start + tile, size))
        weight = np.ones(stretch.stop - start)
        if start > 0:
            weight[:overlap] = flank
        if stretch.stop < size:
            weight[-overlap:] *= flank[::-1]
        total[stretch] += weight
        found.append((stretch, weight))
    return [(stretch, weight / total[stretch]) for stretch, weight in found]


def _softmax(logits: Array, temperature: float) -> Array:
    scaled = logits / np.float32(temperature)
    powers = np.exp(scaled - scaled.max(0, keepdims=True))
    result: Array = powers / powers.sum(0, keepdims=True)
    return result


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def main(words: Sequence[str] | None = None) -> int:
    """Write one mask an image."""
    parser = argparse.ArgumentParser(description="Segment images with an exported model.")
    parser.add_argument("model", type=Path)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--overlay", action="store_true")
    parser.add_argument("--tile", type=int)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args(words)
    try:
        model = Model.load(given.model, given.threads)
        given.out.mkdir(parents=True, exist_ok=True)
        for path in given.images:
            image = model.as_array(path)
            mask = model(image, given.tile).mask
            write_mask(given.out / f"{path.stem}.png", mask, model.palette)
            if given.overlay:
                write_mask(given.out / f"{path.stem}_overlay.png", model.overlay(image, mask))
    except (ExportError, ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
