"""How an epoch is drawn: images by weight, samples aimed at classes, partners to mix with."""

import pickle
from collections import Counter
from itertools import chain, islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from towns import TOWN, WHERE, of_masks

from effunet.data.loading.epochs import Draw, Epochs
from effunet.data.loading.order import permutation, spread
from effunet.data.loading.sampling import TrainBatches, sample_seed
from effunet.errors import DataError
from effunet.labels import IGNORE

# --- drawing by weight -------------------------------------------------------------------------


@given(
    weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=30),
    count=st.integers(0, 200),
    seed=st.integers(0, 999),
)
def test_each_comes_its_expected_number_of_times_rounded_up_or_down(weights, count, seed):
    shares = np.array(weights) / sum(weights)
    drawn = spread(np.random.default_rng(seed), np.array(weights), count)
    times = np.bincount(drawn, minlength=len(weights))
    assert len(drawn) == count
    assert (np.abs(times - count * shares) < 1 + 1e-6).all()


def test_the_mean_number_of_times_is_the_weights():
    weights = np.array([0.1, 5.0, 0.0, 1.0, 1.0, 0.4])
    draw = np.random.default_rng(0)
    times = np.mean(
        [np.bincount(spread(draw, weights, 7), minlength=6) for _ in range(20_000)], axis=0
    )
    assert_allclose(times, 7 * weights / weights.sum(), atol=0.02)
    assert times[2] == 0


def test_an_image_of_weight_0_is_never_drawn_nor_aimed_at_nor_mixed_in():
    weights = np.ones(40)
    weights[[3, 17, 20]] = 0  # with which class 2 is gone
    epochs = Epochs(
        weights=weights, where=WHERE, classes="rare", share=0.5, copy_paste=1.0, mix="cutmix"
    )
    draws = [d for epoch in range(30) for d in epochs.draws(0, epoch, 40, 40)]
    images = {d.image for d in draws} | {d.mix for d in draws}
    images |= {d.paste.image for d in draws if d.paste is not None}
    assert not images & {3, 17, 20}
    assert {d.paste.label for d in draws if d.paste is not None} == {1}
    with pytest.raises(DataError, match="every training image has weight 0"):
        Epochs(weights=np.zeros(40))
    only = np.zeros(2)
    only[1] = 1
    where = of_masks(TOWN[0], np.full((4, 4), IGNORE, np.uint8))
    with pytest.raises(DataError, match="no training image of a weight above 0 shows any class"):
        Epochs(weights=only, where=where, classes="uniform").draws(0, 0, 2, 2)


def test_equal_weights_bring_each_exactly_once():
    for size in (1, 3, 7, 49, 1000):
        drawn = spread(np.random.default_rng(size), np.full(size, 0.1), size)
        assert sorted(drawn) == list(range(size))


def test_images_of_a_part_with_twice_the_weight_come_twice_as_often():
    epochs = Epochs(weights=[2.0] * 10 + [1.0] * 20)
    times = Counter(d.image for epoch in range(2000) for d in epochs.draws(0, epoch, 30, 24))
    means = np.array([times[image] for image in range(30)]) / 2000
    assert_allclose(means[:10], 24 * 2 / 40, atol=0.04)
    assert_allclose(means[10:], 24 * 1 / 40, atol=0.04)


# --- an epoch -----------------------------------------------------------------------------------

ways = st.sampled_from(
    [
        Epochs(),
        Epochs(weights=np.linspace(1, 3, 40)),
        Epochs(where=WHERE, classes="uniform"),
        Epochs(where=WHERE, classes="rare", share=1.0, weights=np.linspace(1, 3, 40)),
        Epochs(where=WHERE, copy_paste=0.5, mix="classmix"),
        Epochs(where=WHERE, classes="uniform", copy_paste=0.3, mix="cutmix", mix_chance=0.9),
    ]
)


