"""torch's own files: torch.export's .pt2, and TorchScript, which torch has given up (2.15).

Both are for programs with torch that shall not need effunet. effunet writes and measures them, and
never loads one that a user names: each can hold code.
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from effunet.export.graph import Graph
from effunet.export.onnx import example
from effunet.export.proof import Run, running
from effunet.runtime import KEY


def save_exported(program: ExportedProgram, file: Path, facts: Mapping[str, Any]) -> None:
    """A .pt2: torch.export.load(file).module()(images); the facts under extra_files."""
    torch.export.save(program, file, extra_files={KEY: json.dumps(facts)})


def run_exported(file: Path) -> Run:
    """The program in a .pt2 of our own, as a function of arrays."""
    return running(torch.export.load(file).module())


def scripted(graph: Graph) -> torch.jit.ScriptModule:
    """The graph as TorchScript."""
    with warnings.catch_warnings():
        # Of torch: that it gives TorchScript up, and that a trace may take a size for a constant,
        # which the proof looks for.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(graph, example(graph.channels), check_trace=False)
    assert isinstance(traced, torch.jit.ScriptModule)
    return traced


def save_scripted(script: torch.jit.ScriptModule, file: Path, facts: Mapping[str, Any]) -> None:
    """A TorchScript file: torch.jit.load(file)(images), from Python or C++."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(script, file, _extra_files={KEY: json.dumps(facts)})


def run_scripted(file: Path) -> Run:
    """The module in a TorchScript file of our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return running(torch.jit.load(file))
