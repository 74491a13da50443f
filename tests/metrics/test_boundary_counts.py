import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effunet.metrics.boundary import (
    F_SHARE,
    IOU_SHARE,
    band,
    band_counts,
    boundary_f,
    boundary_iou,
    contour_counts,
    reach,
)

seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(1, 24), st.integers(1, 24))


def blobs(classes, size, seed, ignored=0.1):
    """Labels in patches of 4 x 4 with some single pixels, as truth and as prediction."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, classes, (size[0] // 4 + 1, size[1] // 4 + 1))
    truth = np.kron(coarse, np.ones((4, 4), int))[: size[0], : size[1]].astype(np.uint8)
    predicted = np.roll(truth, draw.integers(-2, 3, 2), (0, 1))
    for mask in (truth, predicted):
        other = draw.random(size) < 0.05
        mask[other] = draw.integers(0, classes, int(other.sum()))
    truth[draw.random(size) < ignored] = 255
    return truth, predicted


def around(mask, row, column):
    return mask[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]


def cheng(mask, distance, ignored):
    """The mask less its 3 x 3 erosions, outside of the image nothing; ignored pixels go along."""
    height, width = mask.shape
    left = np.pad(mask | ignored, 1)
    for _ in range(distance):
        left[1:-1, 1:-1] = np.min(
            [left[r : r + height, c : c + width] for r in range(3) for c in range(3)], axis=0
        )
    return mask & ~left[1:-1, 1:-1]


def contour(labels, index):
    height, width = labels.shape
    return [
        (row, column)
        for row in range(height)
        for column in range(width)
        if labels[row, column] == index
        and any(value not in (index, 255) for value in around(labels, row, column).ravel())
    ]


def met(points, others, distance):
    return sum(any(math.dist(point, other) <= distance for other in others) for point in points)


@given(
    size=sizes, classes=st.integers(1, 6), distance=st.integers(1, 30), seed=seeds,
    ignored=st.sampled_from([0, 0.1, 0.6, 1]),
)  # fmt: skip
def test_bands_are_those_of_erosions_class_by_class(size, classes, distance, seed, ignored):
    truth, predicted = blobs(classes, size, seed, ignored)
    predicted[truth == 255] = 255
    unknown = truth == 255
    true = [cheng(truth == k, distance, unknown) for k in range(classes)]
    said = [cheng(predicted == k, distance, unknown) for k in range(classes)]
    assert np.array_equal(band(truth, distance), np.any(true, axis=0))
    predicted[unknown] = 0
    expected = [
        [(a & b).sum() for a, b in zip(true, said, strict=True)],
        [a.sum() for a in true],
        [b.sum() for b in said],
    ]
    assert np.array_equal(band_counts(truth, predicted, classes, distance), expected)


@given(
    size=sizes, classes=st.integers(1, 5), distance=st.integers(1, 12), seed=seeds,
    ignored=st.sampled_from([0, 0.1, 0.6]),
)  # fmt: skip
def test_contours_meet_as_every_pair_of_pixels_says(size, classes, distance, seed, ignored):
    truth, predicted = blobs(classes, size, seed, ignored)
    counts = contour_counts(truth, predicted, classes, distance)
    predicted[truth == 255] = 255
    for index in range(classes):
        true, said = contour(truth, index), contour(predicted, index)
        expected = met(said, true, distance), len(said), met(true, said, distance), len(true)
        assert tuple(counts[:, index]) == expected


@given(size=sizes, seed=seeds, distance=st.integers(1, 5))
def test_the_truth_itself_scores_one_wherever_there_is_something_to_score(size, seed, distance):
    truth, _ = blobs(4, size, seed, ignored=0)
    for score in (
        boundary_iou(band_counts(truth, truth, 4, distance)),
        boundary_f(contour_counts(truth, truth, 4, distance)),
    ):
        assert set(score[np.isfinite(score)]) <= {1.0}
    present = np.isin(np.arange(4), truth)
    assert np.array_equal(np.isfinite(boundary_iou(band_counts(truth, truth, 4, 1))), present)


@given(size=sizes, seed=seeds, distance=st.integers(1, 5))
def test_exchanging_truth_and_prediction_exchanges_their_counts(size, seed, distance):
    truth, predicted = blobs(4, size, seed, ignored=0)
    bands = band_counts(truth, predicted, 4, distance)
    contours = contour_counts(truth, predicted, 4, distance)
    assert np.array_equal(band_counts(predicted, truth, 4, distance), bands[[0, 2, 1]])
    assert np.array_equal(contour_counts(predicted, truth, 4, distance), contours[[2, 3, 0, 1]])


@pytest.mark.parametrize("count", [band_counts, contour_counts])
@given(size=sizes, seed=seeds, distance=st.integers(1, 5))
def test_transposition_mirrors_and_other_numbers_of_classes_keep_the_counts(
    count, size, seed, distance
):
    truth, predicted = blobs(5, size, seed)
    counts = count(truth, predicted, 5, distance)
    assert np.array_equal(count(truth.T, predicted.T, 5, distance), counts)
    assert np.array_equal(count(truth[:, ::-1], predicted[:, ::-1], 5, distance), counts)
    order = np.random.default_rng(seed).permutation(5)
    names = np.full(256, 255, np.uint8)
    names[order] = np.arange(5)
    assert np.array_equal(count(names[truth], names[predicted], 5, distance), counts[:, order])
    assert np.array_equal(count(truth, predicted, 255, distance)[:, :5], counts)


@pytest.mark.parametrize("count", [band_counts, contour_counts])
@given(size=sizes, seed=seeds, distance=st.integers(1, 5))
def test_what_is_predicted_where_the_truth_is_ignored_changes_nothing(count, size, seed, distance):
    truth, predicted = blobs(4, size, seed, ignored=0.4)
    other = np.where(truth == 255, (predicted + 1) % 4, predicted).astype(np.uint8)
    assert np.array_equal(count(truth, predicted, 4, distance), count(truth, other, 4, distance))


def test_a_patch_of_ignored_pixels_makes_no_boundary():
    truth = np.zeros((40, 40), np.uint8)
    truth[15:25, 15:25] = 255
    assert not band(truth, 3)[3:-3, 3:-3].any()
    assert contour_counts(truth, np.zeros_like(truth), 1, 3).sum() == 0


def test_a_shift_within_the_distance_is_met_and_one_beyond_is_not():
    truth, predicted = np.zeros((2, 9, 40), np.uint8)
    truth[:, 20:] = 1
    for shift, score in ((3, 1), (4, 1), (5, 0)):
        predicted[:] = 0
        predicted[:, 20 + shift :] = 1
        assert boundary_f(contour_counts(truth, predicted, 2, 4)).tolist() == [score, score]


def test_scores_of_counts_worked_by_hand_and_of_stacks_of_them():
    bands = np.array([[6, 0, 0, 0], [8, 5, 0, 0], [10, 0, 7, 0]])
    assert boundary_iou(bands) == pytest.approx([6 / 12, 0, 0, math.nan], nan_ok=True)
    contours = np.array([[3, 0, 0, 0], [4, 5, 0, 0], [1, 0, 0, 0], [2, 0, 7, 0]])
    f = 2 * (3 / 4) * (1 / 2) / (3 / 4 + 1 / 2)
    assert boundary_f(contours) == pytest.approx([f, 0, 0, math.nan], nan_ok=True)
    stack = np.stack([bands, 2 * bands])[:, None]
    assert boundary_iou(stack).shape == (2, 1, 4)
    assert np.array_equal(boundary_iou(stack)[1, 0], boundary_iou(bands), equal_nan=True)
    assert boundary_f(np.stack([contours] * 3)).shape == (3, 4)


def test_reach_is_a_rounded_share_of_the_diagonal_and_one_at_least():
    assert reach(3, 4, 1) == 5
    assert reach(1024, 2048, IOU_SHARE) == round(0.02 * math.sqrt(1024**2 + 2048**2)) == 46
    assert reach(360, 480, F_SHARE) == round(0.0075 * 600) == 4
    assert reach(10, 10, F_SHARE) == reach(1, 1, 0) == 1


@pytest.mark.parametrize("count", [band_counts, contour_counts])
def test_no_class_and_no_distance_are_refused(count):
    mask = np.array([[0, 1], [1, 255]], np.uint8)
    zeros = np.zeros_like(mask)
    with pytest.raises(ValueError, match=r"1 pixel at least.*, got .?0"):
        count(mask, zeros, 2, 0)
    with pytest.raises(ValueError, match="truth holds class index 1, but 1 classes"):
        count(mask, zeros, 1, 1)
    with pytest.raises(ValueError, match="prediction holds class index 255"):
        count(zeros, mask, 2, 1)
