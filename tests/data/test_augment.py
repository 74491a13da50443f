import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effunet.data.augment import augment as door
from effunet.data.augment.augment import Augment
from effunet.data.augment.presets import GREY, PRESETS, Preset, Step, markdown
from effunet.errors import UsageError
from effunet.labels import IGNORE

ROOT = Path(__file__).resolve().parents[2]


def scene(height=48, width=64, channels=3, seed=0):
    """A smooth image and a mask of classes 0..4 in blocks."""
    draw = np.random.default_rng(seed)
    image = draw.integers(0, 256, (height // 8, width // 8, channels), dtype=np.uint8)
    mask = draw.integers(0, 5, (height // 8, width // 8), dtype=np.uint8)
    grow = np.ones((8, 8), np.uint8)
    image = np.stack([np.kron(image[..., c], grow) for c in range(channels)], axis=2)
    return image, np.kron(mask, grow)


def coordinates(height=48, width=64):
    """An image whose pixels say where they lie: (y, x, 0)."""
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([y, x, np.zeros_like(x)], axis=2)


def preset_of(monkeypatch, **facts):
    """Augment's arguments for a preset made for this test."""
    monkeypatch.setitem(PRESETS, "test", Preset(about="", **facts))
    return "test"


@pytest.fixture(scope="module")
def augments():
    return {name: Augment(name, (32, 40)) for name in PRESETS}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_seed_gives_the_same_bytes_whatever_came_before(augments, preset):
    image, mask = scene()
    augment = augments[preset]
    first = [augment(image, mask, seed) for seed in range(20)]
    other = Augment(preset, (32, 40))
    for seed in reversed(range(20)):
        again = other(image, mask, seed)
        assert np.array_equal(again[0], first[seed][0])
        assert np.array_equal(again[1], first[seed][1])


@pytest.mark.parametrize("preset", PRESETS)
def test_seeds_draw_different_samples(augments, preset):
    image, mask = scene()
    drawn = {augments[preset](image, mask, seed)[0].tobytes() for seed in range(100)}
    # "none" has 17 x 25 places for the crop, of which 100 draws should meet 90 or so.
    assert len(drawn) > 80


@settings(max_examples=60, deadline=None)
@given(
    preset=st.sampled_from([*PRESETS]),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    seed=st.integers(0, 2**64 - 1),
)
def test_labels_come_from_the_mask_or_are_ignore_and_sizes_are_the_crops(
    augments, preset, height, width, seed
):
    draw = np.random.default_rng(seed)
    image = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = draw.choice(np.array([3, 7, 200, IGNORE], np.uint8), (height, width))
    before = image.copy(), mask.copy()
    crop, labels = augments[preset](image, mask, seed)
    assert crop.shape == (32, 40, 3) and labels.shape == (32, 40)
    assert crop.dtype == labels.dtype == np.uint8
    assert set(np.unique(labels)) <= set(np.unique(mask)) | {IGNORE}
    assert np.array_equal(image, before[0]) and np.array_equal(mask, before[1])


def test_the_preset_none_cuts_a_window_and_changes_no_pixel(augments):
    image, (_, mask) = coordinates(), scene()
    tops, lefts = set(), set()
    for seed in range(300):
        crop, labels = augments["none"](image, mask, seed)
        top, left = (int(v) for v in crop[0, 0, :2])
        assert np.array_equal(crop, image[top : top + 32, left : left + 40])
        assert np.array_equal(labels, mask[top : top + 32, left : left + 40])
        tops.add(top)
        lefts.add(left)
    assert tops == set(range(48 - 32 + 1)) and lefts == set(range(64 - 40 + 1))


def test_the_preset_none_without_a_crop_gives_the_image_as_it_is():
    image, mask = scene()
    same, labels = Augment("none")(image, mask, 5)
    assert np.array_equal(same, image) and np.array_equal(labels, mask)


def test_without_a_crop_every_preset_keeps_the_images_own_size():
    image, mask = scene()
    for preset in PRESETS:
        crop, labels = Augment(preset)(image, mask, 1)
        assert crop.shape == image.shape and labels.shape == mask.shape


def test_a_crop_larger_than_the_image_is_padded_with_grey_and_ignore():
    image, mask = scene()
    mask[:] = 0
    crop, labels = Augment("none", (80, 100))(image, mask, 3)
    outside = labels == IGNORE
    assert outside.sum() == 80 * 100 - 48 * 64
    assert (crop[outside] == GREY).all()
    assert np.array_equal(crop[~outside].reshape(48, 64, 3), image)


def test_cutting_out_what_a_crop_can_see_changes_nothing_that_it_shows(monkeypatch):
    preset = preset_of(monkeypatch, scale=(0.2, 3.0), rotation=20.0, flip=0.5)
    draw = np.random.default_rng(0)
    augment, moved = Augment(preset, (24, 40)), 0
    for seed in range(200):
        shape = tuple(draw.integers(1, 150, 2))
        image, mask = (draw.integers(0, 250, (*shape, *c), np.uint8) for c in ((3,), ()))
        cut = augment(image, mask, seed)
        with monkeypatch.context() as patch:
            patch.setattr(door, "_reached", lambda *_, size=shape: [(0, size[1]), (0, size[0])])
            whole = augment(image, mask, seed)
        # OpenCV 4 gives equal bytes; 5 counts in float32, which is finer near zero.
        assert np.abs(cut[0].astype(int) - whole[0]).max() <= 1
        moved += (cut[1] != whole[1]).sum()
    assert moved <= 1e-4 * 200 * 24 * 40


@pytest.mark.parametrize("shape", [(40_000, 9), (9, 40_000)])
def test_an_image_too_long_for_opencv_4_is_never_given_to_it_whole(monkeypatch, shape):
    given, warp = [], cv2.warpAffine

    def spy(part, *rest, **how):
        given.append(max(part.shape))
        return warp(part, *rest, **how)

    monkeypatch.setattr(cv2, "warpAffine", spy)
    image, mask = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
    for seed in range(5):
        _, labels = Augment("strong", (16, 16))(image, mask, seed)
        assert (labels == 0).any()
    assert max(given) < 60


def test_a_rotation_by_45_degrees_brings_ignore_and_not_class_0(monkeypatch):
    preset = preset_of(monkeypatch, rotation=45.0)
    image, mask = np.full((64, 64, 3), 250, np.uint8), np.zeros((64, 64), np.uint8)
    most = max((Augment(preset)(image, mask, seed) for seed in range(50)), key=lambda s: s[1].sum())
    labels = most[1]
    # A square turned by 45 degrees covers 2 (sqrt(2) - 1) = 83 % of itself.
    assert 0.15 < (labels == IGNORE).mean() < 0.175
    assert [labels[y, x] for y in (0, -1) for x in (0, -1)] == [IGNORE] * 4
    assert (most[0][labels == IGNORE] < 250).all()


@pytest.mark.parametrize("rotation", [0.0, 20.0])
def test_a_mask_is_ignore_exactly_where_the_image_is_grey(monkeypatch, rotation):
    preset = preset_of(monkeypatch, scale=(0.3, 3.0), rotation=rotation, flip=0.5)
    image, mask = np.full((48, 64, 3), 250, np.uint8), np.zeros((48, 64), np.uint8)
    augment = Augment(preset, (50, 70))
    for seed in range(100):
        crop, labels = augment(image, mask, seed)
        # At scale 3, blending across the border reaches two pixels to either side.
        around = np.lib.stride_tricks.sliding_window_view(labels == IGNORE, (5, 5))
        core = crop[2:-2, 2:-2]
        assert (core[~around.any(axis=(2, 3))] == 250).all()
        assert (core[around.all(axis=(2, 3))] == GREY).all()


@pytest.mark.parametrize("rotation", [0.0, 10.0])
def test_image_and_mask_move_together_to_a_tenth_of_a_pixel(monkeypatch, rotation):
    preset = preset_of(monkeypatch, scale=(0.5, 2.0), rotation=rotation, flip=0.5)
    image, mask = np.full((48, 64, 3), GREY, np.uint8), np.zeros((48, 64), np.uint8)
    image[10:30, 20:50], mask[10:30, 20:50] = 254, 1
    augment = Augment(preset, (200, 260))  # large enough for all of the image at any scale
    columns, rows = np.meshgrid(np.arange(260), np.arange(200))
    apart = []
    for seed in range(100):
        crop, labels = augment(image, mask, seed)
        seen, named = crop[..., 0].astype(float) - GREY, (labels == 1).astype(float)
        apart.append(
            [np.average(at, weights=seen) - np.average(at, weights=named) for at in (rows, columns)]
        )
    # The nearest label of one sample may round; a wrong half pixel anywhere would show in the mean.
    assert np.abs(np.mean(apart, axis=0)).max() < 0.1
    assert np.abs(apart).max() <= 0.5


def test_scales_fill_their_range_and_half_of_the_crops_are_mirrored(monkeypatch):
    monkeypatch.setitem(PRESETS, "street", replace(PRESETS["street"], colour=None, steps=()))
    image, mask = coordinates(200, 250), np.zeros((200, 250), np.uint8)
    augment = Augment("street", (20, 20))
    steps = []
    for seed in range(400):
        crop, _ = augment(image, mask, seed)
        steps.append((float(crop[10, 19, 1]) - float(crop[10, 0, 1])) / 19)
    scales = 1 / np.abs(steps)
    low, high = PRESETS["street"].scale
    assert low * 0.95 < scales.min() < low * 1.1 and high * 0.9 < scales.max() < high * 1.1
    assert scales.mean() == pytest.approx((low + high) / 2, abs=0.1)
    assert 0.42 < (np.array(steps) < 0).mean() < 0.58


def test_a_scale_of_ones_own_replaces_the_presets(monkeypatch):
    preset = preset_of(monkeypatch, scale=(0.5, 2.0))
    image, mask = coordinates(), np.zeros((48, 64), np.uint8)
    crop, _ = Augment(preset, (48, 64), scale=(1.0, 1.0))(image, mask, 9)
    assert np.array_equal(crop, image)


def test_steps_draw_independently_of_one_another(monkeypatch):
    # Under Compose.set_random_seed both flips would always happen together.
    steps = tuple(Step(name, 0.5, "", {}) for name in ("HorizontalFlip", "VerticalFlip"))
    augment = Augment(preset_of(monkeypatch, steps=steps))
    image, mask = coordinates(), np.zeros((48, 64), np.uint8)
    corners = [tuple(augment(image, mask, seed)[0][0, 0, :2].tolist()) for seed in range(400)]
    assert {corner: corners.count(corner) for corner in corners} == {
        corner: pytest.approx(100, abs=40) for corner in [(0, 0), (0, 63), (47, 0), (47, 63)]
    }


def test_hidden_pixels_of_a_dropout_are_not_asked_for(monkeypatch):
    (dropout,) = [step for step in PRESETS["strong"].steps if step.name == "CoarseDropout"]
    augment = Augment(preset_of(monkeypatch, steps=(replace(dropout, chance=1.0),)))
    image, mask = np.full((64, 64, 3), 250, np.uint8), np.zeros((64, 64), np.uint8)
    crop, labels = augment(image, mask, 0)
    assert 0 < (labels == IGNORE).sum() < 64 * 64 / 4
    assert np.array_equal(crop[..., 0] == GREY, labels == IGNORE)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 12])
def test_every_step_works_for_the_channels_it_is_kept_for(monkeypatch, channels):
    image, mask = scene(channels=channels)
    for name, preset in list(PRESETS.items()):
        sure = tuple(replace(step, chance=1.0) for step in preset.steps)
        monkeypatch.setitem(PRESETS, name, replace(preset, steps=sure))
        crop, labels = Augment(name, (32, 40), channels=channels)(image, mask, 1)
        assert crop.shape == (32, 40, channels) and crop.dtype == np.uint8
        assert labels.shape == (32, 40)


def test_the_channels_of_a_many_channel_image_keep_their_order():
    image, mask = scene(channels=9)
    crop, _ = Augment("none", channels=9)(image, mask, 0)
    assert np.array_equal(crop, image)
    padded, _ = Augment("none", (60, 70), channels=9)(image, mask, 0)
    assert (padded == GREY).all(axis=2).sum() >= 60 * 70 - 48 * 64


def test_steps_that_need_colour_are_left_out_for_other_channels():
    for name, preset in PRESETS.items():
        kept = [type(step).__name__ for step in Augment(name, channels=4)._photometric]
        assert kept == [step.name for step in preset.steps if not step.rgb]
        assert len(Augment(name)._photometric) == len(preset.steps)


def test_an_image_of_other_channels_is_refused(augments):
    image, mask = scene(channels=4)
    with pytest.raises(ValueError, match="made for 3 channels, got an image of 4"):
        augments["light"](image, mask, 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"preset": "streets"}, "use one of none, light, street, strong"),
        ({"preset": "none", "crop": (0, 32)}, r"at least 1, got \(0, 32\)"),
        ({"preset": "none", "scale": (0.0, 1.0)}, "positive factors"),
        ({"preset": "none", "scale": (2.0, 1.0)}, "low, high"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        Augment(**arguments)


def test_a_wrong_argument_of_a_transform_is_an_error_and_not_a_dropped_warning(monkeypatch):
    preset = preset_of(monkeypatch, steps=(Step("HorizontalFlip", 0.5, "", {"fil": 3}),))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="'fil' are not valid"):
            Augment(preset)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_number_of_threads_changes_no_byte(augments, preset):
    image, mask = scene(480, 640)
    augment = Augment(preset, (384, 384))
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(0)
        one = [augment(image, mask, seed) for seed in range(15)]
        cv2.setNumThreads(4)
        four = [augment(image, mask, seed) for seed in range(15)]
    finally:
        cv2.setNumThreads(before)
    for a, b in zip(one, four, strict=True):
        assert np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1])


def test_a_pickled_augment_draws_the_same():
    image, mask = scene()
    augment = Augment("strong", (32, 40))
    other = pickle.loads(pickle.dumps(augment))
    assert other == augment
    for seed in range(20):
        for a, b in zip(augment(image, mask, seed), other(image, mask, seed), strict=True):
            assert np.array_equal(a, b)


def test_the_library_of_the_same_module_name_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "albumentationsx-2.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: albumentationsx\nVersion: 2.1.0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="pip uninstall albumentationsx"):
        Augment("none")


def test_the_page_about_augmentation_is_current():
    page = (ROOT / "docs" / "augmentation.md").read_text(encoding="utf-8")
    assert page == markdown(), "run: python -m effunet.data.augment.presets > docs/augmentation.md"
