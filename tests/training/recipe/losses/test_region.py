"""Losses over regions: Dice and Tversky beside smp's, Lovasz-Softmax by its laws."""

import numpy as np
import pytest
import torch
from loss_batches import batch, saturated, smp_loss

from effunet.labels import IGNORE
from effunet.training.recipe.losses import Dice, Lovasz, Tversky


def same(ours, theirs, logits):
    """Equal in value and in gradient."""
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*grads, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("ignored", [0.0, 0.3])
def test_dice_is_smps_where_every_class_occurs(ignored):
    logits, target = batch(ignored=ignored)
    same(Dice()(logits, target), smp_loss("DiceLoss")(logits, target), logits)


@pytest.mark.parametrize("ignored", [0.0, 0.3])
@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (1.0, 1.0), (0.9, 0.2)])
def test_tversky_is_smps_where_every_class_occurs(ignored, alpha, beta):
    logits, target = batch(ignored=ignored)
    smp = smp_loss("TverskyLoss", alpha=alpha, beta=beta)
    same(Tversky(alpha, beta)(logits, target), smp(logits, target), logits)


@pytest.mark.parametrize(
    ("loss", "name", "options"),
    [(Dice(), "DiceLoss", {}), (Tversky(), "TverskyLoss", {"alpha": 0.3, "beta": 0.7})],
)
def test_the_mean_is_over_the_classes_in_the_truth_where_smp_divides_by_all(loss, name, options):
    logits, target = batch()
    target[target >= 3] = IGNORE  # classes 3 and 4 of 5 occur nowhere
    smp = smp_loss(name, **options)(logits, target)
    assert loss(logits, target).item() == pytest.approx(smp.item() * 5 / 3, abs=1e-6)


def test_tversky_whose_faults_weigh_one_half_is_dice():
    logits, target = batch()
    same(Tversky(0.5, 0.5)(logits, target), Dice()(logits, target), logits)


def test_tversky_minds_what_is_missing_more_than_what_is_too_much():
    truth = torch.zeros(1, 4, 4, dtype=torch.int64)
    truth[0, :2] = 1
    more, less = truth.clone(), truth.clone()
    more[0, 2] = 1
    less[0, 1] = 0
    prefers_more = Tversky(0.3, 0.7)
    # Class 1 alone: the other class has the opposite faults.
    truth[truth == 0] = IGNORE
    assert prefers_more(saturated(less, 2), truth) > prefers_more(saturated(more, 2), truth)


def test_dice_of_a_perfect_prediction_is_zero_and_of_a_wrong_one_is_one():
    target = torch.tensor([[[0, 1], [1, IGNORE]]])
    right = saturated(target, 2)
    assert Dice()(right, target).item() == pytest.approx(0, abs=1e-6)
    assert Dice()(-right, target).item() == pytest.approx(1, abs=1e-6)


def one_minus_mean_iou(prediction: np.ndarray, target: np.ndarray) -> float:
    """Over the classes of the truth, by sets."""
    counted = target != IGNORE
    ious = []
    for index in np.unique(target[counted]):
        mine, true = (prediction == index) & counted, target == index
        ious.append((mine & true).sum() / (mine | true).sum())
    return 1 - float(np.mean(ious))


@pytest.mark.parametrize("classes", [2, 5, 9])
@pytest.mark.parametrize("seed", range(4))
def test_lovasz_of_a_certain_prediction_is_one_minus_the_mean_iou(classes, seed):
    _, target = batch(classes, seed=seed, size=(3, 8, 9))
    target[target == 1] = IGNORE  # a class that the truth lacks and the prediction has
    _, prediction = batch(classes, ignored=0.0, seed=100 + seed, size=(3, 8, 9))
    loss = Lovasz()(saturated(prediction, classes), target)
    expected = one_minus_mean_iou(prediction.numpy(), target.numpy())
    assert loss.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("ignored", [0.0, 0.3])
@pytest.mark.parametrize("absent", [False, True])
def test_lovasz_is_smps_on_a_small_batch(ignored, absent):
    logits, target = batch(ignored=ignored)
    if absent:
        target[target == 4] = 0
    same(Lovasz()(logits, target), smp_loss("LovaszLoss")(logits, target), logits)


def test_lovasz_of_smp_gives_no_scalar_where_all_is_ignored():
    logits, _ = batch()
    nothing = smp_loss("LovaszLoss")(logits, torch.full((2, 6, 7), IGNORE))
    assert nothing.shape == (0, 5)


def lovasz_in_float64(logits, target):
    """Algorithm 1 of the paper, word for word."""
    losses = []
    for index in target.unique().tolist():
        truth = (target == index).double().flatten()
        error = (truth - logits.softmax(1)[:, index].flatten()).abs()
        error, order = error.sort(descending=True)
        truth = truth[order]
        union = truth.sum() + (1 - truth).cumsum(0)
        jaccard = 1 - (truth.sum() - truth.cumsum(0)) / union
        losses.append((error * jaccard.diff(prepend=jaccard.new_zeros(1))).sum())
    return torch.stack(losses).mean()


def test_lovasz_keeps_its_gradient_exact_on_a_large_batch_where_smp_rounds_it_away():
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 1000, 1000, generator=draw)
    target = torch.randint(2, (1, 1000, 1000), generator=draw)

    def gradient(loss, dtype):
        seen = logits.detach().to(dtype).requires_grad_()
        return torch.autograd.grad(loss(seen, target), seen)[0].double()

    exact = gradient(lovasz_in_float64, torch.float64)
    ours, smps = [
        ((gradient(loss, torch.float32) - exact).norm() / exact.norm()).item()
        for loss in (Lovasz(), smp_loss("LovaszLoss"))
    ]
    assert ours < 1e-3 and smps > 10 * ours, (ours, smps)


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.7), (0.3, -1.0), (0.3, float("inf"))])
def test_tversky_weights_that_are_not_positive_are_refused(alpha, beta):
    with pytest.raises(ValueError, match="positive and finite"):
        Tversky(alpha, beta)
