"""Where classes are, and crops that are aimed at them."""

import os
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_trees import plain_folder, write_png
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from towns import TOWN, WHERE

from effunet.data import memory
from effunet.data.augment.augment import Augment
from effunet.data.augment.presets import PRESETS
from effunet.data.catalog import open_dataset, open_mixture
from effunet.data.loading import kept, whereabouts
from effunet.data.loading.epochs import Epochs
from effunet.data.loading.kept import whereabouts_of
from effunet.data.loading.loader import SegmentationData
from effunet.data.loading.whereabouts import POINTS, Whereabouts, find_classes, rows_of
from effunet.data.subset import Middles, Subset
from effunet.errors import DataError
from effunet.labels import IGNORE

CAMVID = os.environ.get("CAMVID")


# --- crops that are aimed at a pixel ------------------------------------------------------------


@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    crop=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    scale=st.tuples(st.floats(0.1, 4), st.floats(1, 2)),
    rotation=st.sampled_from([0.0, 10.0, 90.0]),
    seed=st.integers(0, 2**63),
)
@settings(max_examples=150, deadline=None)
def test_the_aimed_pixel_is_in_the_crop_under_every_map(size, crop, scale, rotation, seed):
    draw = np.random.default_rng(seed)
    pixel = (int(draw.integers(size[0])), int(draw.integers(size[1])))
    image, mask = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    mask[pixel] = 7
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "test", replace(PRESETS["none"], rotation=rotation, flip=0.5))
        augment = Augment("test", crop, (scale[0], scale[0] * scale[1]))
        _, labels = augment(image, mask, seed, pixel)
    assert (labels == 7).any()


@pytest.mark.parametrize("preset", ["none", "light", "street"])
def test_an_aimed_crop_shows_the_class_in_image_and_mask_alike(preset, monkeypatch):
    monkeypatch.setitem(PRESETS, preset, replace(PRESETS[preset], steps=(), colour=None))
    image, mask = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), np.uint8)
    image[20:26, 70:76], mask[20:26, 70:76] = 255, 3
    for seed in range(200):
        shown, labels = Augment(preset, (32, 32))(image, mask, seed, (22, 73))
        assert (labels == 3).any()
        assert shown[labels == 3].mean() > 150 and shown[labels == 0].mean() < 20


def test_the_aimed_pixel_lies_anywhere_in_the_crop():
    image, mask = np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.uint8)
    mask[50, 50] = 1
    augment = Augment("none", (4, 6))
    places = Counter(
        int(np.flatnonzero(augment(image, mask, seed, (50, 50))[1])[0]) for seed in range(1200)
    )
    assert set(places) == set(range(24))
    # 24 cells of 50 expected: chi-square of 23 degrees stays below 49.7 in 999 of 1000 cases.
    assert sum((count - 50) ** 2 / 50 for count in places.values()) < 49.7


def test_an_aimed_crop_stays_inside_an_image_that_is_large_enough():
    image, mask = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), np.uint8)
    for preset in ("none", "light"):
        for seed in range(300):
            draw = np.random.default_rng(seed)
            pixel = (int(draw.choice([0, 59])), int(draw.choice([0, 79])))
            _, labels = Augment(preset, (32, 40))(image, mask, seed, pixel)
            # To fall on the pixel, the map may move by half a pixel of the crop over the edge.
            assert not (labels[1:-1, 1:-1] == IGNORE).any()


def test_a_crop_that_is_aimed_at_nothing_is_the_one_it_has_always_been():
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    mask = image[..., 0].copy()
    one = Augment("street", (16, 16))(image, mask, 11)
    two = Augment("street", (16, 16))(image, mask, 11, None)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


# --- where the classes are ----------------------------------------------------------------------


