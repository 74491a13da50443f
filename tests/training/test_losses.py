import warnings

import pytest
import torch
import torch.nn.functional as F

from effunet.labels import IGNORE
from effunet.training.losses import (
    LOSSES,
    CrossEntropy,
    Dice,
    LossOptions,
    WeightedSum,
    build_loss,
)

WEIGHTS = (0.5, 1.0, 2.0, 7.0, 1.5)


def batch(classes=5, ignored=0.3, seed=0, size=(2, 6, 7)):
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(size[0], classes, *size[1:], generator=draw)
    target = torch.randint(classes, size, generator=draw)
    target[torch.rand(size, generator=draw) < ignored] = IGNORE
    return logits.requires_grad_(), target


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("ignored", [0.0, 0.3])
def test_cross_entropy_is_torchs_where_that_is_finite(weights, smoothing, ignored):
    logits, target = batch(ignored=ignored)
    ours = CrossEntropy(smoothing, weights)(logits, target)
    torchs = F.cross_entropy(
        logits,
        target,
        weight=None if weights is None else torch.tensor(weights),
        ignore_index=IGNORE,
        label_smoothing=smoothing,
    )
    assert ours.item() == pytest.approx(torchs.item(), abs=1e-6)
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (ours, torchs)]
    torch.testing.assert_close(*grads, atol=1e-7, rtol=1e-5)


def smp_dice(logits, target):
    with warnings.catch_warnings():  # not ours: its import may warn
        warnings.simplefilter("ignore")
        from segmentation_models_pytorch.losses import DiceLoss
    return DiceLoss(mode="multiclass", ignore_index=IGNORE)(logits, target)


@pytest.mark.parametrize("ignored", [0.0, 0.3])
def test_dice_is_smps_where_every_class_occurs(ignored):
    logits, target = batch(ignored=ignored)
    ours, theirs = Dice()(logits, target), smp_dice(logits, target)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*grads, atol=1e-7, rtol=1e-5)


def test_dice_is_a_mean_over_the_classes_in_the_truth_where_smp_divides_by_all():
    logits, target = batch()
    target[target >= 3] = IGNORE  # classes 3 and 4 of 5 occur nowhere
    assert Dice()(logits, target).item() == pytest.approx(
        smp_dice(logits, target).item() * 5 / 3, abs=1e-6
    )


def test_dice_of_a_perfect_prediction_is_zero_and_of_a_wrong_one_is_one():
    target = torch.tensor([[[0, 1], [1, IGNORE]]])
    right = 100.0 * F.one_hot(target.where(target != IGNORE, 0), 2).permute(0, 3, 1, 2)
    assert Dice()(right, target).item() == pytest.approx(0, abs=1e-6)
    assert Dice()(-right, target).item() == pytest.approx(1, abs=1e-6)


def test_a_weighted_sum_is_the_sum_of_its_weighted_terms():
    logits, target = batch()
    total = WeightedSum([(0.25, CrossEntropy()), (3.0, Dice())])(logits, target)
    expected = 0.25 * CrossEntropy()(logits, target) + 3 * Dice()(logits, target)
    assert total.item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("seen", [torch.uint8, torch.int64])
def test_a_batch_that_is_all_ignore_costs_nothing_and_has_zero_gradients(name, dtype, seen):
    logits, _ = batch()
    logits = logits.detach().to(dtype).requires_grad_()
    loss = build_loss(name, classes=5)(logits, torch.full((2, 6, 7), IGNORE, dtype=seen))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and (logits.grad == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_logits_and_the_label_of_an_ignored_pixel_change_nothing(name):
    logits, target = batch()
    loss = build_loss(name, classes=5)
    other = torch.where((target == IGNORE).unsqueeze(1), 50 * torch.randn_like(logits), logits)
    assert loss(other, target).item() == pytest.approx(loss(logits, target).item(), abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_logits_are_computed_in_float32(name, dtype):
    logits, target = batch(size=(2, 40, 40))
    loss = build_loss(name, classes=5)
    low = loss((100 * logits).to(dtype), target)
    assert low.dtype == torch.float32
    assert low.item() == loss((100 * logits).to(dtype).float(), target).item()


@pytest.mark.parametrize("name", LOSSES)
def test_a_uint8_target_means_the_same_as_an_int64_one(name):
    logits, target = batch()
    loss = build_loss(name, classes=5)
    assert loss(logits, target.to(torch.uint8)).item() == loss(logits, target).item()


@pytest.mark.parametrize("name", LOSSES)
def test_descending_a_loss_learns_the_target(name):
    logits, target = batch()
    logits = torch.zeros_like(logits).requires_grad_()
    loss = build_loss(name, classes=5)
    optimizer = torch.optim.SGD([logits], lr=100.0)
    for _ in range(60):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    right = logits.argmax(1) == target
    assert right[target != IGNORE].all()


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("cross_entropie", {}, "use one of cross_entropy, dice, cross_entropy_dice"),
        ("cross_entropy", {"class_weights": (1.0, 2.0)}, "5 classes need as many .* got 2"),
        ("cross_entropy", {"class_weights": (1.0, 0.0, 1.0, 1.0, 1.0)}, "positive"),
        ("cross_entropy", {"class_weights": (1.0, float("nan"), 1.0, 1.0, 1.0)}, "finite"),
        ("cross_entropy", {"label_smoothing": 1.0}, r"\[0, 1\), got 1.0"),
        ("dice", {"label_smoothing": 0.1}, "no label_smoothing"),
        ("dice", {"class_weights": WEIGHTS}, "no class_weights"),
        ("cross_entropy_dice", {"dice": 1.0}, r"\(0, 1\), got 1.0"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(name, options, says):
    with pytest.raises(ValueError, match=says):
        build_loss(name, 5, LossOptions(**options))


def test_class_weights_of_another_length_are_refused_on_the_first_batch():
    with pytest.raises(ValueError, match="5 classes need as many class weights, got 2"):
        CrossEntropy(class_weights=(1.0, 2.0))(*batch())


def test_class_weights_do_not_travel_in_checkpoints():
    assert not CrossEntropy(class_weights=WEIGHTS).state_dict()
