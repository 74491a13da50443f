"""A step that is not finite changes nothing and is counted; too many in a row end the training."""

import copy

import pytest
import torch
from torch import nn

from effunet.errors import DivergedError
from effunet.training.recipe.finite import FiniteGuard


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def guard(net: nn.Module, limit: int = 3, clip: float | None = None) -> FiniteGuard:
    return FiniteGuard(net, limit, clip, "lower optim.lr")


def step(net: nn.Module, guard: FiniteGuard, number: int, factor: float = 1.0) -> bool:
    net.zero_grad()
    guard.begin()
    loss = (net(torch.randn(4, 2, 3, 3) + 0 * factor) ** 2).mean() * factor
    guard.see(loss, torch.tensor([5, number]))
    loss.backward()
    return guard.passes(number)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
def test_a_bad_step_leaves_weights_moments_and_statistics_as_they_were(wrong, kind):
    net = network()
    optimizer = kind(net.parameters(), lr=0.1, weight_decay=0.1, fused=True)
    watch = guard(net)
    assert step(net, watch, 0)
    optimizer.step()
    before = copy.deepcopy((net.state_dict(), optimizer.state_dict()["state"]))
    assert not step(net, watch, 1, wrong)
    optimizer.step()
    after = net.state_dict(), optimizer.state_dict()["state"]
    for name, value in before[0].items():
        if "num_batches" not in name:
            assert torch.equal(after[0][name], value), name
    for index, state in before[1].items():
        assert all(torch.equal(value, after[1][index][key]) for key, value in state.items())
    assert watch.left_out == 1
    assert step(net, watch, 2) and watch.row == 0


def test_so_many_in_a_row_raise_with_the_first_of_them_and_its_images():
    net, watch = network(), guard(network())
    watch = guard(net)
    for number in range(2):
        assert not step(net, watch, number, torch.nan)
    assert step(net, watch, 2)  # the row is broken
    for number in (3, 4):
        assert not step(net, watch, number, torch.nan)
    with pytest.raises(DivergedError, match=r"step 3: the loss is nan .* images 5, 3,.* 3 steps"):
        step(net, watch, 5, torch.nan)
    assert watch.left_out == 5


def test_a_gradient_that_overflows_behind_a_finite_loss_is_told_as_such():
    net = nn.Linear(2, 1)
    watch = guard(net, limit=1)
    watch.begin()
    watch.see(torch.tensor(0.5), torch.tensor([7]))
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, torch.inf)
    with pytest.raises(DivergedError, match=r"step 9: the gradient is not finite .* images 7,"):
        watch.passes(9)


def test_clipping_is_torchs():
    net = network()
    net[0].weight.grad = torch.full_like(net[0].weight, 3.0)
    other = copy.deepcopy(net)
    other[0].weight.grad = net[0].weight.grad.clone()
    norm = torch.nn.utils.clip_grad_norm_(other.parameters(), 0.5)
    assert norm > 0.5
    assert guard(net, clip=0.5).passes(0)
    assert torch.equal(net[0].weight.grad, other[0].weight.grad)


def test_the_counts_are_taken_up_again():
    net = network()
    first, second = guard(net), guard(net)
    step(net, first, 4, torch.nan)
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == first.state_dict()
    assert (second.left_out, second.row, second.first[0]) == (1, 1, 4)


def test_a_network_of_which_nothing_learns_passes():
    net = network().requires_grad_(False)
    watch = guard(net)
    watch.begin()
    assert watch.passes(0)
