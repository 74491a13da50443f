"""A weight file -> its tensors and what else it says of itself; runs no code of the file.

.safetensors holds tensors alone. Anything else is taken for torch.save's, read with weights_only.
"""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from effunet.errors import ModelError

NESTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "encoder")
"""Where checkpoints keep the weights among other things, the usual one first."""


@dataclass(frozen=True)
class Contents:
    """What a weight file holds."""

    source: str  # as the user named it
    label: str  # all that may tell the lineage: names of the file, its folder, the architecture
    tensors: dict[str, Tensor]
    facts: dict[str, Any]  # our own metadata, and timm's pretrained_cfg, where there are any


def read(path: Path, source: str, label: str = "") -> Contents:
    """Read a weight file, and a hub's config.json beside it.

    Args:
        path: of the file.
        source: what to call it in a line.
        label: more names that may tell the lineage, such as the repository's.

    Raises:
        ModelError: missing, cut short, of another format, or one that would run code.
    """
    if not path.is_file():
        raise ModelError(f"{source}: there is no such weight file: check the path")
    try:
        if path.suffix == ".safetensors":
            tensors, facts = _safetensors(path)
        else:
            tensors, facts = _torch(path, source), {}
    except (SafetensorError, OSError, EOFError) as fault:
        raise ModelError(
            f"{source}: is no readable {path.suffix or 'weight'} file ({_line(fault)}): it may be "
            "cut short or another format renamed; get it again"
        ) from fault
    beside = _config(path)
    known = (label, path.name, facts.get("naming", ""), beside.get("architecture", ""))
    facts = {**beside.get("pretrained_cfg", {}), **facts}
    return Contents(source, " ".join(str(name) for name in known if name), tensors, facts)


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, dict(file.metadata() or {})


def _torch(path: Path, source: str) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own about TorchScript archives
            held: object = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, AttributeError, ImportError) as fault:
        raise ModelError(
            f"{source}: holds more than tensors, or is no file of torch.save; what it holds could "
            "run code, so it was not read: save model.state_dict() alone where it comes from"
        ) from fault
    except (RuntimeError, ValueError, KeyError, IndexError, UnicodeDecodeError) as fault:
        raise EOFError(fault) from fault
    return _innermost(held, source)


def _innermost(held: object, source: str) -> dict[str, Tensor]:
    """Find the weights within a checkpoint, which keeps them among counters and settings."""
    while isinstance(held, dict):
        values = cast("dict[Any, Any]", held)
        tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        nests = [name for name in NESTS if isinstance(values.get(name), dict)]
        if not nests:
            return {str(name): value for name, value in tensors.items()}
        held = values[nests[0]]
    raise ModelError(
        f"{source}: holds a {type(held).__name__} and no named tensors: "
        "save model.state_dict() where it comes from"
    )


def _config(path: Path) -> dict[str, Any]:
    """The config.json that a hub keeps beside a model.safetensors; anything else is not ours."""
    file = path.parent / "config.json"
    if path.name not in ("model.safetensors", "pytorch_model.bin") or not file.is_file():
        return {}
    try:
        facts: object = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(facts, dict):
        return {}
    values = cast("dict[str, Any]", facts)
    nested: object = values.get("pretrained_cfg")
    return {**values, "pretrained_cfg": nested if isinstance(nested, dict) else {}}


def _line(fault: Exception) -> str:
    return str(fault).strip().split("\n", 1)[0][:120] or type(fault).__name__
