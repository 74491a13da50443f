"""One EfficientNet for all its sources: each reference's own random weights give its own results.

In float64, where a difference of function shows far above the rounding. Every tensor is drawn anew
and none is neutral, so that a mixed-up pair of tensors shows too.
"""

import math
from collections.abc import Callable, Iterator

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from torch import Tensor, nn

from effunet.model import raw
from effunet.model.encoder import EfficientNet
from effunet.model.pretrained import load, of_contents
from effunet.model.pretrained.files import Contents
from effunet.model.scaling import VARIANTS, published

SMALL = ("b5", "b6", "b7")  # whose native sizes take minutes in float64
EXACT = 1e-9  # of the largest value

Pyramid = list[Tensor]


def timm_features(network: nn.Module, image: Tensor) -> Pyramid:
    stages = network.get_submodule("blocks")
    feature = network.get_submodule("bn1")(network.get_submodule("conv_stem")(image))
    return [feature, *_through(stages.children(), feature)]


def torchvision_features(network: nn.Module, image: Tensor) -> Pyramid:
    stem, *stages, _ = network.get_submodule("features").children()
    feature = stem(image)
    return [feature, *_through(iter(stages), feature)]


def _through(stages: Iterator[nn.Module], feature: Tensor) -> Iterator[Tensor]:
    """The features at the end of stages 1, 2, 3, 5 and 7, which are the pyramid's."""
    for number, stage in enumerate(stages, 1):
        feature = stage(feature)
        if number in (1, 2, 3, 5, 7):
            yield feature


def smp_features(network: nn.Module, image: Tensor) -> Pyramid:
    return list(network(image)[1:])


REFERENCES: dict[str, tuple[Callable[[str], nn.Module], Callable[..., Pyramid], bool]] = {
    "timm": (lambda name: timm.create_model(f"efficientnet_{name}"), timm_features, True),
    "timm tf": (lambda name: timm.create_model(f"tf_efficientnet_{name}"), timm_features, True),
    "torchvision": (
        lambda name: getattr(torchvision.models, f"efficientnet_{name}")(weights=None),
        torchvision_features,
        True,
    ),
    "smp": (
        lambda name: smp.encoders.get_encoder(f"efficientnet-{name}", weights=None),
        smp_features,
        False,
    ),
    "smp timm": (
        lambda name: smp.encoders.get_encoder(f"timm-efficientnet-{name}", weights=None),
        smp_features,
        False,
    ),
}
CASES = [
    # Of each reference B0 and two that are scaled, in depth and in width too; of one all.
    pytest.param(
        reference,
        variant,
        marks=() if reference == "timm tf" or variant in ("b0", "b1", "b3") else pytest.mark.long,
    )
    for reference in REFERENCES
    for variant in VARIANTS
]
LABELS = {"timm": "efficientnet_{}", "timm tf": "tf_efficientnet_{}"}


def drawn(build: Callable[[], nn.Module]) -> nn.Module:
    """A network in float64 whose every tensor is drawn at a size that keeps features near 1."""
    torch.manual_seed(0)
    network = raw.shapes_of(build).to_empty(device="cpu").double().eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(7)
        elif tensor.ndim > 1:
            nn.init.normal_(tensor, std=1 / math.sqrt(tensor[0].numel()))
        elif name.endswith(("running_var", "weight")):
            nn.init.uniform_(tensor, 0.5, 1.5)
        else:
            nn.init.normal_(tensor, std=0.2)
    return network


def assert_exact(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= EXACT * theirs.abs().max()


@pytest.mark.filterwarnings("ignore:`timm-` encoders are deprecated:DeprecationWarning")
@pytest.mark.parametrize(("reference", "variant"), CASES)
@torch.no_grad()
def test_every_feature_and_the_logits_are_those_of_the_reference(
    reference: str, variant: str
) -> None:
    build, features, has_classifier = REFERENCES[reference]
    peer = drawn(lambda: build(variant))
    label = LABELS.get(reference, "").format(variant)
    contents = Contents(reference, label, peer.state_dict(), {})
    # Told by a whole model of smp, but not by its encoder alone.
    asked = "timm" if reference == "smp timm" else "auto"
    weights = of_contents(contents, numerics=asked)
    early = "smp" if (reference, variant) == ("smp", "b0") else "stem"
    ours = (
        raw.shapes_of(
            lambda: EfficientNet(
                variant,
                classifier=has_classifier,
                numerics=weights.numerics,
                skip="stage1" if has_classifier else early,
            )
        )
        .to_empty(device="cpu")
        .double()
        .eval()
    )
    load(ours, weights)

    native = published(variant).resolution
    sizes = [(64, 96), (75, 53), (97, 64) if variant in SMALL else (native, native)]
    for height, width in sizes:
        image = torch.randn(1, 3, height, width, dtype=torch.float64)
        expected = features(peer, image)
        found = [*([ours.stem(image)] if has_classifier else []), *ours.features(image)]
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_exact(one, other)
    if has_classifier:
        assert_exact(ours(image), peer(image))
