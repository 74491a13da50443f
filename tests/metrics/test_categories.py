"""Categories: the matrix of groups is the one that masks of groups give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effunet.labels import IGNORE
from effunet.metrics.categories import merged
from effunet.metrics.scores import Scores

GROUPS = ((0, 3), (1,), (2, 4, 5))
OF = np.full(256, IGNORE)
for place, group in enumerate(GROUPS):
    OF[list(group)] = place


def matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    counts = np.zeros((classes, classes), np.int64)
    known = truth != IGNORE
    np.add.at(counts, (truth[known], predicted[known]), 1)
    return counts


@given(seed=st.integers(0, 2**32 - 1))
def test_merging_a_matrix_equals_counting_merged_masks(seed: int) -> None:
    noise = np.random.default_rng(seed)
    truth = noise.choice([0, 1, 2, 3, 4, 5, IGNORE], (20, 30))
    predicted = noise.integers(0, 6, truth.shape)
    expected = matrix(OF[truth], OF[predicted], 3)
    np.testing.assert_array_equal(merged(matrix(truth, predicted, 6), GROUPS), expected)


def test_a_stack_is_merged_matrix_by_matrix_without_losing_a_pixel() -> None:
    stack = np.random.default_rng(0).integers(0, 2**40, (7, 6, 6))
    together = merged(stack, GROUPS)
    assert together.shape == (7, 3, 3) and together.dtype == np.int64
    np.testing.assert_array_equal(together.sum((1, 2)), stack.sum((1, 2)))
    np.testing.assert_array_equal(together[4], merged(stack[4], GROUPS))
    np.testing.assert_array_equal(together.sum(0), merged(stack.sum(0), GROUPS))


def test_a_pixel_taken_for_another_class_of_its_category_is_right() -> None:
    confusion = np.zeros((6, 6), np.int64)
    confusion[0, 3] = confusion[4, 2] = confusion[1, 1] = 5
    assert Scores.from_confusion(confusion).miou == pytest.approx(1 / 5)
    assert Scores.from_confusion(merged(confusion, GROUPS)).miou == 1


def test_groups_of_one_class_each_only_sort_the_matrix() -> None:
    confusion = np.random.default_rng(1).integers(0, 9, (4, 4))
    order = [2, 0, 3, 1]
    np.testing.assert_array_equal(
        merged(confusion, [(index,) for index in order]), confusion[np.ix_(order, order)]
    )


@pytest.mark.parametrize(
    "groups", [(), ((0, 1),), ((0, 1), (1, 2)), ((0, 1, 2), ()), ((0, 1), (2, 3)), ((-1, 0), (1,))]
)
def test_groups_that_lose_a_class_or_count_it_twice_are_refused(
    groups: tuple[tuple[int, ...], ...],
) -> None:
    with pytest.raises(ValueError, match="each of the classes 0 to 2 once"):
        merged(np.ones((3, 3), np.int64), groups)
