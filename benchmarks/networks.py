"""The networks that the benchmarks compare, by name; fresh weights."""

from collections.abc import Callable

from torch import nn

from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet


def smp_unet(encoder: str, classes: int) -> nn.Module:
    import segmentation_models_pytorch as smp

    return smp.Unet(f"efficientnet-{encoder}", encoder_weights=None, classes=classes)


def our_unet(encoder: str, classes: int) -> EffUNet:
    return EffUNet(EfficientNet(encoder), classes, "unet")


def our_efficient(encoder: str, classes: int) -> EffUNet:
    return EffUNet(EfficientNet(encoder), classes, "efficient")


NETWORKS: dict[str, Callable[[str, int], nn.Module]] = {
    "smp": smp_unet,
    "unet": our_unet,
    "efficient": our_efficient,
}
