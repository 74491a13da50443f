"""What an encoder learns at a step follows from the step's number alone."""

import pytest
import torch
from tiny_segmenter import tiny_segmenter
from torch import nn

from effunet.training.recipe.freeze import Freeze


def encoder() -> nn.Module:
    return tiny_segmenter().network.encoder.train()


def learns(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def moves(module: nn.Module) -> bool:
    """Whether a forward pass changes a running statistic."""
    before = [buffer.clone() for buffer in module.buffers()]
    module.features(torch.randn(2, 3, 64, 64))
    return not all(map(torch.equal, before, module.buffers()))


@pytest.mark.parametrize(
    ("whole", "norms", "steps"),
    [(0.0, 0.0, (0, 0)), (0.25, 0.5, (25, 50)), (0.001, 1.0, (1, 100)), (1.0, 0.0, (100, 0))],
)
def test_shares_are_steps_and_a_positive_one_is_a_step_at_least(whole, norms, steps):
    freeze = Freeze.of_shares(whole, norms, 100)
    assert (freeze.whole, freeze.norms) == steps


def test_a_frozen_encoder_neither_learns_nor_moves_and_thaws_at_its_step():
    module, freeze = encoder(), Freeze(whole=3, norms=0)
    everything = learns(module)
    for step in (0, 2, 3, 1, 7):  # in any order: a resumed training starts anywhere
        freeze.apply(module, step)
        assert learns(module) == (set() if step < 3 else everything)
        assert moves(module) == (step >= 3)
        assert module.training == (step >= 3)


def test_frozen_norms_keep_statistics_scale_and_shift_while_the_rest_learns():
    module, freeze = encoder(), Freeze(whole=1, norms=4)
    everything = learns(module)
    freeze.apply(module, 2)
    norms = {name for name in everything if ".norm." in name}
    assert norms and learns(module) == everything - norms
    assert not moves(module) and module.training
    freeze.apply(module, 4)
    assert learns(module) == everything and moves(module)


def test_only_what_learns_later_is_a_change_that_ddp_must_look_for():
    assert not Freeze(0, 0).changes(10) and not Freeze(10, 10).changes(10)
    assert Freeze(3, 0).changes(10) and Freeze(10, 3).changes(10)
