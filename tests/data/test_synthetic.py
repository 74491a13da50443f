import hashlib

import cv2
import numpy as np
import pytest

from effunet.data.street.brush import Brush, Label, Light
from effunet.data.street.camera import Camera
from effunet.data.street.dice import Dice
from effunet.data.street.fences import Fence
from effunet.data.street.plants import stamp
from effunet.data.synthetic import CLASSES, PALETTE, render

SCENES = 200


@pytest.fixture(scope="module")
def masks() -> list[np.ndarray]:
    return [render(7, index, 64, 64)[1] for index in range(SCENES)]


def test_classes_are_camvids_eleven_in_segnets_order_with_their_colours():
    assert CLASSES == (
        "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car",
        "Pedestrian", "Bicyclist",
    )  # fmt: skip
    assert len(set(PALETTE)) == len(CLASSES)
    assert PALETTE[CLASSES.index("Road")] == (128, 64, 128)


def test_a_scene_is_a_function_of_seed_and_index_whatever_was_drawn_before():
    first = [render(3, index, 64, 80) for index in (0, 1, 2)]
    again = [render(3, index, 64, 80) for index in (2, 0, 1)]
    for (image, mask), (image_again, mask_again) in zip(
        first, (again[1], again[2], again[0]), strict=True
    ):
        assert np.array_equal(image, image_again)
        assert np.array_equal(mask, mask_again)


def test_the_global_random_state_neither_matters_nor_moves():
    np.random.seed(0)  # noqa: NPY002
    image, mask = render(1, 5, 48, 48)
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    image_again, mask_again = render(1, 5, 48, 48)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert np.array_equal(image, image_again)
    assert np.array_equal(mask, mask_again)


def test_every_seed_and_every_index_is_another_scene():
    scenes = {render(seed, index, 24, 24)[0].tobytes() for seed in range(3) for index in range(15)}
    assert len(scenes) == 45


@pytest.mark.parametrize(
    ("seed", "index", "height", "width", "digest"),
    [
        (0, 0, 256, 256, "344c3c7abc554709"),
        (0, 1, 360, 480, "c2418f4de53e2b5f"),
        (1, 17, 64, 64, "c30f1b0d094ac519"),
        (2**64 - 1, 12345, 33, 71, "e405f5df9ff7d22c"),
    ],
)
def test_labels_are_the_same_on_every_machine(
    seed: int, index: int, height: int, width: int, digest: str
):
    mask = render(seed, index, height, width)[1]
    assert hashlib.sha256(mask.tobytes()).hexdigest()[:16] == digest


def test_images_are_within_one_grey_level_of_the_first_machines():
    green = render(0, 0)[0][32::64, 32::64, 1].astype(int)
    assert (
        np.abs(
            green - [[83, 126, 136, 56], [96, 132, 79, 91], [51, 66, 112, 67], [96, 83, 93, 88]]
        ).max()
        <= 1
    )


def test_without_vector_instructions_labels_are_equal_and_images_within_one_grey_level():
    vectors = cv2.useOptimized()
    scenes = [render(4, index, 120, 160) for index in range(8)]
    try:
        cv2.setUseOptimized(False)
        plain = [render(4, index, 120, 160) for index in range(8)]
    finally:
        cv2.setUseOptimized(vectors)
    for (image, mask), (image_plain, mask_plain) in zip(scenes, plain, strict=True):
        assert np.array_equal(mask, mask_plain)
        assert np.abs(image.astype(int) - image_plain).max() <= 1


@pytest.mark.parametrize(
    ("height", "width"),
    [
        (1, 1),
        (1, 50),
        (50, 1),
        (2, 3),
        (17, 31),
        (32, 32),
        (360, 480),
        (12, 900),
        (900, 12),
        (1024, 2048),
    ],
)
def test_any_size_gives_an_image_and_its_mask(height: int, width: int):
    for index in range(1 if width > 1000 else 4):
        image, mask = render(0, index, height, width)
        image_again, mask_again = render(0, index, height, width)
        assert np.array_equal(image, image_again) and np.array_equal(mask, mask_again)
        assert image.shape == (height, width, 3) and image.dtype == np.uint8
        assert mask.shape == (height, width) and mask.dtype == np.uint8
        assert mask.max() < len(CLASSES)


def test_a_scene_is_the_same_scene_at_twice_the_size():
    for index in range(10):
        small, large = render(5, index, 128, 128)[1], render(5, index, 256, 256)[1]
        assert (small == large[1::2, 1::2]).mean() > 0.93


def test_sizes_and_seeds_that_cannot_be_are_refused_with_their_value():
    with pytest.raises(ValueError, match="at least 1 pixel, got 0 x 8"):
        render(0, 0, 0, 8)
    with pytest.raises(ValueError, match="got -1 and 0"):
        render(-1, 0)


def test_labels_are_class_indices_only(masks: list[np.ndarray]):
    assert {int(label) for mask in masks for label in np.unique(mask)} == set(range(11))


