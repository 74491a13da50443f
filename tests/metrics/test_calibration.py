import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassCalibrationError

from effunet.metrics import calibration
from effunet.metrics.calibration import (
    BINS,
    LEVELS,
    UNIT,
    TemperatureFit,
    ThresholdFit,
    expected_calibration_error,
    reliability_counts,
    reliability_curve,
)
from effunet.metrics.confusion import confusion
from effunet.metrics.scores import Scores


def softmax(logits):
    odds = np.exp(logits - logits.max(0))
    return (odds / odds.sum(0)).astype(np.float32)


def sampled(probabilities, seed):
    """A truth drawn from the probabilities, a tenth of it ignored."""
    draw = np.random.default_rng(seed)
    below = draw.random(probabilities.shape[1:]) > np.cumsum(probabilities, 0)
    truth = np.minimum(below.sum(0), len(probabilities) - 1).astype(np.uint8)
    truth[draw.random(truth.shape) < 0.1] = 255
    return truth


def scene(classes=4, size=(30, 40), seed=0, scale=2.0):
    logits = np.random.default_rng(seed).normal(size=(classes, *size)) * scale
    return logits, sampled(softmax(logits), seed + 1)


@given(
    seed=st.integers(0, 2**32 - 1), height=st.integers(0, 12), width=st.integers(0, 12),
    at_once=st.integers(20, 200),
)  # fmt: skip
def test_counts_are_those_of_a_loop_over_pixels(seed, height, width, at_once):
    draw = np.random.default_rng(seed)
    confidence = draw.random((height, width)).astype(np.float32)
    confidence[draw.random((height, width)) < 0.2] = draw.choice([0, 1, 0.2, 0.6])
    truth, predicted = draw.integers(0, 3, (2, height, width)).astype(np.uint8)
    truth[truth == 2] = 255
    expected = np.zeros((3, BINS), np.int64)
    for sure, said, true in zip(confidence.flat, predicted.flat, truth.flat, strict=True):
        if true != 255:
            place = min(int(sure * np.float32(BINS)), BINS - 1)
            expected[:, place] += 1, int(said == true), round(float(sure) * UNIT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "_AT_ONCE", at_once)
        assert np.array_equal(reliability_counts(confidence, predicted, truth), expected)


def test_the_error_is_torchmetrics():
    logits, truth = scene(size=(60, 80), scale=1.5)
    probabilities = softmax(logits * 2)
    counts = reliability_counts(probabilities.max(0), np.uint8(probabilities.argmax(0)), truth)
    peer = MulticlassCalibrationError(4, n_bins=BINS, norm="l1", ignore_index=255)
    known = torch.from_numpy(truth != 255).flatten()
    peer.update(
        torch.from_numpy(probabilities).flatten(1).T[known],
        torch.from_numpy(truth).flatten().long()[known],
    )
    error = expected_calibration_error(counts)
    assert error == pytest.approx(float(peer.compute()), abs=1e-5)
    assert error > 0.05


@pytest.mark.parametrize("excess", [0, 0.1, 0.25])
def test_the_error_is_what_the_confidence_has_too_much(excess):
    draw = np.random.default_rng(0)
    confidence = draw.uniform(0.3, 1, (1000, 1000)).astype(np.float32)
    right = draw.random(confidence.shape) < confidence - excess
    counts = reliability_counts(confidence, np.uint8(right), np.ones(right.shape, np.uint8))
    assert expected_calibration_error(counts) == pytest.approx(excess, abs=0.004)
    sure, found = reliability_curve(counts)
    assert np.isnan(sure).tolist() == np.isnan(found).tolist() == [True] * 4 + [False] * 11
    assert sure[4:] - found[4:] == pytest.approx(excess, abs=0.02)
    assert ((sure[4:] >= np.arange(4, 15) / 15) & (sure[4:] <= np.arange(5, 16) / 15)).all()


def test_counts_of_parts_sum_to_those_of_the_whole_and_nothing_counted_gives_nothing():
    logits, truth = scene()
    sure, said = softmax(logits).max(0), np.uint8(logits.argmax(0))
    parts = [
        reliability_counts(sure[rows], said[rows], truth[rows]) for rows in (np.s_[:7], np.s_[7:])
    ]
    assert np.array_equal(sum(parts), reliability_counts(sure, said, truth))
    nothing = reliability_counts(sure, said, np.full_like(truth, 255))
    errors = expected_calibration_error(np.stack([nothing, parts[0]]))
    assert math.isnan(errors[0]) and errors[1] >= 0


@pytest.mark.parametrize("value", [np.nan, -0.01, 1.01])
def test_what_is_no_probability_is_refused(value):
    sure, mask = np.full((2, 2), value, np.float32), np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match=r"probabilities lie in 0\.\.1"):
        reliability_counts(sure, mask, mask)
    with pytest.raises(ValueError, match=r"probabilities lie in 0\.\.1"):
        ThresholdFit().add(sure, mask)


def test_a_probability_that_rounding_made_larger_than_one_counts_as_one():
    sure, mask = np.full((2, 2), 1.00001, np.float32), np.zeros((2, 2), np.uint8)
    assert reliability_counts(sure, mask, mask)[:, -1].tolist() == [4, 4, 4 * UNIT]


@pytest.mark.parametrize("factor", [0.3, 1.0, 2.5])
def test_the_factor_by_which_logits_were_too_large_is_recovered(factor):
    fit = TemperatureFit(4)
    for index in range(15):
        logits, truth = scene(size=(60, 60), seed=10 * index)
        fit.add(softmax(logits * factor), truth, index)
    found = fit.fit()
    assert found == pytest.approx(factor, rel=0.03)
    assert fit.loss(found) < min(fit.loss(found * 1.02), fit.loss(found / 1.02))


