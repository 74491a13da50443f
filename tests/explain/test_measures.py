"""Each measure tells a map that means something from one that does not."""

import numpy as np
import pytest
import torch
from tiny_segmenter import LABELS, random_image, tiny_segmenter
from torch import Tensor, nn

from effunet.errors import UsageError
from effunet.explain import measures
from effunet.explain.average import CONTROLS, measured
from effunet.explain.measures import (
    alike,
    area,
    blurred,
    curves,
    hits,
    noisy,
    randomised,
    stability,
)
from effunet.segmenter import Segmenter

HEIGHT, WIDTH = 48, 64
DRAW = np.random.default_rng(0)
HEAT = DRAW.random((HEIGHT, WIDTH), np.float32)
ALL = np.ones((HEIGHT, WIDTH), bool)


class Bright(nn.Module):
    """Says class 1 where the image is bright: what it looks at is known."""

    reduction = 32

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.05))
        self.plan = type("Plan", (), {"classes": 3, "channels": 3})()

    def forward(self, image: Tensor) -> Tensor:
        bright = self.weight * (image.float().mean(1, keepdim=True) - 128)
        return torch.cat([-bright, bright, torch.zeros_like(bright)], 1)


def bright() -> Segmenter:
    segmenter = tiny_segmenter()
    segmenter.network = Bright()  # type: ignore[assignment]
    segmenter.logits = lambda images: iter([segmenter.network(images)])  # type: ignore[method-assign]
    return segmenter


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A dark image with a bright square, and where that is."""
    image = DRAW.integers(0, 60, (HEIGHT, WIDTH, 3), np.uint8)
    square = np.zeros((HEIGHT, WIDTH), bool)
    square[10:26, 20:40] = True
    image[square] = 250
    return image, square


def test_deletion_falls_and_insertion_rises_fastest_by_the_map_that_is_right() -> None:
    image, square = scene()
    right = square.astype(np.float32)
    areas = {}
    for name, heat in (("right", right), ("chance", HEAT), ("wrong", 1 - right)):
        deletion, insertion = curves(bright(), image, heat, 1, square)
        areas[name] = area(deletion), area(insertion)
    assert areas["right"][0] < areas["chance"][0] < areas["wrong"][0]
    assert areas["right"][1] > areas["chance"][1] > areas["wrong"][1]


def test_the_curves_begin_and_end_at_the_image_and_its_blur() -> None:
    image, square = scene()
    deletion, insertion = curves(bright(), image, HEAT, 1, square)
    whole, dim = (
        bright()(picture).probabilities[1][square].mean() for picture in (image, blurred(image))
    )
    assert [deletion[0], insertion[-1]] == pytest.approx([whole] * 2, rel=1e-5)
    assert [deletion[-1], insertion[0]] == pytest.approx([dim] * 2, rel=1e-5)
    assert len(deletion) == len(insertion) == measures.STEPS + 1


def test_curves_are_the_same_in_batches_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter, image = tiny_segmenter(), random_image(HEIGHT, WIDTH, 1)
    whole = np.concatenate(curves(segmenter, image, HEAT, 1, ALL))
    monkeypatch.setattr(measures, "BATCH", 1)
    np.testing.assert_allclose(np.concatenate(curves(segmenter, image, HEAT, 1, ALL)), whole, 1e-5)


def test_a_map_of_nothing_is_ranked_by_chance_and_not_from_the_top() -> None:
    image, square = scene()
    flat = np.zeros((HEIGHT, WIDTH), np.float32)
    deletion, _ = curves(bright(), image, flat, 1, square)
    changes = abs(np.diff(deletion))
    # From the top the first two steps would miss the square, and four take it all.
    assert changes.min() > changes.mean() / 3


@pytest.mark.parametrize(("curve", "under"), [([1, 1, 1], 1.0), ([0, 1], 0.5), ([0, 0, 1], 0.25)])
def test_an_area_is_that_of_trapezoids(curve: list[float], under: float) -> None:
    assert area(np.array(curve, np.float64)) == under


def test_a_blur_keeps_the_mean_and_takes_the_detail() -> None:
    image = random_image(HEIGHT, WIDTH, 2)
    found = blurred(image)
    assert found.mean() == pytest.approx(image.mean(), abs=4)
    assert found.astype(float).std() < 0.6 * image.astype(float).std()
    np.testing.assert_array_equal(blurred(np.full_like(image, 77)), np.full_like(image, 77))


def test_the_pointing_game_asks_where_the_largest_value_lies() -> None:
    heat, truth = np.zeros((3, 3), np.float32), np.zeros((3, 3), bool)
    heat[1, 2], truth[1, 2] = 1, True
    assert hits(heat, truth) and not hits(heat, ~truth)
    flat = np.ones((3, 3), np.float32)
    middle = np.zeros((3, 3), bool)
    middle[1, 1] = True
    assert hits(flat, middle)


def test_alike_is_a_correlation_of_ranks() -> None:
    assert alike(HEAT, HEAT**3) == pytest.approx(1)
    assert alike(HEAT, -HEAT) == pytest.approx(-1)
    other = np.random.default_rng(9).random(HEAT.shape)
    assert abs(alike(HEAT, other)) < 0.1
    assert alike(HEAT, np.zeros_like(HEAT)) == 0.0


def test_randomised_weights_are_the_same_numbers_in_other_places() -> None:
    segmenter = tiny_segmenter()
    before = {name: weight.clone() for name, weight in segmenter.network.named_parameters()}
    unlearnt = randomised(segmenter)
    for name, weight in unlearnt.network.named_parameters():
        assert torch.equal(weight.flatten().sort().values, before[name].flatten().sort().values)
        assert torch.equal(segmenter.network.get_parameter(name), before[name])
        if weight.ndim == 4:
            assert not torch.equal(weight, before[name])
    assert not np.array_equal(
        unlearnt(random_image(32, 32)).probabilities, segmenter(random_image(32, 32)).probabilities
    )


def test_a_map_that_noise_does_not_move_is_stable_and_one_of_noise_is_not() -> None:
    image = random_image(HEIGHT, WIDTH, 4)
    near = noisy(image)
    assert stability(HEAT, [HEAT for _ in near]) == pytest.approx(1)
    draw = np.random.default_rng(5)
    assert abs(stability(HEAT, [draw.random(one.shape[:2]) for one in near])) < 0.1
    for one in near:
        change = one.astype(float) - image
        assert change.std() == pytest.approx(5, rel=0.1) and not np.array_equal(one, image)
    assert not np.array_equal(*near)
    np.testing.assert_array_equal(noisy(image), near)


def test_all_rows_are_of_the_same_maps_and_the_controls_have_what_needs_no_network() -> None:
    segmenter = tiny_segmenter()
    images = [random_image(40, 56, seed) for seed in range(2)]
    samples = [(image, segmenter(image).mask) for image in images]
    found = measured(segmenter, samples, ["grad-cam", "layer-cam"], ["encoder/16", "decoder/1"])
    assert found.images == 2 and found.maps >= 4
    names = [(row.method, row.layer) for row in found.rows]
    assert names[:4] == [
        (method, layer)
        for layer in ("encoder/16", "decoder/1")
        for method in ("grad-cam", "layer-cam")
    ]
    assert [name for name, _ in names[4:]] == [*CONTROLS]
    for row in found.rows:
        assert {len(values) for values in row.found.values()} == {found.maps}
        for name in ("deletion", "insertion", "pointing"):
            assert 0 <= row.mean(name) <= 1  # type: ignore[operator]
        assert (row.mean("noise") is None) == (row.method in CONTROLS)
    # Where the truth is what is predicted, its probability points to it.
    assert found.rows[-1].mean("pointing") == 1.0


def test_an_unknown_method_is_refused_before_any_image_is_read() -> None:
    with pytest.raises(UsageError, match="--method nonsense: there are"):
        measured(tiny_segmenter(), iter(lambda: 1 / 0, None), ["nonsense"], ["encoder/16"])  # type: ignore[arg-type]


def test_a_layer_named_twice_is_one_row_and_measured_once() -> None:
    image = random_image(40, 50, 8)
    samples = [(image, tiny_segmenter()(image).mask)]
    once = measured(tiny_segmenter(), samples, ["grad-cam"], ["encoder/16"])
    assert measured(tiny_segmenter(), samples, ["grad-cam"], ["encoder/16"] * 2) == once


def test_what_is_predicted_but_not_there_is_no_case() -> None:
    image = random_image(40, 56, 0)
    absent = np.full(image.shape[:2], 255, np.uint8)
    found = measured(tiny_segmenter(), [(image, absent)], ["grad-cam"], ["encoder/16"])
    assert (found.images, found.maps) == (1, 0) and found.rows[0].mean("deletion") is None
    assert len(LABELS) == 3