def test_whereabouts_are_the_truth_of_the_masks():
    assert len(WHERE) == 40 and WHERE.present.tolist() == [0, 1, 2]
    assert WHERE.totals[:3].tolist() == np.bincount(TOWN.reshape(-1))[:3].tolist()
    assert WHERE.totals[IGNORE] == 0
    for label in range(3):
        rows = WHERE.rows(label)
        images = WHERE.images(rows)
        assert images.tolist() == [i for i in range(40) if (TOWN[i] == label).any()]
        assert WHERE.pixels[rows].tolist() == [(TOWN[i] == label).sum() for i in images]
        for nth in range(POINTS):
            points = WHERE.pixels_at(rows, np.full(len(rows), nth))
            assert all(TOWN[i][at] == label for i, at in zip(images, points, strict=True))


@given(seed=st.integers(0, 999))
def test_points_lie_in_all_parts_of_a_class(seed):
    mask = np.zeros((40, 10), np.uint8)
    _, _, points = rows_of(mask, seed)
    assert (points[0] // 100).tolist() == [0, 1, 2, 3]


def test_any_pixel_of_a_class_is_as_likely_as_any_other():
    mask = np.full((3, 7), IGNORE, np.uint8)
    mask[1, 1:6] = 4
    points = np.concatenate([rows_of(mask, seed)[2][0] for seed in range(5000)])
    assert set(points) == {8, 9, 10, 11, 12}
    assert_allclose(np.bincount(points)[8:], len(points) / 5, rtol=0.05)


def test_a_row_takes_21_bytes_and_an_image_8():
    rows = len(WHERE.labels)
    assert WHERE.nbytes == 21 * rows + 8 * len(WHERE) + 4


def test_parts_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match="do not fit together"):
        replace(WHERE, widths=WHERE.widths[:-1])
    with pytest.raises(ValueError, match="do not fit together"):
        replace(WHERE, starts=WHERE.starts[::-1].copy())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(memory, "SETTLED", 0)
    return plain_folder(tmp_path / "data")


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many masks each pass has looked at."""
    passes: list[int] = []
    original = kept.find_classes

    def noted(dataset, *arguments, **options):
        passes.append(len(dataset))
        return original(dataset, *arguments, **options)

    monkeypatch.setattr(kept, "find_classes", noted)
    return passes


def same(one: Whereabouts, two: Whereabouts) -> bool:
    others = two.parts()
    return all(np.array_equal(part, others[name]) for name, part in one.parts().items())


def test_masks_are_looked_through_once_while_nothing_changes(home, looked):
    first = whereabouts_of(open_dataset(home, "train"))
    second = whereabouts_of(open_dataset(home, "train"))
    assert looked == [4] and same(first, second)
    assert [f.suffix for f in (home.parent / "cache").rglob("*") if f.is_file()] == [".kept"]
    assert not [f for f in home.rglob("*") if f.suffix not in (".png", "")]


def touch(home):
    mask = home / "train" / "masks" / "train_001.png"
    os.utime(mask, (1, 1))


def change(home):
    write_png(home / "train" / "masks" / "train_001.png", np.ones((32, 48), np.uint8))


def add(home):
    for kind, pixels in (("images", np.zeros((32, 48, 3))), ("masks", np.ones((32, 48)))):
        write_png(home / "train" / kind / "train_009.png", pixels.astype(np.uint8))


def describe(home):
    (home / "dataset.yaml").write_text(
        "name: mine\nchannels: 3\nclasses: [a, b, c]\nsplits: {train: train, val: val}\n"
        "layouts: [{images: '{split}/images/*', masks: '{split}/masks/*'}]\n"
    )


@pytest.mark.parametrize("act", [touch, change, add, describe])
def test_whatever_changes_the_masks_or_their_meaning_is_looked_at_again(act, home, looked):
    whereabouts_of(open_dataset(home, "train"))
    act(home)
    data = open_dataset(home, "train")
    found = whereabouts_of(data)
    assert len(looked) == 2 and same(found, find_classes(data))
    whereabouts_of(open_dataset(home, "train"))
    assert len(looked) == 2


@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b"", lambda b: b[:8] + b"x" * 99])
def test_a_damaged_file_is_made_anew(spoil, home, looked):
    first = whereabouts_of(open_dataset(home, "train"))
    (file,) = (home.parent / "cache").rglob("*.kept")
    whole = file.read_bytes()
    file.write_bytes(spoil(whole))
    assert same(first, whereabouts_of(open_dataset(home, "train")))
    assert looked == [4, 4] and file.read_bytes() == whole


def test_nothing_is_kept_where_it_cannot_be_or_among_the_data(home, looked, monkeypatch):
    data = open_dataset(home, "train")
    (home.parent / "file").write_text("no folder")
    for place in (home.parent / "file", home / "train" / "masks", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(place))
        monkeypatch.setenv("HOME", str(home.parent / "file"))
        whereabouts_of(data)
    assert looked == [4, 4, 4]
    assert not list(home.parent.rglob("*.kept"))


def test_masks_that_have_just_changed_are_not_kept(home, looked, monkeypatch):
    monkeypatch.setattr(memory, "SETTLED", 10**12)
    for _ in range(2):
        whereabouts_of(open_dataset(home, "train"))
    assert looked == [4, 4]


def test_the_file_that_was_not_used_for_longest_goes_first(home, monkeypatch):
    monkeypatch.setattr(memory, "ENTRIES", 1)
    for split in ("train", "val"):
        whereabouts_of(open_dataset(home, split))
    assert len(list((home.parent / "cache").rglob("*.kept"))) == 1


def test_a_mask_that_cannot_be_read_ends_the_search_or_holds_nothing(home, looked):
    data = open_dataset(home, "train")
    (home / "train" / "masks" / "train_002.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"train_002\.png"):
        whereabouts_of(data)
    found = whereabouts_of(data, skip=True)
    assert 2 not in found.images(np.arange(len(found.labels)))
    whereabouts_of(data, skip=True)
    assert looked == [4, 4, 4]  # for it may be readable by now


def test_a_split_without_any_class_is_told_in_one_line(tmp_path):
    data = open_dataset(plain_folder(tmp_path), "train")
    for mask in (tmp_path / "train" / "masks").iterdir():
        write_png(mask, np.full((32, 48), 255, np.uint8))
    with pytest.raises(DataError, match="no mask has a pixel of any class"):
        find_classes(data)


def test_parts_of_a_split_have_whereabouts_of_their_own(home, looked):
    whole = open_dataset(home, "train")
    some = Subset(whole, [2, 0])
    found, every = whereabouts_of(some), whereabouts_of(whole)
    assert len(found) == 2 and found.totals.sum() == every.totals.sum() / 2
    # What is held in memory is not what the files say, and is never kept.
    middle = whereabouts_of(Middles(whole, [0], (8, 8)))
    assert middle.totals.sum() == 64
    assert looked == [2, 4, 1]


def test_whereabouts_of_a_mixture_are_kept_until_a_part_changes(home, looked, monkeypatch):
    monkeypatch.chdir(home.parent)

    def say(name, *lines):
        (home / name / "dataset.yaml").write_text("\n".join(lines))

    def mixture():
        return open_mixture(["one", "two"], "train")

    for name in ("one", "two"):
        plain_folder(home / name)
    say("one", "classes: [a, b, c]")
    say("two", "classes: [c, street, a]", "maps: {one: {street: b}}")
    first = whereabouts_of(mixture())
    assert same(first, whereabouts_of(mixture())) and looked == [8]
    assert same(first, find_classes(mixture()))
    write_png(home / "two" / "train" / "masks" / "train_001.png", np.ones((32, 48), np.uint8))
    second = whereabouts_of(mixture())
    assert same(second, find_classes(mixture())) and not same(first, second)
    say("two", "classes: [c, street, a]", "maps: {one: {street: ignore}}")
    third = whereabouts_of(mixture())
    assert same(third, find_classes(mixture())) and not same(second, third)
    assert same(third, whereabouts_of(mixture())) and looked == [8, 8, 8]
    for chosen in ([7, 1], [1, 7], [1, 7]):
        part = Subset(mixture(), chosen)
        assert same(whereabouts_of(part), find_classes(part))
    assert looked == [8, 8, 8, 2, 2]


def test_of_a_drawn_split_a_sample_is_looked_at_and_kept(tmp_path, monkeypatch, looked):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(whereabouts, "DRAWN", 3)
    told: list[tuple[int, int]] = []
    data = open_dataset("synthetic", "val")
    found = whereabouts_of(data, lambda *at: told.append(at))
    assert len(found) == 64 and np.count_nonzero(found.widths) == 3
    assert told == [(1, 3), (2, 3), (3, 3)]
    for image in np.unique(found.images(np.arange(len(found.labels)))):
        assert found.totals[:11].sum() == 3 * 256 * 256 and found.widths[image] == 256
    assert same(found, whereabouts_of(data)) and looked == [64]
    line = Epochs(where=found, classes="uniform").lines(data.labels.names)[0]
    assert line == "where the classes are is known of 3 of 64 training images"


# --- batches ------------------------------------------------------------------------------------


def batches(data, count, **options):
    where = find_classes(data)
    chosen = {"classes": "uniform", "copy_paste": 0.5, "mix": "classmix", "weights": [1, 2, 3, 4]}
    settings = {"batch_size": 2, "seed": 7} | options
    module = SegmentationData(
        data, data, Augment("street", (16, 16)), epochs=Epochs(where=where, **chosen), **settings
    )
    return list(islice(iter(module.train_dataloader()), count))


def test_everything_at_once_gives_the_same_bytes_with_any_number_of_workers(home):
    data = open_dataset(home, "train")
    alone, helped = batches(data, 6), batches(data, 6, num_workers=2)
    for one, two in zip(alone, helped, strict=True):
        assert all(torch.equal(one[key], two[key]) for key in ("image", "mask", "index"))


def test_a_sample_whose_partner_cannot_be_read_goes_without_it_or_ends_the_run(home):
    data = open_dataset(home, "train")
    batches(data, 1)
    where = find_classes(data)
    epochs = Epochs(where=where, copy_paste=1.0, mix="cutmix", mix_chance=1.0)
    (home / "train" / "images" / "train_001.png").write_bytes(b"\x89PNG")

    def run(skip):
        module = SegmentationData(
            data,
            data,
            Augment("none", (32, 48)),
            batch_size=1,
            seed=0,
            skip=skip,
            epochs=epochs,
            notify=lambda line: None,
        )
        return module, islice(iter(module.train_dataloader()), 12)

    module, stream = run(skip=True)
    assert len(list(stream)) == 12 and len(module.skipped_train) == 1
    with pytest.raises(DataError, match=r"training image 1, step"):
        list(run(skip=False)[1])


def test_mixing_without_a_crop_is_refused(home):
    data = open_dataset(home, "train")
    with pytest.raises(ValueError, match="give the augmentation a crop"):
        SegmentationData(
            data, data, Augment("none"), batch_size=1, seed=0, epochs=Epochs(mix="cutmix")
        )


@pytest.mark.skipif(CAMVID is None, reason="CamVid is not here: set $CAMVID")
def test_an_aimed_crop_of_camvid_shows_its_class():
    data = open_dataset("camvid", "train")
    few = Subset(data, range(0, 60, 3))
    where = find_classes(few)
    draws = Epochs(where=where, classes="uniform", share=1.0).draws(0, 0, 20, 20)
    augment = Augment("street", (288, 288))
    for draw in draws:
        sample = few[draw.image]
        label = sample.mask[draw.pixel]
        _, labels = augment(sample.image, sample.mask, draw.image, draw.pixel)
        assert (labels == label).any()