@pytest.mark.parametrize(
    ("name", "images", "pixels"),
    [
        ("Sky", 0.99, 0.15), ("Building", 0.95, 0.10), ("Pole", 0.9, 0.006), ("Road", 0.99, 0.20),
        ("Pavement", 0.9, 0.03), ("Tree", 0.85, 0.04), ("SignSymbol", 0.55, 0.002),
        ("Fence", 0.5, 0.004), ("Car", 0.9, 0.025), ("Pedestrian", 0.5, 0.003),
        ("Bicyclist", 0.5, 0.004),
    ],
)  # fmt: skip
def test_every_class_is_met_often_and_large_enough(
    name: str, images: float, pixels: float, masks: list[np.ndarray]
):
    shares = np.array([(mask == CLASSES.index(name)).mean() for mask in masks])
    assert (shares > 0).mean() > images
    assert shares.mean() > pixels


def test_the_image_changes_where_the_label_changes():
    on_edges, elsewhere = [], []
    for index in range(16):
        image, mask = render(8, index, 192, 192)
        step = np.abs(np.diff(image.astype(int), axis=1)).sum(-1)
        edge = mask[:, 1:] != mask[:, :-1]
        on_edges.append(step[edge].mean())
        elsewhere.append(step[~edge].mean())
    assert np.mean(on_edges) > 4 * np.mean(elsewhere)
    assert (np.array(on_edges) > 1.5 * np.array(elsewhere)).all()


def test_label_edges_lie_on_image_edges_to_the_pixel():
    """Shifted by a single pixel, the mask fits the image worse: in each direction."""
    fits = np.zeros(3)
    for index in range(16):
        image, mask = render(9, index, 192, 192)
        step = np.abs(np.diff(image.astype(int), axis=1)).sum(-1)
        edge = mask[:, 1:] != mask[:, :-1]
        fits += [step[np.roll(edge, shift, axis=1)].sum() for shift in (-1, 0, 1)]
    assert fits[1] > 1.3 * fits[0]
    assert fits[1] > 1.3 * fits[2]


def empty_canvas(shade: int) -> Brush:
    light = Light((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0, 0, 0), 0.0)
    canvas = np.full((200, 200, 4), (shade, shade, shade, Label.Sky), np.uint8)
    return Brush(Camera(200, 200), light, canvas)


@pytest.mark.parametrize("shift", [(0, -900), (0, 900), (-900, 0), (900, 0), (0, 0), (150, -60)])
def test_what_is_seen_through_a_polygon_is_named_within_the_image_alone(shift: tuple[int, int]):
    brush = empty_canvas(90)
    outline = np.array([(20, 30), (180, 30), (180, 170), (20, 170)], np.int32)
    outline += np.array(shift, np.int32)
    expected = np.full((200, 200), int(Label.Sky), np.uint8)
    cv2.fillConvexPoly(expected, outline, int(Label.Fence))
    brush.label(outline[None], Label.Fence)
    assert np.array_equal(brush.canvas[..., 3], expected)
    assert (brush.canvas[..., :3] == 90).all()


def test_a_low_wide_image_with_fences_beyond_its_edges_is_drawn():
    image, mask = render(0, 17, 12, 900)
    assert image.shape == (12, 900, 3) and mask.shape == (12, 900)
    assert len(np.unique(mask)) > 3


@pytest.mark.parametrize("kind", ["pickets", "railings", "walled"])
def test_what_is_seen_between_the_bars_of_a_fence_is_fence(kind: str):
    brush = empty_canvas(200)
    Fence(-2.0, 4.0, 2.0, 4.0, 1.3, kind, (40, 40, 40)).paint(brush, 0.0)
    fence = brush.canvas[..., 3] == Label.Fence
    rows, columns = np.nonzero(fence)
    assert fence[rows.min() : rows.max(), columns.min() : columns.max()].all()
    assert 0.2 < (brush.canvas[fence][:, 0] == 200).mean() < 0.9  # bars, and what lies behind


@pytest.mark.parametrize("shade", [0, 160, 255])
def test_a_bare_crown_is_tree_all_over_and_shows_what_lies_behind_its_twigs(shade: int):
    brush = empty_canvas(shade)
    canvas = brush.canvas
    stamp(brush, "bare", (20, 20, 180, 180), (80, 60, 40), 20.0, 0.0, Dice.of(1, 1))
    crown = canvas[..., 3] == Label.Tree
    assert crown[100, 40:160].all()
    assert (canvas[~crown] == (shade, shade, shade, Label.Sky)).all()
    red = canvas[crown][:, 0].astype(int)
    low, high = sorted((shade, 80))
    assert red.min() >= low and red.max() <= high
    behind = np.abs(red - shade)
    assert (behind < 0.6 * (high - low)).mean() > 0.4  # gaps
    assert (behind > 0.9 * (high - low)).mean() > 0.02  # boughs


def test_dice_are_fair_and_repeat():
    dice = Dice.of(1, 2)
    rolls = [dice.count(1, 6) for _ in range(3000)]
    assert np.abs(np.bincount(rolls)[1:] / 500 - 1).max() < 0.2
    again = Dice.of(1, 2)
    assert rolls == [again.count(1, 6) for _ in range(3000)]
    assert abs(Dice.of(0, 0).many(4000).mean() - 0.5) < 0.02
