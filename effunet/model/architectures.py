"""The architectures of segmentation_models_pytorch that are trained here: facts alone, no torch.

Each takes any encoder with features at reductions 2 to 32. DPT is left out: it wants a vision
transformer, and with a convolutional encoder it keeps weights that its loss never reaches.
"""

from dataclasses import dataclass

from effunet.model.scaling import VARIANTS


@dataclass(frozen=True)
class Architecture:
    """What is to be known of one before it is built."""

    least: int = 32  # smallest side that it takes, pixels; smaller images are continued to it
    pools: bool = False  # a batch norm follows a global pooling: one value an image and channel


ARCHITECTURES = {
    "Unet": Architecture(),
    "UnetPlusPlus": Architecture(),
    "FPN": Architecture(),
    "PSPNet": Architecture(),
    "DeepLabV3": Architecture(pools=True),
    "DeepLabV3Plus": Architecture(pools=True),
    "Linknet": Architecture(),
    "MAnet": Architecture(),
    # Halves the reduction-16 feature three times.
    "PAN": Architecture(least=128, pools=True),
    "UPerNet": Architecture(pools=True),
    "Segformer": Architecture(),
}
"""By the name of the class in segmentation_models_pytorch."""

TWINS = {name: f"tu-tf_efficientnet_{name}" for name in VARIANTS}
"""smp's name of timm's encoder that is ours (with skip=stage1) layer for layer: padding SAME, eps
1e-3, and weights of the `tf_efficientnet` lineage fit it as they are."""
