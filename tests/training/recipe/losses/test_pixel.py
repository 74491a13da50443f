"""Means over pixels: cross-entropy, focal and the hardest pixels, against torch and by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from loss_batches import WEIGHTS, batch, smp_loss

from effunet.labels import IGNORE
from effunet.training.recipe.losses import Boundary, CrossEntropy, Focal, Ohem

BOTH = pytest.mark.parametrize("weights", [None, WEIGHTS])


def same(ours, theirs, logits):
    """Equal in value and in gradient."""
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*grads, atol=1e-7, rtol=1e-5)


@BOTH
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("ignored", [0.0, 0.3])
def test_cross_entropy_is_torchs_where_that_is_finite(weights, smoothing, ignored):
    logits, target = batch(ignored=ignored)
    torchs = F.cross_entropy(
        logits,
        target,
        weight=None if weights is None else torch.tensor(weights),
        ignore_index=IGNORE,
        label_smoothing=smoothing,
    )
    same(CrossEntropy(smoothing, weights)(logits, target), torchs, logits)


@BOTH
def test_focal_without_gamma_is_cross_entropy(weights):
    logits, target = batch()
    same(Focal(0.0, weights)(logits, target), CrossEntropy(0.0, weights)(logits, target), logits)


@BOTH
@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_is_its_formula(weights, gamma):
    logits, target = batch()
    p = logits.softmax(1).movedim(1, 3)[target != IGNORE]
    truth = target[target != IGNORE]
    p = p[range(len(truth)), truth]
    alpha = torch.ones(len(truth)) if weights is None else torch.tensor(weights)[truth]
    formula = (-alpha * (1 - p) ** gamma * p.log()).sum() / alpha.sum()
    same(Focal(gamma, weights)(logits, target), formula, logits)


def test_focal_of_smp_is_another_loss_which_without_gamma_is_no_cross_entropy():
    logits, target = batch()
    smp = smp_loss("FocalLoss", gamma=0.0)(logits, target)
    assert abs(smp.item() - CrossEntropy()(logits, target).item()) > 0.1
    counted = target != IGNORE
    one_against_all = F.binary_cross_entropy_with_logits(
        logits.movedim(1, 3)[counted], F.one_hot(target[counted], 5).float()
    )
    assert smp.item() == pytest.approx(one_against_all.item(), abs=1e-6)


@BOTH
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_ohem_that_keeps_everything_is_cross_entropy(weights, smoothing):
    logits, target = batch()
    ohem = Ohem(0.7, 1.0, smoothing, weights)(logits, target)
    same(ohem, CrossEntropy(smoothing, weights)(logits, target), logits)


@BOTH
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("threshold", [0.01, 0.7, 1.0])
@pytest.mark.parametrize("keep", [0.01, 1 / 16, 0.5, 1.0])
def test_ohem_is_what_numpys_sort_picks(threshold, keep, smoothing, weights):
    logits, target = batch(size=(2, 15, 17))
    class_weights = None if weights is None else torch.tensor(weights)
    truth = target[target != IGNORE]
    scores = logits.detach().movedim(1, 3)[target != IGNORE]
    each = F.cross_entropy(
        scores, truth, weight=class_weights, reduction="none", label_smoothing=smoothing
    ).numpy()
    p = scores.softmax(1).numpy()[range(len(truth)), truth]
    at_least = int(np.ceil(keep * len(p)))
    hardest = np.argsort(p)[: max(at_least, (p < threshold).sum())]
    mass = len(hardest) if weights is None else np.take(weights, truth[hardest]).sum()
    loss = Ohem(threshold, keep, smoothing, weights)(logits, target)
    assert loss.item() == pytest.approx(each[hardest].sum() / mass, rel=1e-5)


def test_ohem_takes_pixels_that_are_equally_hard_together():
    logits = torch.zeros(1, 2, 4, 4)
    target = torch.zeros(1, 4, 4, dtype=torch.int64)
    logits[0, 0] = 5.0
    logits.requires_grad_()
    Ohem(0.5, 1 / 16)(logits, target).backward()
    assert (logits.grad[:, 0] < 0).all()


@pytest.mark.parametrize("loss", [CrossEntropy, Focal, Ohem, Boundary])
@pytest.mark.parametrize("weights", [(1.0, 2.0), (*WEIGHTS, 1.0)])
def test_class_weights_of_another_length_are_refused_on_the_first_batch(loss, weights):
    with pytest.raises(ValueError, match=f"5 classes need .* class weights, got {len(weights)}"):
        loss(class_weights=weights)(*batch())


@pytest.mark.parametrize("loss", [CrossEntropy, Focal, Ohem, Boundary])
def test_class_weights_do_not_travel_in_checkpoints(loss):
    assert not loss(class_weights=WEIGHTS).state_dict()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Focal(-1.0), "focal_gamma must be 0 or more"),
        (lambda: Ohem(threshold=0.0), r"ohem_threshold must lie in \(0, 1\]"),
        (lambda: Ohem(keep=1.5), r"ohem_keep must lie in \(0, 1\]"),
        (lambda: Ohem(label_smoothing=1.0), r"\[0, 1\), got 1.0"),
        (lambda: CrossEntropy(label_smoothing=-0.1), r"\[0, 1\), got -0.1"),
    ],
)
def test_a_number_out_of_its_range_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
