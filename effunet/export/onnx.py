"""ONNX by torch's dynamo exporter: one file, weights inside, any height, width and batch."""

import json
import warnings
from ast import literal_eval
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.fx.experimental._config
from torch.export import Dim, ExportedProgram

from effunet.export.graph import Graph
from effunet.runtime import KEY

if TYPE_CHECKING:
    import onnx_ir

DYNAMIC = {0: "batch", 2: "height", 3: "width"}
SCOPES = "pkg.torch.onnx.name_scopes"
"""Where the exporter leaves the modules that a node comes from."""

LARGE = 64
"""Elements of a weight from which it is worth a node to have it in half the bytes."""


patched = torch.fx.experimental._config.patch  # pyright: ignore[reportAttributeAccessIssue]


def traced(graph: Graph) -> ExportedProgram:
    """The graph as torch.export sees it, of any batch, height and width."""
    sizes = {"image": {axis: Dim.DYNAMIC for axis in DYNAMIC}}
    # Else torch takes for granted that no side is 1 and what follows from it, and a .pt2 refuses
    # the images for which it is otherwise: those of sides up to 32, or of a multiple of it.
    with patched(backed_size_oblivious=True):
        return torch.export.export(graph, (example(graph.channels),), dynamic_shapes=sizes)


def example(channels: int) -> torch.Tensor:
    """Images of a size that is no multiple of anything: nothing in it is taken for a constant."""
    return torch.zeros(2, channels, 97, 133, dtype=torch.uint8)


def to_bytes(graph: Graph, *, half: bool = False) -> bytes:
    """The model without its metadata.

    Args:
        graph: what it computes.
        half: weights as float16, which the runtime computes with in float32.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own insides
        program = torch.onnx.export(
            traced(graph),
            dynamo=True,
            external_data=False,
            input_names=["image"],
            output_names=[graph.output],
            dynamic_shapes={"image": DYNAMIC},
            verbose=False,
        )
    assert program is not None
    _tidy(program.model)
    if half:
        _halve(program.model)
    data: bytes = program.model_proto.SerializeToString()
    return data


def save(data: bytes, file: Path, facts: Mapping[str, Any]) -> None:
    """Write a model with its metadata."""
    import onnx

    model = onnx.load_from_string(data)
    onnx.helper.set_model_props(model, {KEY: json.dumps(facts, sort_keys=True)})
    model.producer_name, _, model.producer_version = str(facts["library"]).partition(" ")
    file.write_bytes(model.SerializeToString())


def _tidy(model: "onnx_ir.Model") -> None:
    """Name nodes by the module that they come from, and forget where its source lay."""
    model.metadata_props.clear()
    model.graph.doc_string = None
    for number, node in enumerate(model.graph):
        scopes = literal_eval(node.metadata_props.get(SCOPES, "[]"))
        modules = [scope for scope in scopes[:-1] if scope[:1] not in ("", "_")]
        module = modules[-1].removeprefix("body").removeprefix(".") if modules else ""
        node.name = f"{module or 'image'}/{node.op_type}_{number}"
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            value.doc_string = None
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


def _halve(model: "onnx_ir.Model") -> None:
    """Store large float32 weights as float16, each behind a Cast."""
    import onnx_ir as ir

    for name, value in list(model.graph.initializers.items()):
        weight = value.const_value
        if weight is None or weight.dtype != ir.DataType.FLOAT or weight.size < LARGE:
            continue
        small = ir.Value(
            name=f"{name}_half", const_value=ir.tensor(weight.numpy().astype(np.float16))
        )
        cast = ir.node("Cast", [small], {"to": ir.DataType.FLOAT}, name=f"{name}/Cast")
        value.replace_all_uses_with(cast.outputs[0])
        model.graph.initializers.pop(name)
        model.graph.register_initializer(small)
        model.graph.insert_before(model.graph[0], cast)
