"""A name and options -> a loss, or the reason why not."""

import subprocess
import sys
from typing import get_type_hints

import pytest
import torch
from loss_batches import WEIGHTS, batch

from effunet.training.config.loss_rules import LISTENS
from effunet.training.config.recipe import Loss
from effunet.training.recipe.losses import (
    LOSSES,
    CrossEntropy,
    Dice,
    Focal,
    LossOptions,
    Lovasz,
    Ohem,
    WeightedSum,
    build_loss,
)


def test_a_weighted_sum_is_the_sum_of_its_weighted_terms():
    logits, target = batch()
    total = WeightedSum([(0.25, CrossEntropy()), (3.0, Dice())])(logits, target)
    expected = 0.25 * CrossEntropy()(logits, target) + 3 * Dice()(logits, target)
    assert total.item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_sum_by_name_is_the_sum_of_its_terms_which_share_the_options():
    logits, target = batch()
    options = LossOptions(
        terms=["ohem:2", "lovasz:0.5", "focal"],
        class_weights=list(WEIGHTS),
        label_smoothing=0.1,
        focal_gamma=3.0,
    )
    parts = (
        2 * Ohem(label_smoothing=0.1, class_weights=WEIGHTS)(logits, target)
        + 0.5 * Lovasz()(logits, target)
        + Focal(3.0, WEIGHTS)(logits, target)
    )
    assert build_loss("sum", 5, options)(logits, target).item() == pytest.approx(parts.item())


def test_the_schema_the_dict_and_the_keys_name_the_same_losses_and_every_key_has_a_listener():
    choices = Loss.__dataclass_fields__["name"].metadata["limits"]["choices"]
    assert set(choices) == set(LOSSES) == set(LISTENS)
    heard = {key for keys in LISTENS.values() for key in keys}
    assert set(get_type_hints(Loss)) - heard == {"name", "weighting", "effective_beta"}


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "sum"])
def test_a_key_changes_every_loss_that_listens_to_it(name):
    other = {
        "label_smoothing": 0.2,
        "class_weights": list(WEIGHTS),
        "dice": 0.1,
        "focal_gamma": 0.5,
        "ohem_threshold": 0.1,
        "ohem_keep": 0.9,
        "tversky_alpha": 0.6,
        "tversky_beta": 0.4,
        "boundary_width": 1,
        "boundary_weight": 9.0,
    }
    logits, target = batch()
    target[:] = torch.arange(7) // 4
    plain = build_loss(name, 5)(logits, target)
    for key in LISTENS[name]:
        changed = build_loss(name, 5, LossOptions(**{key: other[key]}))(logits, target)
        assert changed.item() != pytest.approx(plain.item(), rel=1e-4), key


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("cross_entropie", {}, "use one of cross_entropy, dice, cross_entropy_dice, focal"),
        ("cross_entropy", {"class_weights": [1.0, 2.0]}, "5 classes need as many .* got 2"),
        ("focal", {"class_weights": [1.0, 0.0, 1.0, 1.0, 1.0]}, "positive"),
        ("ohem", {"class_weights": [1.0, float("nan"), 1.0, 1.0, 1.0]}, "finite"),
        ("cross_entropy", {"label_smoothing": 1.0}, r"\[0, 1\), got 1.0"),
        ("dice", {"label_smoothing": 0.1}, "loss=dice has no loss.label_smoothing"),
        ("lovasz", {"class_weights": list(WEIGHTS)}, "loss=lovasz has no loss.class_weights"),
        ("focal", {"label_smoothing": 0.1}, "or use loss=cross_entropy or cross_entropy_dice or"),
        ("cross_entropy_dice", {"dice": 1.0}, "positive weight"),
        ("sum", {}, "needs its terms"),
        ("sum", {"terms": ["dice", "lovas"]}, "called lovas: did you mean lovasz?"),
        ("sum", {"terms": ["sum"]}, "called sum: "),
        ("sum", {"terms": ["dice:-1"]}, "dice:-1: a weight is a number over 0"),
        ("sum", {"terms": ["dice", "lovasz"], "focal_gamma": 1.0}, r"dice\+lovasz has"),
        ("dice", {"terms": ["dice"]}, "loss.terms goes with loss=sum alone"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(name, options, says):
    with pytest.raises(ValueError, match=says):
        build_loss(name, 5, LossOptions(**options))


def test_no_loss_brings_smp_with_it():
    code = (
        "import sys; from effunet.training.recipe.losses import LOSSES, LossOptions, build_loss\n"
        "for name in LOSSES: build_loss(name, 3, LossOptions(\n"
        "    terms=['lovasz'] if name == 'sum' else []))\n"
        "assert 'segmentation_models_pytorch' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
