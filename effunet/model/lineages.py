"""Where EfficientNet weights come from, and what each lineage runs them with; no torch.

Equal tensors under other numerics are another function. What timm, torchvision and smp compute
under theirs is held by tests/model/test_parity.py, with the versions of constraints.txt; smp's
efficientnet-bX is its port of lukemelas' efficientnet_pytorch.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Lineage:
    """The facts of a kind of weights that stand in no tensor."""

    padding: Literal["same", "symmetric", "same_native"]
    eps: float  # of the batch norms
    half: bool = False  # images in -1..1 (mean and std 0.5) instead of ImageNet's mean and std


LINEAGES = {
    "timm": Lineage("symmetric", 1e-5),  # timm's efficientnet_bX; smp's timm-efficientnet-bX
    "timm-half": Lineage("symmetric", 1e-5, half=True),  # those whose tag is ra4_e3600
    "tf": Lineage("same", 1e-3),  # TensorFlow's; timm's tf_efficientnet_bX
    "tf-advprop": Lineage("same", 1e-3, half=True),  # those whose tag is ap_in1k
    "lukemelas": Lineage("same_native", 1e-3),  # efficientnet_pytorch; smp's efficientnet-bX
    "lukemelas-advprop": Lineage("same_native", 1e-3, half=True),
    "torchvision": Lineage("symmetric", 1e-5),  # efficientnet_b0 to b4
    "torchvision-tf": Lineage("symmetric", 1e-3),  # b5 to b7: TensorFlow's weights, padded around
}

STEM_RULES = ("sum", "mean", "repeat")
"""How a stem for RGB becomes one for C channels: `pretrained.stem`."""
