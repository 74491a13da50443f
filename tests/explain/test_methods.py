"""The formulas of class activation maps, against their laws and slow twins."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from effunet.explain.methods import METHODS, grad_cam, grad_cam_pp, hires_cam, layer_cam
from effunet.model.encoder import EfficientNet
from effunet.model.scaling import compound


def drawn(seed: int, width: int = 6, height: int = 4, wide: int = 5) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return (
        torch.randn(width, height, wide, generator=draw, dtype=torch.float64),
        torch.randn(width, height, wide, generator=draw, dtype=torch.float64),
    )


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_each_formula_is_its_slow_twin_place_by_place(seed: int) -> None:
    feature, gradient = drawn(seed)
    expected = {name: torch.zeros(4, 5, dtype=torch.float64) for name in METHODS}
    weights = [gradient[k].mean() for k in range(6)]
    plus = []
    for k in range(6):
        total = torch.zeros((), dtype=torch.float64)
        for i in range(4):
            for j in range(5):
                g = gradient[k, i, j]
                below = 2 * g**2 + feature[k].sum() * g**3
                total += g**2 / below * g.clamp(min=0)
        plus.append(total)
    for i in range(4):
        for j in range(5):
            f, g = feature[:, i, j], gradient[:, i, j]
            expected["grad-cam"][i, j] = sum(w * a for w, a in zip(weights, f, strict=True))
            expected["grad-cam++"][i, j] = sum(w * a for w, a in zip(plus, f, strict=True))
            expected["hires-cam"][i, j] = (f * g).sum()
            expected["layer-cam"][i, j] = (f * g.clamp(min=0)).sum()
    for name, formula in METHODS.items():
        torch.testing.assert_close(formula(feature, gradient), expected[name].clamp(min=0))


@pytest.mark.parametrize("name", METHODS)
def test_a_gradient_of_nothing_gives_a_map_of_nothing(name: str) -> None:
    feature, _ = drawn(0)
    found = METHODS[name](feature, torch.zeros_like(feature))
    assert found.isfinite().all() and not found.any()


@pytest.mark.parametrize("name", METHODS)
def test_a_map_is_never_negative_and_grows_with_the_feature(name: str) -> None:
    feature, gradient = drawn(1)
    found = METHODS[name](feature.abs(), gradient)
    assert found.min() >= 0
    if name != "grad-cam++":  # whose shares hold the feature's sum
        torch.testing.assert_close(METHODS[name](3 * feature.abs(), gradient), 3 * found)


def test_where_the_gradient_is_the_same_everywhere_hires_cam_is_grad_cam() -> None:
    feature, gradient = drawn(2)
    gradient = gradient.mean((1, 2), keepdim=True).expand_as(feature)
    torch.testing.assert_close(hires_cam(feature, gradient), grad_cam(feature, gradient))


def test_where_all_gradients_speak_for_it_layer_cam_is_hires_cam() -> None:
    feature, gradient = drawn(3)
    torch.testing.assert_close(
        layer_cam(feature, gradient.abs()), hires_cam(feature, gradient.abs())
    )


def test_grad_cam_pp_halves_the_weight_where_the_feature_sums_to_nothing() -> None:
    feature, gradient = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    feature[0, 0, 0], feature[0, 1, 1] = 1.0, -1.0
    assert grad_cam_pp(feature, gradient)[0, 0] == 4 * 0.5


def test_hires_cam_at_the_head_tells_the_whole_score_of_a_linear_classifier() -> None:
    """Draelos & Carin, section 3.4: behind the feature only a mean and a linear layer."""
    torch.manual_seed(0)
    network = EfficientNet(compound(-4), classifier=True, classes=5).eval()
    assert network.head is not None and network.classifier is not None
    image = torch.randn(1, 3, 96, 128)
    feature = network.head(network.features(image)[-1]).detach().requires_grad_()
    scores = network.classifier(feature.mean((2, 3)))
    (gradient,) = torch.autograd.grad(scores[0, 3], feature)
    whole = (gradient * feature).sum()
    torch.testing.assert_close(whole + network.classifier.bias[3], scores[0, 3])
    # Which makes Grad-CAM, HiResCAM and the CAM of Zhou et al. one map there, but for a factor.
    cam = torch.einsum("d,dhw->hw", network.classifier.weight[3], feature[0]).clamp(min=0)
    places = feature[0, 0].numel()
    for formula in (grad_cam, hires_cam):
        torch.testing.assert_close(formula(feature[0], gradient[0]) * places, cam)
    assert isinstance(network.classifier, nn.Linear) and cam.max() > 0
