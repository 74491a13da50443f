"""iIoU: the official loop over instances, derived anew, and the laws of the formula."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effunet.labels import IGNORE, LabelMap
from effunet.metrics.instances import MOST_IDS, PER_VALUE, Things, iiou, instance_counts

# Classes road, sky, person, rider, car; raw values 7, 23, 24, 25, 26 and a second one for cars.
VALUES = {7: 0, 23: 1, 24: 2, 25: 3, 26: 4, 27: 4}
THINGS = Things(5, {2: 3462.5, 3: 3930.25, 4: 12794.0}, VALUES, ((0, 1), (2, 3), (4,)))
CLASSES, CATEGORIES = (2, 3, 4), (6, 7)
RAW = [0, 7, 23, 24, 25, 26, 27, 30]


def town(seed: int, size: tuple[int, int] = (24, 36)) -> tuple[np.ndarray, ...]:
    """Truth, prediction and instances, in blocks; some things are groups, some raw values void."""
    noise = np.random.default_rng(seed)
    blocks = [noise.choice(RAW, (6, 9)), noise.integers(0, 4, (6, 9))]
    raw, number = (block.repeat(4, 0).repeat(4, 1)[: size[0], : size[1]] for block in blocks)
    truth = np.full(raw.shape, IGNORE, np.uint8)
    for value, index in VALUES.items():
        truth[raw == value] = index
    single = (raw >= 24) & (number > 0)
    instances = np.where(single, raw * PER_VALUE + number, raw).astype(np.uint16)
    right = (noise.random(raw.shape) < 0.7) & (truth != IGNORE)
    predicted = np.where(right, truth, noise.integers(0, 5, raw.shape)).astype(np.uint8)
    return truth, predicted, instances


def official(towns: list[tuple[np.ndarray, ...]], things: Things) -> np.ndarray:
    """The loop of evaluatePair and the getInstanceIouScoreFor... of cityscapesScripts 2.3.0."""
    groups = dict(enumerate(things.groups))
    tp, fn, fp = ({place: 0.0 for place in range(things.classes + len(groups))} for _ in range(3))
    for truth, predicted, instances in towns:
        for one in np.unique(instances[instances > 1000]):
            label = things.owners.get(int(one / 1000))
            if label is None or label not in things.sizes:
                continue
            mask = instances == one
            size = np.count_nonzero(mask)
            weight = things.sizes[label] / float(size)
            hits = np.count_nonzero(predicted[mask] == label)
            tp[label] += float(hits) * weight
            fn[label] += float(size - hits) * weight
            for number, group in groups.items():
                if label in group:
                    hits = np.count_nonzero(mask & np.isin(predicted, group))
                    tp[things.classes + number] += float(hits) * weight
                    fn[things.classes + number] += float(size - hits) * weight
        for label in range(things.classes):
            known = (truth != IGNORE) & (truth != label)
            fp[label] += np.count_nonzero(known & (predicted == label))
        for number, group in groups.items():
            known = (truth != IGNORE) & ~np.isin(truth, group)
            fp[things.classes + number] += np.count_nonzero(known & np.isin(predicted, group))
    scores = np.full(len(tp), np.nan)
    for place in tp:
        group = (place,) if place < things.classes else groups[place - things.classes]
        whole = tp[place] + fp[place] + fn[place]
        if whole and all(label in things.sizes for label in group):
            scores[place] = tp[place] / whole
    return scores


@settings(deadline=None, max_examples=40)
@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3))
def test_the_official_loop_derived_anew_gives_the_same_scores(seeds: list[int]) -> None:
    towns = [town(seed) for seed in seeds]
    sums = sum(instance_counts(*one, THINGS) for one in towns)
    np.testing.assert_allclose(iiou(sums), official(towns, THINGS), rtol=1e-12)


def test_without_groups_the_classes_score_the_same() -> None:
    plain = replace(THINGS, groups=())
    counts = instance_counts(*town(1), plain)
    np.testing.assert_array_equal(counts, instance_counts(*town(1), THINGS)[:, :5])


def test_found_and_missed_pixels_of_an_instance_weigh_what_an_average_one_has() -> None:
    truth, predicted, instances = town(2)
    counts = instance_counts(truth, predicted, instances, THINGS)
    values = np.unique(instances[instances >= PER_VALUE]) // PER_VALUE
    for index in CLASSES:
        count = sum(VALUES.get(int(value)) == index for value in values)
        assert counts[:2, index].sum() == pytest.approx(count * THINGS.sizes[index])


def test_the_size_of_an_instance_does_not_matter_but_the_share_that_is_found_does() -> None:
    truth = np.full((10, 40), 2, np.uint8)
    instances = np.full((10, 40), 24_001, np.uint16)
    instances[:, 4:] = 24_002  # nine times as large
    predicted = np.where(np.arange(40) < 4, 2, 0).astype(np.uint8).repeat(10).reshape(40, 10).T
    sums = instance_counts(truth, np.ascontiguousarray(predicted), instances, THINGS)
    assert iiou(sums)[2] == pytest.approx(0.5)  # and the IoU is 0.1


def test_only_classes_and_whole_categories_with_instances_have_a_score() -> None:
    truth, _, instances = town(3)
    perfect = np.where(truth == IGNORE, 0, truth).astype(np.uint8)
    scores = iiou(instance_counts(truth, perfect, instances, THINGS))
    assert np.flatnonzero(~np.isnan(scores)).tolist() == [*CLASSES, *CATEGORIES]
    np.testing.assert_array_equal(scores[[*CLASSES, *CATEGORIES]], 1)
    fewer = replace(THINGS, sizes={2: 1.0, 4: 1.0})
    assert np.flatnonzero(fewer.counted).tolist() == [2, 4, 7]


def test_a_group_is_neither_found_nor_missed_nor_wrong_as_its_own_class() -> None:
    truth = np.full((4, 4), 2, np.uint8)
    instances = np.full((4, 4), 24, np.uint16)
    assert not instance_counts(truth, truth, instances, THINGS).any()
    other = np.full((4, 4), 3, np.uint8)
    counts = instance_counts(truth, other, instances, THINGS)
    assert counts[2].tolist() == [0, 0, 0, 16, 0, 0, 0, 0]  # a rider where people are is human


def test_an_id_below_1000_is_no_instance_even_where_0_is_a_raw_value() -> None:
    things = Things(1, {0: 5.0}, {0: 0})
    mask = np.zeros((4, 4), np.uint8)
    assert not instance_counts(mask, mask, np.full((4, 4), 999, np.uint16), things).any()


def test_images_are_summed_in_their_order_and_a_stack_is_scored_at_once() -> None:
    rows = np.stack([instance_counts(*town(seed), THINGS) for seed in range(5)])
    total = rows.sum(axis=0)
    again = np.zeros_like(total)
    for row in rows:
        again += row
    np.testing.assert_array_equal(total, again)
    np.testing.assert_array_equal(iiou(rows)[3], iiou(rows[3]))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
def test_the_integer_type_of_the_ids_does_not_matter(dtype: type) -> None:
    truth, predicted, instances = town(4)
    np.testing.assert_array_equal(
        instance_counts(truth, predicted, instances.astype(dtype), THINGS),
        instance_counts(truth, predicted, instances, THINGS),
    )


def test_an_image_without_any_instance_has_false_positives_alone() -> None:
    truth = np.zeros((3, 5), np.uint8)
    predicted = np.full((3, 5), 4, np.uint8)
    counts = instance_counts(truth, predicted, np.full((3, 5), 7, np.uint16), THINGS)
    assert counts[:2].sum() == 0 and counts[2].tolist() == [0, 0, 0, 0, 15, 0, 0, 15]
    assert iiou(counts)[4] == 0 and np.isnan(iiou(counts)[2])


def test_things_are_read_from_a_label_map_and_its_average_sizes() -> None:
    plain = {
        "classes": [
            {"name": "road", "values": [7, "asphalt"], "category": "flat"},
            {"name": "car", "values": [26, 27], "category": "vehicle"},
        ]
    }
    things = Things.of(LabelMap.from_plain(plain), {"car": 9.5})
    assert things == Things(2, {1: 9.5}, {7: 0, 26: 1, 27: 1}, ((0,), (1,)))


def test_what_no_image_can_hold_is_refused() -> None:
    truth, predicted, instances = town(5)
    with pytest.raises(ValueError, match="predicted holds 5, of 5 classes"):
        instance_counts(truth, np.full_like(predicted, 5), instances, THINGS)
    with pytest.raises(ValueError, match="neither 255 nor a class"):
        instance_counts(np.full_like(truth, 9), predicted, instances, THINGS)
    with pytest.raises(ValueError, match="below 4194304"):
        instance_counts(truth, predicted, np.full(truth.shape, MOST_IDS), THINGS)
