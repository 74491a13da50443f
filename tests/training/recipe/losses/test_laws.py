"""What holds for every loss of the dict, whatever it measures."""

import pytest
import torch
from loss_batches import batch, loss_called, saturated

from effunet.labels import IGNORE
from effunet.training.recipe.losses import LOSSES

pytestmark = pytest.mark.parametrize("name", LOSSES)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("seen", [torch.uint8, torch.int64])
def test_a_batch_that_is_all_ignore_costs_nothing_and_has_zero_gradients(name, dtype, seen):
    logits, _ = batch()
    logits = logits.detach().to(dtype).requires_grad_()
    loss = loss_called(name)(logits, torch.full((2, 6, 7), IGNORE, dtype=seen))
    loss.backward()
    assert loss.item() == 0 and loss.shape == ()
    assert logits.grad is not None and (logits.grad == 0).all()


def test_the_logits_and_the_label_of_an_ignored_pixel_change_nothing(name):
    logits, target = batch()
    loss = loss_called(name)
    ignored = (target == IGNORE).unsqueeze(1)
    other = torch.where(ignored, 50 * torch.randn_like(logits), logits)
    assert loss(other, target).item() == pytest.approx(loss(logits, target).item(), abs=1e-6)
    (gradient,) = torch.autograd.grad(loss(logits, target), logits)
    assert (gradient.where(ignored, 0) == 0).all()


def test_a_border_of_ignored_pixels_changes_nothing(name):
    logits, target = batch()
    loss = loss_called(name)
    wide = torch.nn.functional.pad(logits, (1, 2, 3, 1), value=5.0)
    around = torch.nn.functional.pad(target, (1, 2, 3, 1), value=IGNORE)
    assert loss(wide, around).item() == pytest.approx(loss(logits, target).item(), abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_logits_are_computed_in_float32(name, dtype):
    logits, target = batch(size=(2, 40, 40))
    loss = loss_called(name)
    low = loss((100 * logits).to(dtype), target)
    assert low.dtype == torch.float32
    assert low.item() == loss((100 * logits).to(dtype).float(), target).item()


def test_mixed_precision_gives_the_loss_of_its_logits_in_float32(name):
    logits, target = batch(classes=200, size=(2, 16, 16))
    loss = loss_called(name, 200)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss(logits, target)
    assert mixed.item() == pytest.approx(loss(logits, target).item(), rel=1e-6)


def test_a_uint8_target_means_the_same_as_an_int64_one(name):
    logits, target = batch()
    loss = loss_called(name)
    assert loss(logits, target.to(torch.uint8)).item() == loss(logits, target).item()


@pytest.mark.parametrize("right", [True, False])
def test_a_certain_prediction_has_finite_gradients_and_costs_nothing_where_it_is_right(name, right):
    _, target = batch()
    logits = (saturated(target, 5) * (1 if right else -1)).requires_grad_()
    loss = loss_called(name)(logits, target)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.isfinite().all()
    assert abs(loss.item()) < 1e-5 if right else loss.item() > 0.3


def test_descending_a_loss_learns_the_target(name):
    logits, target = batch()
    logits = torch.zeros_like(logits).requires_grad_()
    loss = loss_called(name)
    optimizer = torch.optim.SGD([logits], lr=100.0)
    for _ in range(60):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    right = logits.argmax(1) == target
    assert right[target != IGNORE].all()


def test_a_loss_leaves_no_state_in_a_checkpoint(name):
    assert not loss_called(name).state_dict()
