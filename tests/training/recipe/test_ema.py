"""The average of the weights: the published law, and no exception mixes it up with the weights."""

import pytest
import torch
from torch import nn

from effunet.training.recipe.ema import Ema


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def values(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def test_the_average_moves_by_the_law_of_tensorflow_with_its_warm_up():
    net = network()
    ema, decay = Ema(net, 0.6), 0.6
    expected = net[0].weight.detach().double().clone()
    for step in range(1, 20):
        with torch.no_grad():
            net[0].weight.add_(torch.randn_like(net[0].weight))
        ema.update(step)
        share = min(decay, (1 + step) / (10 + step))
        expected = share * expected + (1 - share) * net[0].weight.detach().double()
        torch.testing.assert_close(ema.average["0.weight"].double(), expected, rtol=1e-5, atol=1e-6)


def test_running_statistics_are_averaged_too_and_counters_are_not():
    net = network()
    ema = Ema(net, 0.0)
    net(torch.randn(4, 2, 3, 3))
    ema.update(1)
    assert torch.equal(ema.average["1.running_mean"], net[1].running_mean)
    assert "1.num_batches_tracked" not in ema.average


def test_within_the_network_is_the_average_and_behind_itself_also_after_an_exception():
    net = network()
    ema = Ema(net, 0.9)
    with torch.no_grad():
        net[0].weight.add_(1.0)
    raw, average = values(net), {name: value.clone() for name, value in ema.average.items()}
    tensors = [id(parameter) for parameter in net.parameters()]

    def inside() -> None:
        assert all(torch.equal(net.state_dict()[name], value) for name, value in average.items())
        assert not torch.equal(net[0].weight, raw["0.weight"])

    with ema.applied():
        inside()
    with pytest.raises(KeyError), ema.applied():
        inside()
        raise KeyError
    assert all(torch.equal(net.state_dict()[name], value) for name, value in raw.items())
    assert all(torch.equal(ema.average[name], value) for name, value in average.items())
    # The optimizer holds the parameters themselves.
    assert [id(parameter) for parameter in net.parameters()] == tensors


def test_what_was_saved_is_taken_up():
    ema, other = Ema(network(), 0.9), Ema(network(), 0.9)
    with torch.no_grad():
        ema.network[0].weight.add_(1.0)
    ema.update(1)
    other.load_state_dict({name: value.clone() for name, value in ema.state_dict().items()})
    assert all(torch.equal(other.average[name], value) for name, value in ema.average.items())


def test_a_decay_of_one_would_never_move_and_is_refused():
    with pytest.raises(ValueError, match=r"\[0, 1\), got 1"):
        Ema(network(), 1.0)
