"""Where EfficientNet weights come from, and what each lineage runs them with; no torch.

Sources: the code of timm 1.0, torchvision 0.25, lukemelas' efficientnet_pytorch 0.7 and
segmentation_models_pytorch 0.5. Equal tensors under other numerics are another function.
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

PRESET_NAMES = ("imagenet", "noisy-student", "advprop")
"""Words for weights on the hub: `pretrained.presets`."""
