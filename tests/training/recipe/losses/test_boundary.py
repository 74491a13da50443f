"""Which pixels are near a boundary, on masks drawn by hand, and what they weigh."""

import pytest
import torch
from loss_batches import WEIGHTS, batch

from effunet.training.recipe.losses import Boundary, CrossEntropy
from effunet.training.recipe.losses.boundary import near_boundary
from effunet.training.recipe.losses.pixel import pixel_loss, pixel_weight

X = 255


def near(rows: list[list[int]], width: int, kind: torch.dtype = torch.uint8) -> list[list[int]]:
    return near_boundary(torch.tensor([rows], dtype=kind), width)[0].int().tolist()


@pytest.mark.parametrize("kind", [torch.uint8, torch.int64])
def test_the_band_is_width_pixels_on_each_side_of_a_change_of_class(kind):
    assert near([[0, 0, 0, 0, 1, 1, 1, 1]], 1, kind) == [[0, 0, 0, 1, 1, 0, 0, 0]]
    assert near([[0, 0, 0, 0, 1, 1, 1, 1]], 2, kind) == [[0, 0, 1, 1, 1, 1, 0, 0]]
    assert near([[253], [253], [253], [254]], 2, kind) == [[0], [1], [1], [1]]


def test_a_corner_is_near_what_lies_across_it():
    assert near([[1, 0, 0], [0, 0, 0], [0, 0, 0]], 1) == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_ignored_regions_and_the_image_border_make_no_boundary():
    assert near([[0, 0, X, X, 1, 1]], 1) == [[0, 0, 0, 0, 0, 0]]
    assert near([[X, 0, 0, X, 0, X]], 3) == [[0] * 6]
    assert near([[X, X]], 1) == [[0, 0]]
    assert near([[7, 7], [7, 7]], 5) == [[0, 0], [0, 0]]


def test_two_classes_meet_across_an_ignored_seam_thinner_than_the_band():
    assert near([[0, 0, 0, X, 1, 1, 1]], 2) == [[0, 0, 1, 0, 1, 0, 0]]


def test_the_band_is_that_of_a_search_over_all_pairs_of_pixels():
    _, target = batch(classes=3, ignored=0.5, size=(2, 9, 11))
    target[:, 3:7, 2:8] = 2
    for width in (1, 2, 3):
        found = near_boundary(target, width)
        for b, y, x in torch.cartesian_prod(*(torch.arange(n) for n in target.shape)).tolist():
            window = target[b, max(0, y - width) : y + width + 1, max(0, x - width) : x + width + 1]
            others = (window != X) & (window != target[b, y, x])
            assert found[b, y, x] == bool(others.any() and target[b, y, x] != X)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_boundary_that_weighs_one_is_cross_entropy(weights, smoothing):
    logits, target = batch()
    plain = CrossEntropy(smoothing, weights)(logits, target)
    loss = Boundary(2, 1.0, smoothing, weights)(logits, target)
    assert loss.item() == pytest.approx(plain.item(), abs=1e-6)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_pixels_of_the_band_weigh_more_in_the_mean_as_if_they_stood_there_as_often(weights):
    logits, target = batch(size=(1, 6, 6))
    target[:, :, 3:] = 3
    class_weights = None if weights is None else torch.tensor(weights)
    each = pixel_loss(logits, target, class_weights).flatten()
    mass = pixel_weight(target, class_weights).flatten()
    times = torch.where(near_boundary(target, 1), 4, 1).flatten()
    assert set(times.tolist()) == {1, 4}
    expected = each.repeat_interleave(times).sum() / mass.repeat_interleave(times).sum()
    loss = Boundary(1, 4.0, 0.0, weights)(logits, target)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(("width", "weight"), [(0, 5.0), (2, 0.5), (2, float("nan"))])
def test_numbers_out_of_their_range_are_refused(width, weight):
    with pytest.raises(ValueError, match="must be at least 1"):
        Boundary(width, weight)
