"""One network of the family in every format that takes any size; tests of a decoder each use it."""

from pathlib import Path

import pytest
import torch
from test_graph import VARIANTS, lively

from effunet.export import onnx
from effunet.export.export import original_of
from effunet.export.facts import facts_of
from effunet.export.formats import FORMATS, Work
from effunet.export.graph import Graph
from effunet.export.proof import BOUNDS, prove, scenes
from effunet.labels import LabelClass, LabelMap
from effunet.model.decoders.plan import DecoderName
from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet
from effunet.segmenter import Segmenter

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

FIVE = LabelMap(
    tuple(LabelClass(name, (place, 0, 0), (place,)) for place, name in enumerate("abcde"))
)
SMALL = ((64, 64), (33, 71))

FAMILY = [pytest.param(name, marks=[pytest.mark.slow] if name > "b0" else []) for name in VARIANTS]
"""B0 among the long cases, the larger ones by hand."""


def assert_alike_in_every_format(
    variant: str, decoder: DecoderName, folder: Path, patch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = lively(EffUNet(EfficientNet(variant), classes=len(FIVE), decoder=decoder))
    segmenter = Segmenter(network, FIVE)
    original = original_of(segmenter, "logits")
    # Tracing is half of the time: each graph is traced once for all formats that take it, and of
    # the efficient decoder, in which nothing is doubled, there is one graph.
    graph = Graph(network)
    other = Graph(network, doubling="transposed") if decoder == "unet" else graph
    graphs = {"concatenated": graph, "transposed": other}
    traces = {id(graph): onnx.traced(graph) for graph in {*graphs.values()}}
    patch.setattr(onnx, "traced", lambda graph: traces[id(graph)])
    proofs = {}
    for name, format in FORMATS.items():
        if format.fixed:
            continue  # test_devices.py
        work = Work(graphs[format.doubling], "fp32", folder, original, len(FIVE))
        file = folder / f"model{format.endings[0]}"
        format.draft(work).save(file, facts_of(segmenter, "logits", "fp32"))
        proofs[name] = prove(original, format.run(file), scenes(3, SMALL))
    assert all(proof.holds(BOUNDS["fp32"]) for proof in proofs.values()), proofs
