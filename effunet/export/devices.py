"""Files for phones and small boards, ExecuTorch's and LiteRT's: one image of one size.

Neither keeps foreign metadata: they lie beside the file, as JSON.
"""

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch

from effunet.export.graph import Graph
from effunet.export.proof import Run

Size = tuple[int, int]
"""Height and width of the image."""


def beside(file: Path) -> Path:
    """Where the metadata of a file lie: model.pte -> model.pte.json."""
    return file.with_name(f"{file.name}.json")


def save(data: bytes, file: Path, facts: Mapping[str, Any]) -> None:
    """Write the file, and its metadata beside it."""
    file.write_bytes(data)
    beside(file).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def executorch(graph: Graph, size: Size) -> bytes:
    """A .pte whose operators run on XNNPACK, by ExecuTorch's own lowering."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import (  # pyright: ignore
        XnnpackPartitioner,
    )
    from executorch.exir import to_edge_transform_and_lower  # pyright: ignore

    program = torch.export.export(graph, (_image(graph, size),))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    return bytes(lowered.to_executorch().buffer)


def run_executorch(file: Path) -> Run:
    """A .pte of our own as a function of arrays."""
    from executorch.runtime import Runtime  # pyright: ignore

    # What holds the method must outlive it.
    program = Runtime.get().load_program(str(file))
    method = program.load_method("forward")

    def run(images: np.ndarray, _program: object = program) -> np.ndarray:
        # ExecuTorch takes the memory as it lies, whatever the strides say. And the answer is a
        # copy, for the next call writes into the same memory.
        pixels = torch.from_numpy(np.ascontiguousarray(images))
        return method.execute([pixels])[0].numpy().copy()

    return run


def litert(graph: Graph, size: Size) -> bytes:
    """A .tflite, by LiteRT's own converter of PyTorch."""
    import litert_torch  # pyright: ignore

    with redirect_stdout(io.StringIO()):  # it tells how far it is
        return bytes(litert_torch.convert(graph, (_image(graph, size),)).model_content())


def run_litert(file: Path) -> Run:
    """A .tflite of our own as a function of arrays."""
    from ai_edge_litert.interpreter import Interpreter  # pyright: ignore

    interpreter = Interpreter(str(file))
    interpreter.allocate_tensors()
    (image,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(images: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(image["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(answer["index"])

    return run


def _image(graph: Graph, size: Size) -> torch.Tensor:
    return torch.zeros(1, graph.channels, *size, dtype=torch.uint8)
