"""Maps of an EfficientNet with a classifier head."""

import pytest
import torch

from effunet.explain import METHODS, class_activation_map, gradient_map
from effunet.model.encoder import EfficientNet
from effunet.model.scaling import compound

IMAGE = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network() -> EfficientNet:
    torch.manual_seed(0)
    return EfficientNet(compound(-4), classifier=True, classes=5).eval()


@pytest.mark.parametrize("index", range(5))
def test_cam_grad_cam_and_hires_cam_are_one_map_but_for_the_number_of_places(
    network: EfficientNet, index: int
) -> None:
    cam = class_activation_map(network, IMAGE, index)
    assert cam.shape == (3, 4) and cam.max() > 0
    for method in ("grad-cam", "hires-cam"):
        torch.testing.assert_close(gradient_map(network, IMAGE, index, method) * 12, cam)


def test_the_mean_of_what_speaks_for_and_against_a_class_is_its_score(
    network: EfficientNet,
) -> None:
    """Zhou et al., eq. 2: but for the bias, which lies nowhere in the image."""
    assert network.classifier is not None
    with torch.no_grad():
        scores = network(IMAGE)[0]
        weight = network.classifier.weight
        found = []
        for index in range(5):
            positive = class_activation_map(network, IMAGE, index)
            weight.neg_()
            negative = class_activation_map(network, IMAGE, index)
            weight.neg_()
            found.append((positive - negative).mean() + network.classifier.bias[index])
    torch.testing.assert_close(torch.stack(found), scores)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_leaves_the_network_without_gradients(network: EfficientNet, method: str) -> None:
    assert gradient_map(network, IMAGE, 2, method).isfinite().all()
    assert all(weight.grad is None for weight in network.parameters())


def test_an_encoder_without_a_classifier_is_refused() -> None:
    with pytest.raises(ValueError, match="classifier=True"):
        class_activation_map(EfficientNet(compound(-6)).eval(), IMAGE, 0)
