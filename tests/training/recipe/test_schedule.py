"""The learning rate is a function of the step: the published laws, for every length."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from effunet.training.config.recipe import Optim
from effunet.training.recipe.schedule import (
    DECAYS,
    ONE_CYCLE_END,
    ONE_CYCLE_START,
    lr_factor,
    schedule,
)


def law(name: str, total: int, warmup: int = 0) -> list[float]:
    return [lr_factor(step, total, warmup, name) for step in range(total + 1)]


def test_poly_without_warm_up_is_the_published_law():
    assert law("poly", 10) == pytest.approx([(1 - step / 10) ** 0.9 for step in range(11)])


def test_cosine_is_torchs_annealing_to_zero():
    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    torchs = CosineAnnealingLR(optimizer, T_max=12)
    seen = []
    for _ in range(13):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        torchs.step()
    assert law("cosine", 12) == pytest.approx(seen, abs=1e-12)


def test_one_cycle_starts_peaks_and_ends_where_torchs_does_and_follows_its_curve():
    # torch's phases end on its steps 0.3 * total - 1 and total - 1, ours on warmup and total.
    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    torchs = OneCycleLR(optimizer, 1.0, total_steps=101, pct_start=31 / 101, cycle_momentum=False)
    seen = []
    for _ in range(101):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(seen) < 101:
            torchs.step()
    ours = law("one_cycle", 100, 30)
    assert ours == pytest.approx(seen, abs=1e-9)
    assert (ours[0], ours[30]) == (ONE_CYCLE_START, 1)
    assert ours[-1] == pytest.approx(ONE_CYCLE_END)


def test_warm_up_rises_in_equal_steps_to_one_and_meets_the_fall():
    factors = law("poly", 100, 4)
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5] == pytest.approx((95 / 96) ** 0.9)


@given(
    name=st.sampled_from(sorted(DECAYS)),
    total=st.integers(1, 10_000),
    share=st.floats(0, 0.99),
    power=st.floats(0.1, 4),
)
def test_a_step_of_a_training_never_has_no_learning_rate(name, total, share, power):
    first = int(share * total)
    for step in {0, first, total // 2, total - 1}:
        assert 0 < lr_factor(step, total, first, name, power) <= 1
    assert lr_factor(first, total, first, name, power) == 1
    assert lr_factor(2 * total, total, first, name, power) == DECAYS[name](1.0, power)


@pytest.mark.parametrize("wrong", [{"warmup": 10}, {"warmup": -1}, {"power": 0}])
def test_a_law_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        lr_factor(0, 10, **wrong)


def test_a_warm_up_leaves_the_last_step_even_of_the_shortest_training():
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    assert schedule(optimizer, Optim(warmup=0.9), total=1).get_last_lr() == [1.0]


@pytest.mark.parametrize("name", sorted(DECAYS))
def test_the_schedule_drives_every_group_by_the_law_and_resumes_from_its_state(name: str):
    recipe = Optim(warmup=0.25, schedule=name)

    def fresh():
        groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (3e-4, 1e-3)]
        optimizer = SGD(groups)
        return optimizer, schedule(optimizer, recipe, total=8)

    optimizer, scheduler = fresh()
    seen = []
    for _ in range(5):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    factors = [lr_factor(step, 8, 2, name) for step in range(5)]
    assert seen == [pytest.approx([3e-4 * factor, 1e-3 * factor]) for factor in factors]
    other, resumed = fresh()
    other.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for each, which in ((optimizer, scheduler), (other, resumed)):
        each.step()
        which.step()
    assert resumed.get_last_lr() == scheduler.get_last_lr()
