"""What scaled networks cost: against the published table, and against what autograd keeps."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from effunet.model import lean
from effunet.model.scaling import VARIANTS, compound, published
from effunet.scaling.costs import Cost, Shape, classifier_cost, cost_of
from effunet.scaling.published import IMAGENET
from effunet.scaling.table import implied

TORCHVISION = {
    "b0": 5288548, "b1": 7794184, "b2": 9109994, "b3": 12233232,
    "b4": 19341616, "b5": 30389784, "b6": 43040704, "b7": 66347960,
}  # fmt: skip
"""num_params of its weights' metadata."""


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_are_torchvisions_and_both_costs_those_of_the_article(name: str) -> None:
    parameters, macs = classifier_cost(published(name))
    assert parameters == TORCHVISION[name]
    assert parameters == pytest.approx(IMAGENET[name].parameters, rel=0.02)
    assert macs == pytest.approx(IMAGENET[name].macs, rel=0.05)


def test_gpipes_556_million_are_8_4_times_those_of_b7() -> None:
    assert 556e6 / IMAGENET["b7"].parameters == pytest.approx(8.4, abs=0.05)


def test_the_work_of_the_law_grows_by_1_92_a_step_but_for_repeats_rounded_up() -> None:
    # Rounded up, a shallow network has relatively more blocks too many than a deep one.
    work = [classifier_cost(compound(phi))[1] for phi in (4.0, 8.0)]
    growth = (work[1] / work[0]) ** 0.25
    assert 0.95 * 1.2 * 1.1**2 * 1.15**2 < growth < 1.2 * 1.1**2 * 1.15**2


def test_b7_lies_near_the_law_and_not_on_it() -> None:
    assert implied("b7") == {"depth": 6.21, "width": 7.27, "resolution": 7.05}
    assert implied("b0") == {"depth": 0.0, "width": 0.0, "resolution": 0.0}


@pytest.mark.parametrize("decoder", ["efficient", "unet"])
def test_a_segmenter_never_costs_less_at_a_larger_phi(decoder: str) -> None:
    shape = Shape(decoder, 5, (64, 96))  # pyright: ignore[reportArgumentType]
    found = [cost_of(compound(phi), shape) for phi in (-2, -1, -0.5, 0, 0.4, 1, 2)]
    for key in ("parameters", "macs", "activation_bytes"):
        costs = [getattr(cost, key) for cost in found]
        assert costs == sorted(costs), key


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_cost_does_not_depend_on_who_asked_first(mode: Callable[[], Any]) -> None:
    """It is kept for the process."""
    plan, shape = published("b0"), Shape("efficient", 5, (64, 96))
    expected = Cost(plan, shape).to_plain()
    with mode():
        cost = Cost(plan, shape)
        assert cost.macs == expected["macs"]
    assert cost.to_plain() == expected
    with mode():
        assert Cost(plan, shape).to_plain() == expected


@pytest.mark.parametrize("decoder", ["efficient", "unet"])
def test_what_is_kept_of_an_image_is_what_autograd_saves_in_plain_steps(decoder: str) -> None:
    shape = Shape(decoder, 5, (64, 96))  # pyright: ignore[reportArgumentType]
    network = shape.network(published("b0")).train()
    own = {weight.data_ptr() for weight in (*network.parameters(), *network.buffers())}
    saved: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    images = torch.rand(2, 3, 64, 96)
    with lean.plain(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(images).sum()
    kept = sum(
        tensor.untyped_storage().nbytes() for place, tensor in saved.items() if place not in own
    )
    assert cost_of(published("b0"), shape).activation_bytes == pytest.approx(kept / 2, rel=0.02)
