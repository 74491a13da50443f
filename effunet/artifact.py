"""The segmenter file on disk: a path goes in, its checked header comes out; no torch, no numpy.

A segmenter is one safetensors file: eight bytes of header length, a JSON header, raw weights. Our
facts lie as one JSON text under one key of the header's `__metadata__` (one key, because the
format does not fix the order of several: equal contents give equal bytes).
"""

import json
import math
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, cast

from effunet.errors import ModelError, ResourceError

FILE_NAME = "segmenter.safetensors"
FORMAT = "effunet-segmenter"
VERSION = 1
METADATA_KEY = "effunet"
HEADER_LIMIT = 16 * 2**20
"""Bytes; B7's header takes about 0.1 MB, so a longer one is damaged or means harm."""

EXPORTS = (".onnx", ".xml")
"""Endings of exported files, which effunet/runtime.py reads."""

PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
"""Endings of files that may hold a pickle, which can run any code while it is read."""

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
"""Bytes of one element, by the format's names of types; the ones that a network can hold."""

FIELDS: dict[str, type | tuple[type, ...]] = {
    "library": str,
    "network": dict,
    "labels": dict,
    "ignore_index": int,
    "channels": int,
    "value_range": list,
    "mean": list,
    "std": list,
    "parameters": int,
    "macs": dict,
    "training_size": (list, type(None)),
    "dataset": (str, type(None)),
    "scores": (dict, type(None)),
}


@dataclass(frozen=True)
class TensorFact:
    """What the header says of one tensor: type (the format's name, like F32) and shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """A segmenter file without its weights."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, TensorFact]
    size: int  # bytes of the whole file

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes in index order; those that are no texts left out."""
        listed = self.metadata["labels"].get("classes")
        entries = listed if isinstance(listed, list) else []
        names = (entry.get("name") for entry in entries if isinstance(entry, dict))
        return tuple(name for name in names if isinstance(name, str))


def library() -> str:
    """What writes the file, like 'effunet 0.1.0'; only an installed one knows its number."""
    try:
        return f"effunet {version('effunet')}"
    except PackageNotFoundError:
        return "effunet (not installed)"


def find(path: str | Path) -> Path:
    """The segmenter file that the user means by a file or a run folder.

    Raises:
        ModelError: a URL, a pickle, or nothing there; the text says what was looked for.
    """
    if "://" in str(path):
        raise ModelError(
            f"{path}: effunet fetches no segmenter from the network; download it and name the file"
        )
    given = Path(path)
    if given.suffix.lower() in PICKLES:
        raise ModelError(
            f"{given}: a {given.suffix} file is a pickle and could run code while it is read; "
            f"name the run's {FILE_NAME}"
        )
    try:
        folder = given.is_dir()
        file = given / FILE_NAME if folder else given
        if file.is_file():
            if not os.access(file, os.R_OK):
                raise ResourceError(f"{file} may not be read: give yourself permission to it")
            return file
    except OSError as error:  # a name that no file can have
        raise ModelError(f"no segmenter at {given}: {error.strerror}") from error
    if folder:
        raise ModelError(f"no {FILE_NAME} in the folder {given}{_runs_below(given)}")
    raise ModelError(f"no segmenter at {given}: no such file or folder{_runs_below(given.parent)}")


def _runs_below(folder: Path) -> str:
    """The mend: run folders there that do hold a segmenter, newest last, or what makes one."""
    runs = sorted(folder.glob(f"*/{FILE_NAME}"), key=lambda file: file.stat().st_mtime)
    if not runs:
        return "; python train.py writes one into runs/NAME"
    return "; there is " + ", ".join(str(file.parent) for file in runs[-5:])


def read_header(path: str | Path) -> dict[str, Any]:
    """The metadata of a segmenter file or run folder, checked; reads no weights and no torch."""
    return inspect(path).metadata


def inspect(path: str | Path) -> Header:
    """Read and check everything but the weights.

    Raises:
        ModelError: not a safetensors file, cut, damaged, not ours, or of an unknown version.
    """
    file = find(path)
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = int.from_bytes(start, "little")
        if start[:2] == b"PK" or (start[:1] == b"\x80" and start[1:2] in b"\2\3\4\5"):
            _refuse(file, "holds a pickle, which could run code while it is read")
        if len(start) < 8 or not 2 <= length <= min(size - 8, HEADER_LIMIT):
            _refuse(file, f"is no safetensors file, or a cut one ({size} bytes)")
        text = stream.read(length)
    try:
        header = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        _refuse(file, "has a damaged header")
    if not isinstance(header, dict):
        _refuse(file, "has a damaged header")
    facts = header.pop("__metadata__", None)
    tensors = _tensors(file, header, size - 8 - length)
    if not isinstance(facts, dict) or not isinstance(facts.get(METADATA_KEY), str):
        _refuse(file, "is a safetensors file without effunet's description: weights alone")
    return Header(file, _metadata(file, facts[METADATA_KEY]), tensors, size)


def _tensors(file: Path, header: dict[str, Any], data: int) -> dict[str, TensorFact]:
    """Every tensor's type and shape; their bytes must fill the rest of the file, each byte once."""
    facts: dict[str, TensorFact] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in header.items():
        match entry:
            case {
                "dtype": str(dtype),
                "shape": list(shape),
                "data_offsets": [int(start), int(end)],
            }:
                numbers = all(type(side) is int and side >= 0 for side in shape)
            case _:
                _refuse(file, f"has a damaged header at {name!r}")
        if dtype not in BYTES or not numbers or end - start != BYTES[dtype] * math.prod(shape):
            _refuse(file, f"has a damaged header at {name!r} (type, shape and bytes disagree)")
        facts[name] = TensorFact(dtype, tuple(shape))
        spans.append((start, end))
    edges = [(0, 0), *sorted(spans), (data, data)]
    if any(before[1] != after[0] for before, after in pairwise(edges)):
        _refuse(file, "is cut or damaged (its weights do not fill the file exactly)")
    return facts


def _metadata(file: Path, text: str) -> dict[str, Any]:
    try:
        metadata = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        _refuse(file, "has a damaged description")
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        _refuse(file, f"is not of the format {FORMAT}")
    metadata = cast("dict[str, Any]", metadata)
    if metadata.get("version") != VERSION:
        raise ModelError(
            f"{file} has version {metadata.get('version')!r} of the segmenter format, "
            f"and {library()} reads version {VERSION}: install a newer effunet"
        )
    for key, kind in FIELDS.items():
        if not isinstance(metadata.get(key), kind):
            _refuse(file, f"has a damaged description at {key!r}: {metadata.get(key)!r}"[:200])
    return metadata


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: whoever reads or crashes sees the old one or the new one.

    The temporary file lies in the same folder, because a move between file systems is a copy.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    # The new name itself is safe only once its folder is; Windows opens no folders.
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _refuse(file: Path, why: str) -> NoReturn:
    raise ModelError(f"{file} {why}; give a {FILE_NAME} that effunet wrote")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
