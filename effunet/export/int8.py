"""Weights and activations of 8 bits after the training, calibrated on images of the training split.

Weights have a step a channel, activations one a tensor. EfficientNet's activations have few values
far outside of all others: where the range is the largest one's, most steps go to nothing, and the
network collapses. ONNX Runtime's ranges are therefore percentiles, and NNCF's for OpenVINO those
that round a histogram of the values best. What still breaks is found by a sensitivity pass
(sensitivity.py), and stays in float32.
"""

import io
import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from effunet.errors import ModelError
from effunet.runtime import tell_nobody

if TYPE_CHECKING:
    from openvino import Model

Crops = Sequence[UInt8[ndarray, "1 C h w"]]
"""Of one size."""

PERCENTILE = 99.999
"""Share of an activation's values, in per cent, that its range holds on each side."""

OPERATORS = ["Conv", "Sigmoid", "Mul", "Relu", "Resize"]
"""ONNX's, of 8 bits: with SiLU's two, what lies between convolutions is no longer widened to floats
and rounded again. Shortcuts stay out: their Add in 8 bits saves nothing."""

GROUPS = (
    *("early depthwise", "early pointwise", "late depthwise", "late pointwise"),
    *("squeeze", "decoder", "head"),
)
"""Parts of a network that are of 8 bits together, or of none."""

FLOAT = ("stem",)
"""Parts that are never of 8 bits: a convolution of so few channels is no faster in them, and a
U-Net's finest skip carries what is lost of the image's edges into the answer."""

EARLY = ("0", "1")
"""Stages of the encoder at reductions 2 and 4, whose channels differ most."""


def group_of(node: str) -> str | None:
    """The part that a node belongs to, by its name; None for what is of no part."""
    module = node.split("/")[0]
    if module.startswith("decoder"):
        return "decoder"
    if module.startswith("head"):
        return "head"
    if module.startswith("encoder.stem"):
        return "stem"
    if not module.startswith("encoder"):
        return None
    parts = module.split(".")
    if "squeeze" in parts:
        return "squeeze"
    when = "early" if parts[2] in EARLY else "late"
    return f"{when} {'depthwise' if 'depthwise' in parts else 'pointwise'}"


def crops(images: Sequence[UInt8[ndarray, "_ _ C"]], largest: int) -> Crops:
    """The middles of images, all as high and as wide as the smallest is, or as `largest`."""
    height, width = (min(largest, *(image.shape[axis] for image in images)) for axis in (0, 1))
    found: list[ndarray] = []
    for image in images:
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        middle = image[top : top + height, left : left + width]
        found.append(np.ascontiguousarray(middle.transpose(2, 0, 1))[None])
    return found


class OnnxQuantiser:
    """Makes models of 8 bits of one ONNX model; the ranges are measured once."""

    def __init__(self, model: bytes, crops: Crops, folder: Path) -> None:
        """Remember what to work on; `folder` is for files on the way."""
        import onnx

        self.crops, self.folder = crops, folder
        self._source = folder / "float32.onnx"
        self._source.write_bytes(model)
        self.nodes = [(node.name, node.op_type) for node in onnx.load_from_string(model).graph.node]

    def quantised(self, kept: Sequence[str]) -> bytes:
        """The model of 8 bits; the nodes of these groups stay in float32.

        Raises:
            ModelError: the values of a part hardly differ from each other.
        """
        # NumPy's histogram refuses values that hardly differ, as a part has that learnt nothing:
        # mostly those of an activation, and not of a convolution.
        for operators in (OPERATORS, OPERATORS[:1]):
            try:
                return self._quantised(operators, kept)
            except ValueError as error:
                if "bins" not in str(error):
                    raise
        raise ModelError(
            "no ranges of 8 bits can be taken from this network: the values of a part hardly "
            "differ from each other, as of one that was not trained; take --precision fp16"
        )

    def _quantised(self, operators: list[str], kept: Sequence[str]) -> bytes:
        from onnxruntime import quantization
        from onnxruntime.quantization import QuantFormat, QuantType

        target = self.folder / "quantised.onnx"
        with _silent():
            quantization.quantize_static(
                self._source,
                target,
                _Reader(self.crops),  # pyright: ignore[reportArgumentType] - all that it calls
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=operators,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.Percentile,
                nodes_to_exclude=[
                    name for name, kind in self.nodes if not _taken(name, kind, kept)
                ],
                # By strides of one: else all activations of all images lie in the memory at once.
                extra_options={"CalibPercentile": PERCENTILE, "CalibStridedMinMax": 1},
                calibration_cache_path=self.folder / "ranges.json",
            )
        return target.read_bytes()


class OpenvinoQuantiser:
    """Makes models of 8 bits of one OpenVINO model, by NNCF."""

    def __init__(self, model: "Model", crops: Crops) -> None:
        """Remember what to work on."""
        self.model, self.crops = model, crops
        self.nodes = [node.get_friendly_name() for node in model.get_ordered_ops()]

    def quantised(self, kept: Sequence[str]) -> "Model":
        """The model of 8 bits; the nodes of these groups stay in float32."""
        tell_nobody()
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet

        names = [name for name in self.nodes if group_of(name) in (*FLOAT, *kept)]
        try:
            return self._quantised(names, RangeEstimatorParametersSet.HISTOGRAM)
        except ValueError as fault:
            if "bins" not in str(fault):
                raise
            # NumPy makes no histogram of values that hardly differ, as of a network that was not
            # trained; their smallest and largest are range enough.
            return self._quantised(names, None)

    def _quantised(self, names: list[str], ranges: Any) -> "Model":
        import nncf
        from nncf.quantization.advanced_parameters import (
            AdvancedQuantizationParameters,
            OverflowFix,
            QuantizerPropagationRule,
        )

        # Processors without VNNI add two products in 16 bits, and cut what is larger: weights of
        # half the range keep every layer from it, so that the file answers alike everywhere.
        # By NNCF's own rule a feature that is a skip, too, is rounded once for all who take it, by
        # one range: of the stem's, which is one, some channels then have hardly a step left.
        advanced = AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE,
            quantizer_propagation_rule=QuantizerPropagationRule.MERGE_IF_ALL_BRANCHES_SAME,
        )
        if ranges is not None:
            advanced.activations_range_estimator_params = ranges
        with _silent():
            return nncf.quantize(
                self.model,
                nncf.Dataset(self.crops, lambda crop: {"image": crop}),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(self.crops),
                ignored_scope=nncf.IgnoredScope(names=names, validate=False),
                advanced_parameters=advanced,
            )


def _taken(node: str, kind: str, kept: Sequence[str]) -> bool:
    """Whether a node of ONNX is to be of 8 bits."""
    group = group_of(node)
    if group is None or group in (*FLOAT, *kept):
        return False  # of no group is what enlarges the logits: in 256 steps classes would draw
    # Squeeze-and-excitation's gates may hardly differ from each other, and are few numbers.
    return group != "squeeze" or kind == "Conv"


class _Reader:
    """Crops as ONNX Runtime's calibration asks for them."""

    def __init__(self, crops: Crops) -> None:
        self._crops, self._left = crops, iter(crops)

    def __len__(self) -> int:
        return len(self._crops)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = iter(self._crops[start_index:end_index])

    def get_next(self) -> dict[str, Any] | None:
        crop = next(self._left, None)
        return None if crop is None else {"image": crop}


@contextmanager
def _silent() -> Generator[None]:
    """Without what the quantisers print and log of their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
