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
    model = openvino.convert_model(BytesIO(onnx.to_bytes(graph)))
    _enlarge_in_planes(model)
    return model


def _enlarge_in_planes(model: "Model") -> None:
    """Have the scores in planes, as they leave, before they are enlarged and not behind it.

    A convolution gives them pixel by pixel. To turn that round is less work where they are fewer;
    and of a large image it is slow, for the same pixel of all planes falls on one set of cache
    lines. A reshape and its way back compute nothing, and ask for planes.
    """
    import openvino.opset13 as ops

    for node in model.get_ordered_ops():
        users = [user.get_node().get_type_name() for user in node.output(0).get_target_inputs()]
        if node.get_type_name() == "Interpolate" and users == ["Slice"]:  # the crop of all scores
            scores = node.input_value(0)
            planes = ops.reshape(scores, ops.constant([0, 0, -1]), special_zero=True)
            back = ops.reshape(planes, ops.shape_of(scores), special_zero=False)
            node.input(0).replace_source_output(back.output(0))


def save(model: "Model", file: Path, facts: Mapping[str, Any], *, half: bool = False) -> None:
    """Write file.xml and file.bin with the metadata; `half`: weights as float16."""
    import openvino

    model.set_rt_info(json.dumps(facts, sort_keys=True), [KEY])
    openvino.save_model(model, file, compress_to_fp16=half)
