"""OpenVINO: an .xml with the graph and the metadata, a .bin with the weights."""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effunet.export import onnx
from effunet.export.graph import Graph
from effunet.runtime import KEY, tell_nobody

if TYPE_CHECKING:
    from openvino import Model


def converted(graph: Graph) -> "Model":
    """The graph as OpenVINO holds it; its nodes have the names of those of the ONNX model."""
    tell_nobody()
    import openvino

    # By way of ONNX: OpenVINO's own reader of torch's graphs knows no % of a size.
    return openvino.convert_model(BytesIO(onnx.to_bytes(graph)))


def save(model: "Model", file: Path, facts: Mapping[str, Any], *, half: bool = False) -> None:
    """Write file.xml and file.bin with the metadata; `half`: weights as float16."""
    import openvino

    model.set_rt_info(json.dumps(facts, sort_keys=True), [KEY])
    openvino.save_model(model, file, compress_to_fp16=half)
