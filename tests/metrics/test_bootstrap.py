import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effunet.metrics import bootstrap
from effunet.metrics.bootstrap import interval, paired_difference


def share(sums):
    """The first count over the second; NaN of nothing."""
    whole = sums[:, 1].astype(float)
    return np.divide(sums[:, 0], whole, out=np.full(len(sums), np.nan), where=whole > 0)[:, None]


def drawn(images, resamples, seed):
    """Which images each resample holds, from their numbers alone."""
    numbers = np.eye(images, dtype=np.int64)
    kept = []
    interval(numbers, lambda sums: kept.append(sums) or sums.astype(float),
             resamples=resamples, seed=seed)  # fmt: skip
    return [np.repeat(np.arange(images), times) for times in kept[0]]


def population(images, seed, *, skill=0.7, size=100):
    """Right pixels and pixels of each image; some images are harder than others."""
    draw = np.random.default_rng(seed)
    ease = np.clip(draw.normal(skill, 0.15, images), 0.02, 0.98)
    return ease, lambda shift: np.stack(
        [draw.binomial(size, np.clip(ease + shift, 0, 1)), np.full(images, size)], 1
    )


@given(
    images=st.integers(1, 12), counts=st.integers(1, 4), resamples=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1), largest=st.sampled_from([1, 255, 2**45, 2**53, 2**59]),
    at_once=st.integers(1, 400),
)  # fmt: skip
def test_an_interval_is_that_of_a_plain_loop_over_the_same_draws(
    images, counts, resamples, seed, largest, at_once
):
    rows = np.random.default_rng(seed).integers(-largest // 2, largest, (images, counts))
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "_AT_ONCE", at_once)
        ends = interval(rows, lambda sums: seen.append(sums) or sums.astype(float),
                        resamples=resamples, level=0.8, seed=seed)  # fmt: skip
        samples = drawn(images, resamples, seed)
    sums = [[sum(int(rows[i, m]) for i in sample) for m in range(counts)] for sample in samples]
    assert seen[0].tolist() == sums
    assert all(len(sample) == images for sample in samples)
    for index in range(counts):
        column = np.array([float(row[index]) for row in sums])
        assert ends[index] == pytest.approx(np.quantile(column, [0.1, 0.9]), rel=1e-12)


def test_every_image_is_drawn_as_often_as_any_other():
    times = sum(np.bincount(sample, minlength=20) for sample in drawn(20, 2000, 3))
    # 2000 times each; the deviation of a binomial count is 44.
    assert np.abs(times - 2000).max() < 5 * 44


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    draw = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        rows = np.stack([draw.random(80) < 0.4, np.ones(80)], 1).astype(np.int64)
        low, high = interval(rows, share, resamples=400, seed=seed)[0]
        held += low <= 0.4 <= high
    assert 0.9 <= held / 200 <= 0.98


def test_more_images_narrow_the_interval_and_a_higher_level_widens_it():
    widths = []
    for images, level in ((50, 0.95), (800, 0.95), (50, 0.5)):
        _, measure = population(images, seed=1)
        low, high = interval(measure(0), share, level=level)[0]
        widths.append(high - low)
    few, many, half = widths
    assert few / many == pytest.approx(4, rel=0.25)
    assert half < few


def test_the_difference_of_a_model_to_itself_is_exactly_nothing():
    _, measure = population(40, seed=2)
    rows = measure(0)
    assert paired_difference(rows, rows.copy(), share).tolist() == [[0, 0]]


def test_pairing_narrows_the_difference_of_models_that_find_the_same_images_hard():
    _, measure = population(60, seed=3)
    rows, other = measure(0), measure(0.03)
    paired = paired_difference(rows, other, share)[0]
    alone, theirs = interval(rows, share)[0], interval(other, share)[0]
    assert np.ptp(paired) < np.hypot(np.ptp(alone), np.ptp(theirs)) / 3
    assert paired[0] > 0
    # Of two models the better one: exchanged, the interval is mirrored.
    assert paired_difference(other, rows, share)[0] == pytest.approx(-paired[::-1])


def test_draws_depend_on_the_seed_and_the_number_of_images_alone():
    first, again, another = (drawn(7, 5, seed) for seed in (4, 4, 5))
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, another))
    _, measure = population(7, seed=0)
    wide = np.concatenate([measure(0)] * 9, 1)
    assert np.array_equal(interval(wide, share, seed=4), interval(wide[:, :2], share, seed=4))


def test_draws_without_a_score_are_left_out_until_they_are_the_most():
    rare = np.zeros((40, 2), np.int64)
    rare[0] = 1, 2  # 64 % of the resamples hold this image
    assert interval(rare, share).tolist() == [[0.5, 0.5]]

    def rarer(sums):
        return np.where(sums[:, 1:] >= 4, 0.5, np.nan)  # 26 % hold it twice

    assert np.isnan(interval(rare, rarer)).all()
    assert np.isnan(paired_difference(rare, rare, rarer)).all()


def test_what_gives_no_interval_is_refused():
    rows = np.ones((3, 2), np.int64)
    with pytest.raises(ValueError, match="1 image and 1 resample at least, got 0 and 1000"):
        interval(rows[:0], share)
    with pytest.raises(ValueError, match="got 3 and 0"):
        interval(rows, share, resamples=0)
    for level in (0, 1, 95):
        with pytest.raises(ValueError, match="a level lies between 0 and 1"):
            interval(rows, share, level=level)
    with pytest.raises(ValueError, match="more than int64 holds"):
        interval(rows * 2**62, share)
    pair = getattr(paired_difference, "__wrapped__", paired_difference)
    with pytest.raises(ValueError, match=r"got \(3, 2\) and \(2, 2\)"):
        pair(rows, rows[:2], share)
