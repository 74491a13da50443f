import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix
from torchmetrics.classification import MulticlassJaccardIndex

from effunet.labels import IGNORE
from effunet.metrics.confusion import ConfusionMatrix
from effunet.metrics.scores import Scores


def loop(pairs, classes, ignore=IGNORE):
    """The definition, pixel by pixel."""
    counts = [[0] * classes for _ in range(classes)]
    for prediction, target in pairs:
        for said, true in zip(prediction.ravel().tolist(), target.ravel().tolist(), strict=True):
            if true != ignore:
                counts[true][said] += 1
    return np.array(counts)


def loop_miou(counts):
    ious = []
    for k in range(len(counts)):
        union = sum(counts[k]) + sum(row[k] for row in counts) - counts[k][k]
        if union:
            ious.append(counts[k][k] / union)
    return sum(ious) / len(ious) if ious else math.nan


def measure(pairs, classes, batch_size=1, ignore=IGNORE):
    metric = ConfusionMatrix(classes, ignore_index=ignore)
    for first in range(0, len(pairs), batch_size):
        chunk = pairs[first : first + batch_size]
        metric.update(*(torch.from_numpy(np.stack(side)) for side in zip(*chunk, strict=True)))
    return metric.compute()


def random_pairs(count, classes, size=(6, 7), seed=0):
    draw = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        prediction = draw.integers(0, classes, size)
        target = draw.integers(0, classes, size).astype(np.uint8)
        target[draw.random(size) < 0.2] = IGNORE
        pairs.append((prediction, target))
    return pairs


@pytest.mark.parametrize("batch_size", [1, 3, 7, 50])
def test_fifty_pairs_equal_an_independent_loop_for_every_batch_size(batch_size):
    pairs = random_pairs(50, classes=5)
    matrix = measure(pairs, 5, batch_size)
    assert np.array_equal(matrix.numpy(), loop(pairs, 5))
    assert Scores.from_confusion(matrix).miou == pytest.approx(loop_miou(loop(pairs, 5)), abs=1e-12)


