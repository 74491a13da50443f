import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label

from effunet.metrics import regions
from effunet.metrics.boundary import band
from effunet.metrics.confusion import confusion
from effunet.metrics.regions import (
    DISTANCES,
    SIZES,
    distance_counts,
    size_counts,
    suspect_pixels,
)

seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(1, 30), st.integers(1, 30))


def patches(classes, size, seed, ignored=0.1):
    """Labels in patches of 3 x 5 with some single pixels, as truth and as prediction."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, classes, (size[0] // 3 + 1, size[1] // 5 + 1))
    truth = np.kron(coarse, np.ones((3, 5), int))[: size[0], : size[1]].astype(np.uint8)
    predicted = np.roll(truth, draw.integers(-2, 3, 2), (0, 1))
    specks = draw.random(size) < 0.05
    truth[specks] = draw.integers(0, classes, int(specks.sum()))
    truth[draw.random(size) < ignored] = 255
    return truth, predicted


@given(
    size=sizes, classes=st.integers(1, 5), seed=seeds, edges=st.sampled_from([SIZES, (1, 4, 15)])
)
def test_objects_are_those_that_scipy_labels(size, classes, seed, edges):
    truth, predicted = patches(classes, size, seed)
    expected = np.zeros((classes, len(edges) + 1, 3), np.int64)
    for index in range(classes):
        objects, found = label(truth == index, structure=np.ones((3, 3)))
        for number in range(1, found + 1):
            area = (objects == number).sum()
            wrong = ((objects == number) & (predicted != index)).sum()
            expected[index, sum(area >= edge for edge in edges)] += 1, area, wrong
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "SIZES", edges)
        patch.setattr(regions, "_AT_ONCE", 100)
        assert np.array_equal(size_counts(truth, predicted, classes), expected)


@given(size=sizes, seed=seeds)
def test_sizes_sum_to_the_pixels_and_errors_of_the_confusion_matrix(size, seed):
    truth, predicted = patches(4, size, seed)
    matrix = confusion(truth, predicted, 4)
    _, pixels, wrong = size_counts(truth, predicted, 4).sum(1).T
    assert np.array_equal(pixels, matrix.sum(1))
    assert np.array_equal(wrong, matrix.sum(1) - np.diagonal(matrix))


def test_an_object_of_an_edges_area_belongs_to_the_larger_size():
    truth = np.zeros((400, 400), np.uint8)
    truth[:32, :32] = 1
    truth[100:132, :31] = 1
    truth[200:201, 0] = truth[201:202, 1] = 1  # they touch at a corner
    objects, pixels, _ = size_counts(truth, truth, 2)[1].T
    assert objects.tolist() == [1, 1, 1, 0, 0]
    assert pixels.tolist() == [2, 32 * 31, 32**2, 0, 0]


@given(size=sizes, classes=st.integers(1, 4), seed=seeds, ignored=st.sampled_from([0, 0.1, 0.7]))
def test_rings_are_those_of_the_nearest_pixel_of_another_class(size, classes, seed, ignored):
    truth, predicted = patches(classes, size, seed, ignored)
    expected = np.zeros((len(DISTANCES) + 1, 2), np.int64)
    rows, columns = np.nonzero(truth != 255)
    for row, column in zip(rows, columns, strict=True):
        others = truth[rows, columns] != truth[row, column]
        away = np.maximum(abs(rows - row), abs(columns - column))[others].min(initial=10**6)
        ring = sum(away > distance for distance in DISTANCES)
        expected[ring] += 1, truth[row, column] != predicted[row, column]
    assert np.array_equal(distance_counts(truth, predicted), expected)


@given(size=sizes, seed=seeds)
def test_rings_within_a_distance_hold_the_inside_of_the_boundary_band(size, seed):
    truth, predicted = patches(3, size, seed)
    within = np.cumsum(distance_counts(truth, predicted), 0)
    # A frame of pixels that nobody knows keeps the image's edge from being a boundary.
    framed = [np.pad(mask, 40, constant_values=255) for mask in (truth, predicted)]
    for index, distance in enumerate(DISTANCES):
        inside = band(framed[0], distance)
        assert within[index].tolist() == [inside.sum(), (inside & (framed[0] != framed[1])).sum()]


@given(size=sizes, seed=seeds, distance=st.integers(1, 4), least=st.floats(0.5, 1))
def test_suspects_are_sure_contradictions_away_from_every_boundary(size, seed, distance, least):
    truth, predicted = patches(3, size, seed)
    confidence = np.random.default_rng(seed).uniform(0.5, 1, size).astype(np.float32)
    suspects = suspect_pixels(truth, predicted, confidence, distance, least)
    for row, column in np.ndindex(*size):
        around = truth[
            max(row - distance, 0) : row + distance + 1,
            max(column - distance, 0) : column + distance + 1,
        ]
        alone = around.shape == (2 * distance + 1,) * 2
        alone = alone and set(around.ravel()) <= {truth[row, column], 255}
        expected = (
            alone
            and truth[row, column] not in (255, predicted[row, column])
            and confidence[row, column] >= np.float32(least)
        )
        assert suspects[row, column] == expected


def test_suspects_are_found_in_a_wrongly_labelled_patch_and_stop_at_the_confidence():
    truth, predicted = np.zeros((2, 30, 30), np.uint8)
    truth[10:20, 10:20] = 1
    sure = np.full((30, 30), 0.99, np.float32)
    suspects = suspect_pixels(truth, predicted, sure, 2)
    assert suspects.sum() == 6 * 6 and suspects[12:18, 12:18].all()
    assert not suspect_pixels(truth, predicted, sure - np.float32(0.05), 2).any()
    assert suspect_pixels(truth, predicted, sure, 2, least=0.98).sum() == 36


def test_what_is_no_class_is_refused():
    mask, zeros = np.array([[0, 3, 255]], np.uint8), np.zeros((1, 3), np.uint8)
    with pytest.raises(ValueError, match="truth holds class index 3, but 3 classes"):
        size_counts(mask, zeros, 3)
    with pytest.raises(ValueError, match="prediction holds class index 3"):
        size_counts(zeros, np.full_like(zeros, 3), 3)
