import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from effunet.training.optim import parameter_groups, schedule, warmup_poly


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
        self.decoder = nn.Sequential(nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4))
        self.head = nn.Conv2d(4, 2, 1)


def groups(net=None, **changes):
    keys = {"lr": 1e-3, "encoder_lr_factor": 0.3, "weight_decay": 0.01} | changes
    return parameter_groups(net or Net(), **keys)


def test_every_trainable_parameter_is_in_exactly_one_group():
    net = Net()
    net.encoder[2].weight.requires_grad_(False)
    grouped = [id(p) for group in groups(net) for p in group["params"]]
    trainable = [id(p) for p in net.parameters() if p.requires_grad]
    assert sorted(grouped) == sorted(trainable)


def test_a_shared_parameter_is_in_one_group_only():
    net = Net()
    net.head.weight = net.encoder[2].weight = nn.Parameter(torch.zeros(4, 4, 1, 1))
    grouped = [id(p) for group in groups(net) for p in group["params"]]
    assert len(grouped) == len(set(grouped))


def test_norms_and_biases_do_not_decay_and_weights_do():
    net = Net()
    decays = {id(p): group["weight_decay"] for group in groups(net) for p in group["params"]}
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            assert decays[id(module.weight)] == decays[id(module.bias)] == 0
        if isinstance(module, nn.Conv2d):
            assert decays[id(module.weight)] == 0.01
            assert decays[id(module.bias)] == 0


def test_the_encoder_learns_slower_by_its_factor_and_groups_say_who_they_are():
    named = {group["name"]: group for group in groups()}
    assert list(named) == [
        "encoder.weights",
        "encoder.norms_and_biases",
        "rest.weights",
        "rest.norms_and_biases",
    ]
    assert {named[name]["lr"] for name in named if name.startswith("encoder")} == {3e-4}
    assert {named[name]["lr"] for name in named if name.startswith("rest")} == {1e-3}


def test_a_network_without_an_encoder_is_all_rest():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert [group["name"] for group in groups(net)] == ["rest.weights", "rest.norms_and_biases"]


def test_empty_groups_are_left_out():
    net = Net()
    net.encoder.requires_grad_(False)
    assert [group["name"] for group in groups(net)] == ["rest.weights", "rest.norms_and_biases"]


def test_a_factor_of_zero_is_refused():
    with pytest.raises(ValueError, match="encoder_lr_factor must be positive, got 0"):
        groups(encoder_lr_factor=0.0)


def test_poly_without_warm_up_is_the_published_law():
    assert [warmup_poly(step, 10) for step in range(11)] == pytest.approx(
        [(1 - step / 10) ** 0.9 for step in range(11)]
    )


def test_warm_up_rises_in_equal_steps_to_one_and_meets_the_fall():
    factors = [warmup_poly(step, 100, warmup=4) for step in range(6)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5] == pytest.approx((95 / 96) ** 0.9)


@given(
    total=st.integers(1, 10_000),
    warmup=st.floats(0, 0.99),
    power=st.floats(0.1, 4),
    floor=st.floats(0, 1),
)
def test_a_step_of_a_training_never_has_no_learning_rate(total, warmup, power, floor):
    first = int(warmup * total)
    for step in {0, first, total // 2, total - 1}:
        assert 0 < warmup_poly(step, total, first, power, floor) <= 1
    assert warmup_poly(first, total, first, power, floor) == 1
    assert warmup_poly(total, total, first, power, floor) == pytest.approx(floor)
    assert warmup_poly(2 * total, total, first, power, floor) == pytest.approx(floor)


@pytest.mark.parametrize("wrong", [{"warmup": 10}, {"warmup": -1}, {"power": 0}, {"floor": 1.5}])
def test_a_law_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        warmup_poly(0, 10, **wrong)


def test_the_schedule_drives_every_group_by_the_law_and_resumes_from_its_state():
    def fresh():
        optimizer = torch.optim.SGD(groups())
        return optimizer, schedule(optimizer, total=8, warmup=2, floor=0.1)

    optimizer, scheduler = fresh()
    seen = []
    for _ in range(5):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    law = [warmup_poly(step, 8, 2, floor=0.1) for step in range(5)]
    assert seen == [
        pytest.approx([3e-4 * factor, 3e-4 * factor, 1e-3 * factor, 1e-3 * factor])
        for factor in law
    ]
    other, resumed = fresh()
    other.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for each, which in ((optimizer, scheduler), (other, resumed)):
        each.step()
        which.step()
    assert resumed.get_last_lr() == scheduler.get_last_lr()