@pytest.mark.parametrize("temperature", [0.5, 1, 3])
def test_the_loss_is_torchs_cross_entropy_of_counted_pixels(temperature):
    logits, truth = scene()
    fit = TemperatureFit(4)
    fit.add(softmax(logits), truth, 0)
    known = torch.from_numpy(truth).long()[None]
    expected = cross_entropy(torch.from_numpy(logits)[None] / temperature, known, ignore_index=255)
    assert fit.loss(temperature) == pytest.approx(float(expected), abs=1e-6)


def test_neither_order_nor_processes_change_which_pixels_are_kept():
    images = [scene(seed=10 * index) for index in range(12)]

    def sample(*shares):
        whole = TemperatureFit(4, pixels_an_image=500)
        whole.limit = 1200
        for share in shares:
            part = TemperatureFit(4, pixels_an_image=500)
            part.limit = 1200
            for index in share:
                logits, truth = images[index]
                part.add(softmax(logits), truth, index)
            whole.merge(part.state())
        return whole

    one = sample(range(12))
    for other in (sample(range(11, -1, -1)), sample([3, 1, 8], [], [0, 2, 4, 5, 6, 7, 9, 10, 11])):
        for mine, theirs in zip(one.state(), other.state(), strict=True):
            assert np.array_equal(mine, theirs)
        assert other.fit() == one.fit()
    # What is kept is spread over the images: 100 of each would be quite even.
    owners = [softmax(logits).astype(np.float32) for logits, _ in images]
    kept = set(map(bytes, one.state()[0]))
    shares = [len(kept & set(map(bytes, np.log(p.reshape(4, -1).T)))) for p in owners]
    assert sum(shares) == 1200 and min(shares) > 70 and max(shares) < 130


def test_ignored_pixels_are_never_sampled():
    logits, truth = scene()
    probabilities = softmax(logits)
    probabilities[:, truth == 255] = np.nan
    fit = TemperatureFit(4)
    fit.add(probabilities, truth, 3)
    assert len(fit.state()[0]) == (truth != 255).sum()
    assert math.isfinite(fit.loss(1.0))


def test_certainty_and_impossible_truths_stay_within_the_limits():
    truth = np.zeros((4, 4), np.uint8)
    for right, expected in ((True, 0.05), (False, 20.0)):
        fit = TemperatureFit(2)
        certain = np.stack([np.full((4, 4), right), np.full((4, 4), not right)])
        fit.add(certain.astype(np.float32), truth, 0)
        assert 0.05 <= fit.fit() <= 20
        assert fit.loss(fit.fit()) <= fit.loss(1.0)
        if not right:
            assert fit.fit() == pytest.approx(expected, rel=0.01)


def test_what_no_temperature_fits_is_refused():
    with pytest.raises(ValueError, match="no counted pixel"):
        TemperatureFit(3).fit()
    with pytest.raises(ValueError, match="2 classes and 1 pixel"):
        TemperatureFit(1)
    uniform = np.full((3, 2, 2), 1 / 3, np.float32)
    with pytest.raises(ValueError, match="of 4 classes, got 3"):
        TemperatureFit(4).add(uniform, np.zeros((2, 2), np.uint8), 0)
    with pytest.raises(ValueError, match="class index 3, of 3 classes"):
        TemperatureFit(3).add(uniform, np.full((2, 2), 3, np.uint8), 0)


@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-2, 2))
def test_the_threshold_is_that_of_trying_them_all(seed, shift):
    draw = np.random.default_rng(seed)
    truth = draw.choice(np.array([0, 1, 1, 255], np.uint8), (6, 9))
    foreground = 1 / (1 + np.exp(-draw.normal(np.where(truth == 1, 1, -1) + shift)))
    foreground = foreground.astype(np.float32)
    fit = ThresholdFit()
    fit.add(foreground[:2], truth[:2])
    fit.add(foreground[2:], truth[2:])
    if not fit.counts.any():
        return
    known = truth != 255
    levels = np.arange(1, LEVELS) / LEVELS
    said, true = foreground[known] >= levels[:, None], truth[known] == 1
    scores = np.zeros(len(levels))
    classes = 0
    for a, b in ((said, true), (~said, ~true)):
        union = (a | b).sum(1)
        scores += (a & b).sum(1) / np.maximum(union, 1)
        classes = classes + (union > 0)
    scores /= classes
    best = fit.fit()
    assert fit.miou(best) == pytest.approx(scores.max(), abs=1e-12)
    assert scores[round(best * LEVELS) - 1] == pytest.approx(scores.max(), abs=1e-12)
    equal = levels[scores >= scores.max() - 1e-12]
    assert abs(best - 0.5) == np.abs(equal - 0.5).min()
    matrix = confusion(truth, np.uint8(foreground >= 0.25), 2)
    assert fit.miou(0.25) == pytest.approx(Scores.from_confusion(matrix).miou, abs=1e-12)


def test_a_threshold_of_other_classes_or_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no counted pixel"):
        ThresholdFit().fit()
    with pytest.raises(ValueError, match="classes 0 and 1, truth holds 2"):
        ThresholdFit().add(np.zeros((1, 2), np.float32), np.array([[0, 2]], np.uint8))
    fit = ThresholdFit()
    fit.add(np.zeros((1, 2), np.float32), np.array([[0, 1]], np.uint8))
    for threshold in (0.0, 1.0, 0.3):
        with pytest.raises(ValueError, match="a multiple of 1/1024"):
            fit.miou(threshold)