@settings(max_examples=500, deadline=None)
@given(
    classes=st.integers(2, 30),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    missing=st.integers(0, 29),
    ignore=st.sampled_from([-100, -1, 0, 1, 29, 31, 254, 255]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_size_any_ignore_id_and_missing_classes_equal_the_loop(
    classes, height, width, missing, ignore, seed
):
    draw = np.random.default_rng(seed)
    prediction = draw.integers(0, classes, (2, height, width))
    target = draw.integers(0, classes, (2, height, width))
    target[target == missing] = ignore
    target[draw.random(target.shape) < 0.2] = ignore
    pairs = list(zip(prediction, target, strict=True))
    expected = loop(pairs, classes, ignore)
    matrix = measure(pairs, classes, 2, ignore)
    assert np.array_equal(matrix.numpy(), expected)
    assert Scores.from_confusion(matrix).miou == pytest.approx(
        loop_miou(expected), abs=1e-12, nan_ok=True
    )


def test_the_counts_are_scikit_learns():
    pairs = random_pairs(5, classes=7)
    counted = [(p[t != IGNORE], t[t != IGNORE]) for p, t in pairs]
    said, true = (np.concatenate(side) for side in zip(*counted, strict=True))
    expected = confusion_matrix(true, said, labels=range(7))
    assert np.array_equal(measure(pairs, 7).numpy(), expected)


def test_the_mean_is_torchmetrics_macro_jaccard():
    pairs = random_pairs(6, classes=7)
    peer = MulticlassJaccardIndex(9, average="macro", ignore_index=IGNORE)
    for prediction, target in pairs:
        peer.update(torch.from_numpy(prediction), torch.from_numpy(target).long())
    # Classes 7 and 8 occur nowhere: both leave them out of the mean.
    assert Scores.from_confusion(measure(pairs, 9)).miou == pytest.approx(
        float(peer.compute()), abs=1e-6
    )


def test_an_absent_class_does_not_count_as_zero_iou():
    scores = Scores.from_confusion(np.array([[4, 0, 0], [0, 4, 0], [0, 0, 0]]))
    assert scores.miou == 1.0
    assert scores.counted == 2
    assert math.isnan(scores.iou[2]) and math.isnan(scores.dice[2])


def test_a_class_that_is_only_predicted_counts_as_zero_iou_but_has_no_accuracy():
    scores = Scores.from_confusion(np.array([[3, 1], [0, 0]]))
    assert scores.counted == 2
    assert scores.iou.tolist() == [0.75, 0.0]
    assert math.isnan(scores.accuracy[1])
    assert scores.mean_accuracy == 0.75


def test_scores_of_a_matrix_worked_by_hand():
    scores = Scores.from_confusion(np.array([[6, 2], [1, 3]]))
    assert scores.iou.tolist() == [6 / 9, 3 / 6]
    assert scores.dice.tolist() == [12 / 15, 6 / 9]
    assert scores.accuracy.tolist() == [6 / 8, 3 / 4]
    assert scores.pixel_accuracy == 9 / 12
    assert scores.pixels.tolist() == [8, 4]
    assert scores.miou == (6 / 9 + 3 / 6) / 2


def test_dice_follows_from_iou():
    scores = Scores.from_confusion(measure(random_pairs(3, classes=4), 4))
    assert scores.dice == pytest.approx(2 * scores.iou / (1 + scores.iou), abs=1e-12)


def test_nothing_but_ignored_pixels_gives_no_score_and_valid_json():
    matrix = measure([(np.zeros((3, 3), np.int64), np.full((3, 3), IGNORE, np.uint8))], 2)
    plain = Scores.from_confusion(matrix).to_plain(["a", "b"])
    assert plain["miou"] is None and plain["pixel_accuracy"] is None
    assert plain["counted"] == 0 and plain["pixels"] == 0
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_plain_scores_carry_names_counts_and_nulls():
    plain = Scores.from_confusion(np.array([[3, 1], [0, 0]])).to_plain(["road", "car"])
    assert plain["classes"] == [
        {
            "name": "road",
            "iou": 0.75,
            "accuracy": 0.75,
            "precision": 1.0,
            "dice": pytest.approx(6 / 7),
            "pixels": 4,
            "predicted": 3,
        },
        {
            "name": "car",
            "iou": 0.0,
            "accuracy": None,
            "precision": 0.0,
            "dice": 0.0,
            "pixels": 0,
            "predicted": 1,
        },
    ]
    assert plain["confusion"] == [[3, 1], [0, 0]]


@pytest.mark.parametrize("start", [2**24, 10**10, 2**53 - 1])
def test_counts_stay_exact_where_float32_stops(start):
    metric = ConfusionMatrix(2)
    metric.matrix += torch.tensor([[start, 0], [0, 1]])
    one = torch.zeros(1, 1, 1, dtype=torch.int64)
    metric.update(one, one)
    assert metric.compute()[0, 0].item() == start + 1
    assert Scores.from_confusion(metric.compute()).to_plain(["a", "b"])["pixels"] == start + 2


@pytest.mark.parametrize(
    "cast",
    [
        lambda module: module.half(),
        lambda module: module.double(),
        lambda module: module.to(torch.float16),
        lambda module: module.type(torch.float32),
        lambda module: module["metric"].set_dtype(torch.float32),
        lambda module: module["metric"].half(),
        lambda module: module["metric"].float(),
    ],
)
def test_no_cast_makes_the_counts_float(cast):
    module = torch.nn.ModuleDict({"metric": ConfusionMatrix(2), "net": torch.nn.Linear(1, 1)})
    metric = module["metric"]
    cast(module)
    one = torch.ones(1, 1, 1, dtype=torch.uint8)
    metric.update(one, one)
    assert metric.matrix.dtype == metric.compute().dtype == torch.int64
    metric.reset()
    assert metric.matrix.dtype == torch.int64
    assert metric.matrix.sum() == 0


def test_reset_starts_again_from_zero():
    metric = ConfusionMatrix(2)
    one = torch.ones(1, 2, 2, dtype=torch.uint8)
    for _ in range(2):
        metric.update(one, one)
        assert metric.compute().sum() == 4
        metric.reset()


@pytest.mark.parametrize(
    ("prediction", "target", "says"),
    [
        ([[0, 2]], [[0, 1]], "prediction holds class index 2, but 2 classes"),
        ([[0, -1]], [[0, 1]], "prediction holds class index -1"),
        ([[0, 1]], [[0, 200]], "target holds class index 200"),
        ([[0, 1]], [[0, -1]], "target holds class index -1"),
        ([[0, 1]], [[0, 1, 1]], r"\(1, 1, 2\) and \(1, 1, 3\)"),
    ],
)
def test_an_index_that_is_no_class_or_another_shape_is_refused(prediction, target, says):
    metric = ConfusionMatrix(2)
    # Without the shape check of the test suite: the first line of defence must be our own.
    update = getattr(ConfusionMatrix.update, "__wrapped__", ConfusionMatrix.update)
    with pytest.raises(ValueError, match=says):
        update(metric, torch.tensor([prediction]), torch.tensor([target]))
    assert metric.matrix.sum() == 0


def test_a_matrix_of_fractions_or_another_shape_is_refused():
    with pytest.raises(ValueError, match="whole counts"):
        Scores.from_confusion(np.eye(2))
    with pytest.raises(ValueError, match="square"):
        Scores.from_confusion(np.zeros((2, 3), np.int64))
    with pytest.raises(ValueError, match="2 classes need as many names, got 1"):
        Scores.from_confusion(np.eye(2, dtype=np.int64)).to_plain(["one"])
