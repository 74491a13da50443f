"""What shapes cover, and how they are painted over one another: laws, and COCO's own pixels."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from effunet.data.shapes.cover import MOST_CROSSINGS, cover
from effunet.data.shapes.drawing import Drawing, Ellipse, Part, Polygon, Shape, Traced
from effunet.data.shapes.paint import LEAVE, paint
from effunet.data.shapes.rle import Runs, unpack
from effunet.errors import DataError
from effunet.labels import IGNORE
from effunet.values import UnknownValues

SIZE = (40, 50)  # height, width

INSIDE = st.tuples(st.floats(0, 50, width=32), st.floats(0, 40, width=32))
ANYWHERE = st.tuples(st.floats(-300, 300), st.floats(-300, 300))
WHOLE = st.tuples(st.integers(-5, 55), st.integers(-5, 45))
TENTHS = WHOLE.map(lambda point: (point[0] + 0.1, point[1] + 0.3))


def ring(points: object) -> np.ndarray:
    return np.array(points, np.float64).reshape(-1, 2)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return ring([left, top, right, top, right, bottom, left, bottom])


def pixels(*parts: Part, size: tuple[int, int] = SIZE) -> np.ndarray:
    """The whole image, true where the parts cover it."""
    found = cover(parts, size)
    whole = np.zeros(size, np.bool_)
    whole[found.place] = found.bits
    return whole


def polygon(*rings: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    return pixels(Polygon(rings), size=size)


def exact(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By plain geometry: whether each pixel's centre is inside, and how far the next edge is."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    inside, nearest = np.zeros(SIZE, np.bool_), np.full(SIZE, np.inf)
    for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, 0), strict=True):
        if ay != by:
            crosses = (y >= min(ay, by)) & (y < max(ay, by))
            inside ^= crosses & (x < ax + (bx - ax) * (y - ay) / (by - ay))
        length = (bx - ax) ** 2 + (by - ay) ** 2
        along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length if length else 0 * x
        along = np.clip(along, 0, 1)
        distance = np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay))
        nearest = np.minimum(nearest, distance)
    return inside, nearest


# --- polygons -------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(
    st.one_of(*(st.lists(p, min_size=3, max_size=12) for p in (INSIDE, ANYWHERE, WHOLE, TENTHS))),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_a_polygon_covers_the_very_pixels_of_cocos_own_tools(
    points: list[tuple[float, float]], size: tuple[int, int]
):
    flat = [float(value) for point in points for value in point]
    theirs = coco.frPyObjects([flat], *size)[0]["counts"].decode()
    expected = Runs.checked(unpack(theirs), size).bits()
    np.testing.assert_array_equal(polygon(ring(points), size=size), expected)


@given(st.lists(INSIDE, min_size=3, max_size=8))
def test_a_pixel_is_covered_if_its_centre_is_inside_but_for_a_third_of_a_pixel_at_the_edge(
    points: list[tuple[float, float]],
):
    inside, nearest = exact(ring(points))
    wrong = polygon(ring(points)) != inside
    assert not (wrong & (nearest > 0.3)).any()


@given(st.tuples(*[st.integers(0, 40)] * 4))
def test_a_box_with_whole_corners_covers_the_pixels_between_them(corners: tuple[int, ...]):
    left, right = sorted(corners[:2])
    top, bottom = sorted(corners[2:])
    expected = np.zeros(SIZE, np.bool_)
    expected[top:bottom, left:right] = True
    np.testing.assert_array_equal(polygon(box(left, top, right, bottom)), expected)


@given(st.integers(0, 49), st.integers(0, 39))
def test_a_box_of_one_pixel_covers_that_pixel(x: int, y: int):
    covered = polygon(box(x, y, x + 1, y + 1))
    assert covered[y, x]
    assert covered.sum() == 1


@given(st.lists(INSIDE, min_size=4, max_size=4), st.integers(0, 3))
def test_two_parts_cut_along_an_edge_cover_the_whole_with_no_gap_and_no_overlap(
    corners: list[tuple[float, float]], first: int
):
    a, b, c, d = np.roll(ring(corners), first, 0)
    one, other = polygon(np.stack([a, b, c])), polygon(np.stack([c, d, a]))
    np.testing.assert_array_equal(one ^ other, polygon(np.stack([a, b, c, d])))


@given(st.lists(INSIDE, min_size=3, max_size=8), st.integers(0, 8), st.booleans())
def test_neither_the_first_point_nor_the_direction_of_a_ring_matters(
    points: list[tuple[float, float]], first: int, backwards: bool
):
    other = np.roll(ring(points), first, 0)[:: -1 if backwards else 1]
    np.testing.assert_array_equal(polygon(other), polygon(ring(points)))


@given(st.lists(WHOLE, min_size=3, max_size=8), st.lists(WHOLE, min_size=3, max_size=8))
def test_a_second_ring_is_a_hole_where_it_lies_in_the_first(
    outer: list[tuple[int, int]], inner: list[tuple[int, int]]
):
    both = polygon(ring(outer), ring(inner))
    np.testing.assert_array_equal(both, polygon(ring(outer)) ^ polygon(ring(inner)))


@given(st.lists(WHOLE, min_size=3, max_size=8), st.lists(WHOLE, min_size=3, max_size=8))
def test_parts_cover_what_any_of_them_covers(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
):
    both = pixels(Polygon((ring(one),)), Polygon((ring(other),)))
    np.testing.assert_array_equal(both, polygon(ring(one)) | polygon(ring(other)))


@given(st.lists(WHOLE, min_size=3, max_size=8), st.integers(0, 30), st.integers(0, 30))
def test_an_image_is_a_window_on_what_a_larger_image_shows(
    points: list[tuple[int, int]], width: int, height: int
):
    large = polygon(ring(points))
    small = polygon(ring(points), size=(height + 1, width + 1))
    np.testing.assert_array_equal(small, large[: height + 1, : width + 1])


def test_the_pixels_of_a_large_polygon_are_as_many_as_its_area():
    angles = np.linspace(0, 2 * np.pi, 97)[:-1]
    points = 500 + 400 * np.stack([np.cos(angles), np.sin(angles)], 1) * [1, 0.7]
    x, y = points.T
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert polygon(points, size=(1000, 1000)).sum() == pytest.approx(area, rel=2e-4)


@pytest.mark.parametrize("points", [[], [3, 3], [3, 3, 20, 20], [5, 5] * 4, [1, 1, 9, 9, 1, 1]])
def test_what_has_no_area_covers_nothing(points: list[float]):
    assert not polygon(ring(points)).any()


def test_a_polygon_far_outside_covers_nothing_and_one_all_round_covers_all():
    assert not polygon(box(1e6, 1e6, 2e6, 2e6)).any()
    assert polygon(box(-1e7, -1e7, 1e7, 1e7)).all()


def test_a_polygon_too_intricate_is_refused_before_memory_is_taken():
    zigzag = np.tile([[0.0, 0.0], [1e6, 1.0]], (MOST_CROSSINGS // 10**6, 1))
    with pytest.raises(ValueError, match="simplify"):
        polygon(zigzag, size=(10, 10**6))


# --- other parts ----------------------------------------------------------------------------------


@given(
    st.tuples(st.floats(-10, 60), st.floats(-10, 50)),
    st.tuples(st.floats(0.1, 40), st.floats(0.1, 40)),
    st.floats(0, 360),
)
def test_an_ellipse_covers_the_centres_that_lie_in_it(
    middle: tuple[float, float], radii: tuple[float, float], degrees: float
):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    angle = math.radians(degrees)
    u = (x - middle[0]) * math.cos(angle) + (y - middle[1]) * math.sin(angle)
    v = -(x - middle[0]) * math.sin(angle) + (y - middle[1]) * math.cos(angle)
    distance = (u / radii[0]) ** 2 + (v / radii[1]) ** 2
    covered = pixels(Ellipse(*middle, *radii, degrees))
    assert not (covered != (distance <= 1))[abs(distance - 1) > 1e-9].any()


def test_an_ellipse_without_radius_covers_nothing():
    assert not pixels(Ellipse(5, 5, 0, 3)).any()


@given(st.integers(-12, 55), st.integers(-12, 45), st.booleans())
def test_runs_in_a_box_are_cut_at_the_image(left: int, top: int, by_columns: bool):
    bits = np.random.default_rng(0).random((9, 7)) < 0.5
    room = np.zeros((100, 100), np.bool_)
    room[top + 20 : top + 29, left + 20 : left + 27] = bits
    covered = pixels(Runs.of(bits, (top, left), by_columns))
    np.testing.assert_array_equal(covered, room[20:60, 20:70])


def test_a_traced_polygon_has_its_border():
    covered = pixels(Traced(box(3, 4, 6, 8)))
    expected = np.zeros(SIZE, np.bool_)
    expected[4:9, 3:7] = True
    np.testing.assert_array_equal(covered, expected)


def test_a_traced_polygon_outside_the_image_covers_nothing():
    for outside in (box(60, 5, 70, 9), box(-9, 5, -3, 9), box(5, 50, 9, 60), ring([4, 4])):
        assert not pixels(Traced(outside)).any()


# --- painting -------------------------------------------------------------------------------------


def square(
    label: str, left: int, size: int, level: int = 0, group: int | None = None, crowd: bool = False
) -> Shape:
    part = Polygon((box(left, 0, left + size, size),))
    return Shape(label=label, parts=(part,), level=level, group=group, crowd=crowd)


def drawing(*shapes: Shape, size: tuple[int, int] | None = (8, 8)) -> Drawing:
    return Drawing("a.json", size, shapes)


NAMES = {"a": 0, "b": 1, "c": 2, "void": IGNORE, "plate": LEAVE}


def first_row(*shapes: Shape, **how: object) -> list[int]:
    return paint(drawing(*shapes), (8, 8), NAMES.get, **how)[0].tolist()  # type: ignore[arg-type]


def test_of_two_shapes_the_later_one_lies_above_and_what_none_covers_is_unpainted():
    assert first_row(square("b", 0, 5), square("a", 3, 3)) == [1, 1, 1, 0, 0, 0, 255, 255]
    assert first_row(square("a", 3, 3), square("b", 0, 5), unpainted=2) == [1] * 5 + [0, 2, 2]


def test_a_higher_level_lies_above_whatever_comes_later():
    assert first_row(square("a", 0, 4, level=2), square("b", 0, 6, level=-1)) == (
        [0] * 4 + [1] * 2 + [255] * 2
    )


def test_by_area_the_smaller_one_lies_above_and_a_group_shares_its_area():
    small, large = square("a", 0, 3), square("b", 0, 6)
    assert first_row(small, large, order="area") == [0] * 3 + [1] * 3 + [255] * 2
    parts = square("a", 0, 3, group=1), square("a", 0, 7, group=1)
    assert first_row(*parts, square("b", 0, 6), order="area")[:3] == [1, 1, 1]
    others = square("a", 0, 3, group=1), square("a", 0, 7, group=2)
    assert first_row(*others, square("b", 0, 6), order="area")[:3] == [0, 0, 0]


def test_by_classes_the_higher_index_lies_above_and_the_ignored_one_above_all():
    shapes = square("void", 0, 2), square("c", 0, 4), square("a", 0, 8), square("b", 0, 6)
    assert first_row(*shapes, order="classes") == [255, 255, 2, 2, 1, 1, 0, 0]


def test_a_crowd_is_ignored_or_painted_or_skipped():
    shapes = square("a", 0, 8), square("b", 0, 3, crowd=True)
    assert first_row(*shapes) == [255] * 3 + [0] * 5
    assert first_row(*shapes, crowd="paint") == [1] * 3 + [0] * 5
    assert first_row(*shapes, crowd="skip") == [0] * 8


def test_a_label_may_leave_what_lies_below():
    assert first_row(square("a", 0, 8), square("plate", 0, 3)) == [0] * 8


def test_a_label_that_nobody_knows_is_tried_by_its_other_one():
    group = Shape(label="bgroup", also="b", parts=square("", 0, 8).parts)
    assert first_row(group) == [1] * 8


def test_unknown_labels_are_named_with_how_many_shapes_have_them():
    shapes = [square(label, 0, 3) for label in ("a", "x", "y", "x")]
    with pytest.raises(UnknownValues, match=r'a\.json: .*"x" \(2 shapes\), "y" \(1') as caught:
        paint(drawing(*shapes), (8, 8), NAMES.get)
    assert caught.value.counts == {"x": 2, "y": 1}


def test_annotations_of_another_size_are_refused_and_of_no_size_are_not():
    with pytest.raises(DataError, match="8 x 8"):
        paint(drawing(), (8, 9), NAMES.get)
    assert paint(drawing(size=None), (8, 9), NAMES.get).shape == (8, 9)


def test_an_intricate_shape_is_named():
    zigzag = np.tile([[0.0, 0.0], [1e6, 1.0]], (MOST_CROSSINGS // 10**6, 1))
    shapes = square("a", 0, 1), Shape(label="a", parts=(Polygon((zigzag,)),))
    with pytest.raises(DataError, match=r"a\.json, shape 1: .*simplify"):
        paint(drawing(*shapes, size=None), (1, 10**6), NAMES.get)
