"""Counts of a split: any order, any shares, any parts say the same; scores equal plain loops."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.segmentation import DiceScore

from effunet.metrics.rows import SCALARS, Rows
from effunet.metrics.scores import Scores
from effunet.metrics.tally import Counts, Tally

K = 4


def image(seed: int, size: tuple[int, int] = (20, 30)) -> tuple[np.ndarray, ...]:
    """Truth of blocks, a prediction that is often right, and its confidence."""
    noise = np.random.default_rng(seed)
    coarse = noise.integers(0, K, (-(-size[0] // 5), -(-size[1] // 5)), np.uint8)
    truth = coarse.repeat(5, 0).repeat(5, 1)[: size[0], : size[1]].copy()
    wrong = noise.random(size) < 0.3
    predicted = np.where(wrong, noise.integers(0, K, size, np.uint8), truth)
    truth[noise.random(size) < 0.1] = 255
    return truth, predicted, noise.uniform(1 / K, 1, size).astype(np.float32)


def counted(order: list[int], rows: Rows | None = None, **options: object) -> Counts:
    tally = Tally(rows or Rows(K), 7, **options)  # type: ignore[arg-type]
    for index in order:
        tally.add(index, *image(index, (20 + index, 30)))
    return tally.counts()


def number(counts: Counts, name: str) -> float:
    return float(counts.rows.scalars(counts.sums)[SCALARS.index(name)])


@settings(max_examples=15)
@given(order=st.permutations(range(7)), again=st.integers(0, 6))
def test_the_order_of_images_changes_nothing_and_none_counts_twice(order: list[int], again: int):
    there, back = counted(list(range(7)), regions=True), counted([*order, again], regions=True)
    assert np.array_equal(there.table, back.table)
    assert np.array_equal(there.confusion, back.confusion)
    assert there.regions is not None and back.regions is not None
    for name in ("sizes", "distances", "suspects", "examples"):
        assert np.array_equal(getattr(there.regions, name), getattr(back.regions, name))


def test_an_image_that_fails_is_counted_in_no_part_of_the_tally():
    tally = Tally(Rows(K), 2, regions=True)
    truth, predicted, confidence = image(0)
    predicted[0, 0] = K
    with pytest.raises(ValueError, match="prediction holds class index 4"):
        tally.add(0, truth, predicted, confidence)
    assert tally.counts().confusion.sum() == 0 and len(tally.counts().images) == 0


def test_sums_over_images_say_what_the_matrix_says():
    counts = counted([0, 2, 5])
    scores = Scores.from_confusion(counts.confusion)
    assert counts.images.tolist() == [0, 2, 5]
    for name in (
        "miou",
        "frequency_weighted_iou",
        "pixel_accuracy",
        "mean_accuracy",
        "mean_dice",
    ):
        assert number(counts, name) == pytest.approx(getattr(scores, name), abs=1e-12)
    assert np.allclose(counts.rows.iou(counts.sums), scores.iou, atol=1e-12)


def test_the_frequency_weighted_iou_is_the_formula_of_the_fcn_paper():
    counts = counted([1, 3])
    matrix = counts.confusion
    total = 0.0
    for c in range(K):
        union = matrix[c].sum() + matrix[:, c].sum() - matrix[c, c]
        total += matrix[c].sum() * matrix[c, c] / union
    assert number(counts, "frequency_weighted_iou") == pytest.approx(total / matrix.sum())


def test_dice_is_that_of_torchmetrics_where_it_knows_no_ignored_pixels():
    import torch

    truth, predicted, confidence = image(3)
    truth[truth == 255] = 0
    tally = Tally(Rows(K), 1)
    tally.add(0, truth, predicted, confidence)
    theirs = DiceScore(K, average="macro", input_format="index")
    theirs.update(torch.from_numpy(predicted)[None].long(), torch.from_numpy(truth)[None].long())
    assert number(tally.counts(), "mean_dice") == pytest.approx(theirs.compute().item(), abs=1e-6)


def test_the_image_miou_is_the_mean_of_the_miou_of_each_image_alone():
    counts = counted([0, 1, 2, 3, 4, 5, 6])
    alone = [number(counted([index]), "miou") for index in range(7)]
    assert number(counts, "image_miou") == pytest.approx(np.mean(alone), abs=1e-9)
    assert np.allclose(counts.rows.image_scores(counts.table), alone, atol=1e-9)


def test_an_image_without_a_known_pixel_has_no_score_and_weighs_nothing():
    tally = Tally(Rows(K), 2)
    truth, predicted, confidence = image(1)
    tally.add(0, truth, predicted, confidence)
    before = tally.counts()
    tally.add(1, np.full_like(truth, 255), predicted, confidence)
    after = tally.counts()
    assert np.array_equal(before.sums, after.sums) and len(after.images) == 2
    assert np.isnan(after.rows.image_scores(after.table)[1])
    assert number(before, "image_miou") == number(after, "image_miou")


def test_parts_are_counted_each_by_its_own_rule_and_add_up_to_the_whole():
    rows = Rows(K)
    parts = [replace(rows, scored=(True, False, True, True)), rows]
    whole = counted([0, 1, 2, 3], parts=parts, part_of=lambda index: index % 2)
    assert [part.images.tolist() for part in whole.parts] == [[0, 2], [1, 3]]
    assert np.array_equal(sum(part.confusion for part in whole.parts), whole.confusion)
    assert np.isnan(whole.parts[0].rows.iou(whole.parts[0].sums)[1])
    assert np.array_equal(whole.parts[1].table, counted([1, 3]).table)


def test_categories_score_the_classes_of_a_group_as_one():
    rows = Rows(K, groups=((0, 2), (1, 3)))
    counts = counted([0, 4], rows)
    both = Scores.from_confusion(
        np.array([[counts.confusion[np.ix_(a, b)].sum() for b in rows.groups] for a in rows.groups])
    )
    assert number(counts, "category_miou") == pytest.approx(both.miou, abs=1e-12)
    assert number(counts, "category_miou") > number(counts, "miou")
    assert np.isnan(number(counted([0]), "category_miou"))


def test_the_example_of_a_confusion_is_the_image_with_most_of_it():
    counts = counted(list(range(7)), regions=True)
    assert counts.regions is not None
    matrices = [counted([index]).confusion for index in range(7)]
    for truth in range(K):
        for predicted in range(K):
            pixels = [matrix[truth, predicted] for matrix in matrices]
            best = int(np.argmax(pixels)) if max(pixels) else -1
            assert counts.regions.examples[truth, predicted] == best