@given(epochs=ways, batch_size=st.integers(1, 9), world=st.integers(1, 4), n=st.integers(0, 9))
@settings(max_examples=60)
def test_any_drawing_goes_on_at_batch_n_and_is_shared_by_the_processes(
    epochs, batch_size, world, n
):
    def batches(rank=0, world=1, start=0, size=batch_size):
        return TrainBatches(40, size, 3, rank, world, lambda: start, epochs)

    assert list(islice(batches(start=n), 9)) == list(islice(batches(), n, n + 9))
    shares = [batches(rank, world).epoch(1) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    assert {len(batch) for share in shares for batch in share} == {min(batch_size, 40 // world)}
    one = batches(size=shares[0][0].__len__() * world).epoch(1)
    assert [set(batch) for batch in one] == [set(chain(*b)) for b in zip(*shares, strict=True)]


@given(epochs=ways, epoch=st.integers(0, 99))
def test_no_two_samples_of_an_epoch_have_the_same_seed(epochs, epoch):
    draws = epochs.draws(0, epoch, 40, 40)
    assert len({sample_seed(0, epoch, d.image, d.time) for d in draws}) == 40


def test_the_plain_epoch_is_the_permutation_and_mixing_leaves_it_so():
    for epochs in (Epochs(), Epochs(where=WHERE, copy_paste=1.0, mix="cutmix", mix_chance=1.0)):
        draws = epochs.draws(5, 2, 40, 33)
        assert [d.image for d in draws] == permutation(5, 2, 40)[:33]
        assert {(d.time, d.pixel) for d in draws} == {(0, None)}


def test_one_choice_leaves_the_draws_of_another_alone():
    alone = Epochs(where=WHERE, classes="uniform").draws(1, 0, 40, 40)
    mixed = Epochs(where=WHERE, classes="uniform", mix="cutmix", copy_paste=0.4)
    assert [d._replace(mix=None, paste=None) for d in mixed.draws(1, 0, 40, 40)] == alone


def test_a_share_of_the_samples_is_aimed_and_each_class_gets_as_much_of_it():
    epochs = Epochs(where=WHERE, classes="uniform", share=0.6)
    labels = Counter()
    for epoch in range(200):
        draws = epochs.draws(0, epoch, 40, 40)
        aimed = [d for d in draws if d.pixel is not None]
        assert len(aimed) == 24
        labels.update(int(TOWN[d.image][d.pixel]) for d in aimed)
        plain = [d.image for d in draws if d.pixel is None]
        assert len(set(plain)) == len(plain) == 16
    assert labels == {0: 1600, 1: 1600, 2: 1600}


def test_a_share_that_is_no_whole_number_of_samples_holds_on_average():
    epochs = Epochs(where=WHERE, classes="uniform", share=0.33)
    aimed = [sum(d.pixel is not None for d in epochs.draws(0, e, 40, 40)) for e in range(500)]
    assert set(aimed) == {13, 14}
    assert np.mean(aimed) == pytest.approx(13.2, abs=0.06)


def test_images_of_a_class_take_turns_by_their_weights():
    weights = np.ones(40)
    weights[17] = 3.0
    epochs = Epochs(weights=weights, where=WHERE, classes="uniform", share=1.0)
    times = Counter(
        d.image
        for epoch in range(300)
        for d in epochs.draws(0, epoch, 40, 39)
        if TOWN[d.image][d.pixel] == 2
    )
    assert set(times) == {3, 17} and sum(times.values()) == 300 * 13
    assert times[17] / times[3] == pytest.approx(3, rel=0.05)


def test_rare_classes_are_drawn_by_the_published_law():
    where = of_masks(*TOWN)
    epochs = Epochs(where=where, classes="rare", temperature=0.01)
    pixels = np.bincount(TOWN.reshape(-1), minlength=256)[:3]
    shares = pixels / pixels.sum()
    law = np.exp((1 - shares) / 0.01)
    assert_allclose(epochs.chances, law / law.sum(), rtol=1e-9)
    assert_allclose(Epochs(where=where, classes="rare", temperature=1e6).chances, 1 / 3, rtol=1e-5)


def test_pasted_are_classes_no_more_common_than_the_mean_and_never_of_the_same_image():
    epochs = Epochs(where=WHERE, copy_paste=0.7)
    draws = [d for epoch in range(100) for d in epochs.draws(0, epoch, 40, 40)]
    sources = [(d, d.paste) for d in draws if d.paste is not None]
    assert len(sources) / len(draws) == pytest.approx(0.7 * 39 / 40, abs=0.03)
    assert {source.label for _, source in sources} == {1, 2}
    assert all(source.image != d.image for d, source in sources)
    assert all(TOWN[source.image][source.pixel] == source.label for _, source in sources)


def test_partners_come_by_weight_as_often_as_the_chance_says():
    epochs = Epochs(weights=[3.0] * 10 + [1.0] * 30, mix="cutmix", mix_chance=0.25)
    draws = [d for epoch in range(500) for d in epochs.draws(0, epoch, 40, 40)]
    partners = [d.mix for d in draws if d.mix is not None]
    assert len(partners) / len(draws) == pytest.approx(0.25, abs=0.015)
    assert np.mean(np.array(partners) < 10) == pytest.approx(0.5, abs=0.02)


def test_the_lines_say_what_is_aimed_at_and_pasted():
    names = ["Road", "Pole", "Sign"]
    assert Epochs().lines(names) == []
    uniform = Epochs(where=WHERE, classes="uniform", copy_paste=0.2)
    assert uniform.lines(names) == [
        "50 % of the crops are aimed at a class: each of 3 equally often",
        "20 % of the crops get a pasted piece: Pole 50.0 %, Sign 50.0 %",
    ]
    rare = Epochs(where=WHERE, classes="rare", temperature=0.1, share=0.25)
    assert rare.lines(names)[0].startswith("25 % of the crops are aimed at a class: Sign 51")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"classes": "even"}, "one of none, uniform, rare, got 'even'"),
        ({"classes": "uniform"}, "need to know where"),
        ({"copy_paste": 0.5}, "need to know where"),
        ({"mix": "mixup"}, "one of cutmix, classmix, got 'mixup'"),
        ({"share": 1.5}, r"share in \[0, 1\], got 1.5"),
        ({"temperature": 0.0}, "more than 0"),
        ({"weights": [1.0, -1.0]}, "from 0 up"),
        ({"weights": [1.0, float("nan")]}, "from 0 up"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        Epochs(**arguments)


def test_weights_and_whereabouts_of_another_dataset_are_refused():
    with pytest.raises(ValueError, match="weights are of 3 images, the dataset has 40"):
        Epochs(weights=[1.0] * 3).draws(0, 0, 40, 40)
    with pytest.raises(ValueError, match="whereabouts are of 40 images, the dataset has 9"):
        Epochs(where=WHERE, classes="uniform").draws(0, 0, 9, 9)


def test_a_draw_can_be_pickled():
    draws = Epochs(where=WHERE, classes="rare", copy_paste=1.0, mix="cutmix").draws(0, 0, 40, 9)
    assert pickle.loads(pickle.dumps(draws)) == draws and isinstance(draws[0], Draw)
