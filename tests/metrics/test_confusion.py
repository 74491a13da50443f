import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effunet.metrics import confusion as module
from effunet.metrics.confusion import confusion, joint_counts

# Without the shape check of the test suite: the first line of defence must be our own.
unchecked = getattr(joint_counts, "__wrapped__", joint_counts)


def random_masks(classes, size, seed, ignored=0.2):
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, classes, size).astype(np.uint8)
    truth[draw.random(size) < ignored] = 255
    return truth, draw.integers(0, classes, size).astype(np.uint8)


@given(
    classes=st.sampled_from([1, 2, 19, 254, 255]) | st.integers(1, 255),
    height=st.integers(0, 40),
    width=st.integers(0, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_size_and_any_number_of_classes_equal_adding_pixel_by_pixel(
    classes, height, width, seed
):
    truth, predicted = random_masks(classes, (height, width), seed)
    known = truth != 255
    counts = confusion(truth, predicted, classes)
    assert counts.dtype == np.int64 and counts.shape == (classes, classes)
    expected = np.zeros((classes, classes), np.int64)
    np.add.at(expected, (truth[known], predicted[known]), 1)
    assert np.array_equal(counts, expected)


@given(start=st.integers(60, 700), seed=st.integers(0, 2**32 - 1))
def test_counting_in_parts_changes_nothing(start, seed):
    truth, predicted = random_masks(5, (23, 29), seed)
    whole = confusion(truth, predicted, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_EXACT", start)
        assert np.array_equal(confusion(truth, predicted, 5), whole)


def test_more_pixels_than_float32_can_count_are_counted():
    ones = np.ones((1, 2**24 + 3), np.uint8)
    assert confusion(ones, ones, 2).tolist() == [[0, 0], [0, 2**24 + 3]]


def test_a_view_counts_as_its_copy_does():
    truth, predicted = random_masks(7, (30, 40), 0)
    for view in (np.s_[::-1, ::2], np.s_[5:9, 3:], np.s_[:, ::-3]):
        a, b = truth[view], predicted[view]
        assert np.array_equal(confusion(a, b, 7), confusion(a.copy(), b.copy(), 7))
    assert np.array_equal(confusion(truth.T, predicted.T, 7), confusion(truth, predicted, 7))


def test_exchanging_the_masks_transposes_the_counts():
    truth, predicted = random_masks(256, (50, 60), 3, ignored=0)
    assert np.array_equal(joint_counts(truth, predicted), joint_counts(predicted, truth).T)


@pytest.mark.parametrize(
    ("truth", "predicted", "says"),
    [
        ([[0, 1]], [[0, 2]], "prediction holds class index 2, but 2 classes are 0 to 1"),
        ([[0, 255]], [[0, 255]], "prediction holds class index 255"),
        ([[0, 255]], [[0, 9]], "prediction holds class index 9"),
        ([[0, 254]], [[0, 1]], "truth holds class index 254"),
        ([[0, 2]], [[0, 1]], "truth holds class index 2"),
    ],
)
def test_an_index_that_is_no_class_is_refused(truth, predicted, says):
    with pytest.raises(ValueError, match=says):
        confusion(np.uint8(truth), np.uint8(predicted), 2)


@pytest.mark.parametrize("classes", [0, 256, -1])
def test_a_number_of_classes_that_no_mask_can_hold_is_refused(classes):
    mask = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="there are 1 to 255 classes"):
        confusion(mask, mask, classes)


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"one shape, got \(1, 2\) and \(2, 1\)"):
        unchecked(np.zeros((1, 2), np.uint8), np.zeros((2, 1), np.uint8))
