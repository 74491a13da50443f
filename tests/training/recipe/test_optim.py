"""Every trainable parameter is in one group, which learns and decays as its kind does."""

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from effunet.training.config.recipe import Optim
from effunet.training.recipe.optim import build_optimizer, parameter_groups


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


def test_sgd_and_adamw_take_the_groups_and_what_the_recipe_says_of_them():
    for recipe, kind in ((Optim(name="sgd", momentum=0.8), SGD), (Optim(), AdamW)):
        optimizer = build_optimizer(Net(), recipe)
        assert isinstance(optimizer, kind)
        assert [group["name"] for group in optimizer.param_groups] == [
            group["name"] for group in groups()
        ]
        for group in optimizer.param_groups:
            assert group["weight_decay"] == (0.01 if group["name"].endswith(".weights") else 0)
            assert group.get("momentum", 0.8) == 0.8
    # torch refuses Nesterov's momentum without a momentum.
    assert not build_optimizer(Net(), Optim(name="sgd", momentum=0.0)).defaults["nesterov"]
