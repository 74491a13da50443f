"""Raw values <-> class indices: exact, complete, and honest about what it does not know."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effunet.errors import DataError
from effunet.labels import IGNORE, LabelClass, LabelMap
from effunet.values import UnknownValues, default_color

STREET = LabelMap(
    (
        LabelClass("road", (128, 64, 128), (7, 8)),
        LabelClass("car", (0, 0, 142), (26,)),
    ),
    ignore=(0, 255),
)
COLORS = LabelMap(
    (
        LabelClass("road", (128, 64, 128), ((128, 64, 128), (250, 1, 2))),
        LabelClass("car", (0, 0, 142), ((0, 0, 142),)),
    ),
    ignore=((0, 0, 0),),
)


def slow_encode(labels: LabelMap, raw: np.ndarray) -> np.ndarray:
    """The definition, pixel by pixel."""
    meaning = {value: i for i, c in enumerate(labels.classes) for value in c.values}
    flat = raw.reshape(-1, *raw.shape[2:]).tolist()
    keys = [tuple(value) if isinstance(value, list) else value for value in flat]
    return np.array([meaning.get(key, IGNORE) for key in keys], np.uint8).reshape(raw.shape[:2])


@given(
    values=st.lists(st.integers(-5, 70000), min_size=2, max_size=30, unique=True),
    classes=st.integers(1, 29),
    pixels=st.lists(st.integers(0, 29), min_size=12, max_size=12),
)
def test_encoding_is_the_definition_pixel_by_pixel(
    values: list[int], classes: int, pixels: list[int]
) -> None:
    named = tuple(
        LabelClass(f"c{i}", default_color(i), (v,)) for i, v in enumerate(values[:classes])
    )
    labels = LabelMap(named, ignore=tuple(values[classes:]))
    raw = np.array([values[i % len(values)] for i in pixels], np.int32).reshape(3, 4)
    np.testing.assert_array_equal(labels.encode(raw), slow_encode(labels, raw))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, ">u2"])
def test_the_integer_type_of_a_mask_does_not_matter(dtype: str) -> None:
    raw = np.array([[7, 8, 26], [0, 255, 7]])
    expected = [[0, 0, 1], [IGNORE, IGNORE, 0]]
    np.testing.assert_array_equal(STREET.encode(raw.astype(dtype)), expected)


def test_colours_are_matched_exactly_and_several_may_mean_one_class() -> None:
    raw = np.array([[[128, 64, 128], [250, 1, 2]], [[0, 0, 142], [0, 0, 0]]], np.uint8)
    np.testing.assert_array_equal(COLORS.encode(raw), [[0, 0], [1, IGNORE]])
    almost = raw.copy()
    almost[1, 0, 2] = 143
    with pytest.raises(UnknownValues) as caught:
        COLORS.encode(almost)
    assert caught.value.counts == {(0, 0, 143): 1}


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_unknown_values_are_refused_with_their_pixel_counts_and_the_line_to_write(
    dtype: type,
) -> None:
    raw = np.array([[7, 200, 200], [30, 26, 0]], dtype)
    with pytest.raises(UnknownValues) as caught:
        STREET.encode(raw)
    assert caught.value.counts == {200: 2, 30: 1}
    assert "200 (2 px), 30 (1 px)" in str(caught.value)
    assert "`ignore: [30, 200]`" in str(caught.value)


def test_hundreds_of_unknown_values_are_taken_for_an_interpolated_mask() -> None:
    with pytest.raises(UnknownValues, match="resized with interpolation"):
        STREET.encode(np.arange(100, 200, dtype=np.uint8).reshape(10, 10))


def test_unknown_values_keep_their_counts_on_the_way_out_of_a_worker() -> None:
    fault = pickle.loads(pickle.dumps(UnknownValues("text", {3: 4})))
    assert (str(fault), fault.counts) == ("text", {3: 4})


def test_rest_ignore_ignores_what_stands_nowhere() -> None:
    labels = LabelMap(STREET.classes, rest="ignore")
    for dtype in (np.uint8, np.int32):
        raw = np.array([[7, 99, 26]], dtype)
        np.testing.assert_array_equal(labels.encode(raw), [[0, IGNORE, 1]])


def test_an_integer_mask_is_unknown_to_a_map_of_colours() -> None:
    with pytest.raises(UnknownValues):
        COLORS.encode(np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize("labels", [STREET, COLORS])
def test_encoding_a_decoded_mask_gives_it_back(labels: LabelMap) -> None:
    mask = np.array([[0, 1, IGNORE], [1, 1, 0]], np.uint8)
    np.testing.assert_array_equal(labels.encode(labels.decode(mask)), mask)


def test_decode_writes_the_first_raw_value_of_a_class_for_the_server() -> None:
    np.testing.assert_array_equal(STREET.decode(np.array([[0, 1, 255]], np.uint8)), [[7, 26, 0]])


def test_decode_keeps_values_that_no_byte_holds_and_needs_one_kind_for_all_classes() -> None:
    wide = LabelMap((LabelClass("a", (0, 0, 0), (-1,)), LabelClass("b", (1, 1, 1), (40_000,))))
    np.testing.assert_array_equal(wide.decode(np.array([[0, 1]], np.uint8)), [[-1, 40_000]])
    with pytest.raises(ValueError, match="no common mask"):
        LabelMap((STREET.classes[0], COLORS.classes[1])).decode(np.zeros((1, 1), np.uint8))


def test_colorize_paints_ignored_pixels_black() -> None:
    painted = STREET.colorize(np.array([[0, 1, IGNORE]], np.uint8))
    np.testing.assert_array_equal(painted, [[[128, 64, 128], [0, 0, 142], [0, 0, 0]]])


@pytest.mark.parametrize("labels", [STREET, COLORS])
def test_plain_json_gives_the_same_map_back(labels: LabelMap) -> None:
    assert LabelMap.from_plain(labels.to_plain()) == labels


GROUPED = LabelMap(
    tuple(
        LabelClass(name, (i, i, i), (i,), group)
        for i, (name, group) in enumerate(
            [("road", "flat"), ("car", "vehicle"), ("path", "flat"), ("sky", "sky")]
        )
    )
)


def test_categories_have_their_classes_in_order_of_appearance() -> None:
    assert list(GROUPED.categories.items()) == [("flat", (0, 2)), ("vehicle", (1,)), ("sky", (3,))]
    assert STREET.categories == {}


def test_categories_travel_in_json_and_a_map_without_them_is_written_without_the_key() -> None:
    assert LabelMap.from_plain(GROUPED.to_plain()) == GROUPED
    keys = [set(entry) for entry in STREET.to_plain()["classes"]]
    assert keys == [{"name", "color", "values"}] * 2


def test_categories_are_no_difference_between_two_maps() -> None:
    bare = LabelMap(tuple(replace(label, category=None) for label in GROUPED.classes))
    assert GROUPED.differences(bare) == bare.differences(GROUPED) == []


def test_bare_names_mean_their_own_index_and_get_colours_that_differ() -> None:
    labels = LabelMap.from_plain({"classes": [f"c{i}" for i in range(255)]})
    assert [c.values for c in labels.classes] == [(i,) for i in range(255)]
    assert len({c.color for c in labels.classes}) == 255


def test_default_colours_begin_as_the_published_voc_palette() -> None:
    published = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128)]
    assert [default_color(index) for index in range(6)] == published


def test_differences_name_every_index_where_two_maps_part() -> None:
    here = LabelMap.from_plain({"classes": ["sky", "road", "car"]})
    there = LabelMap.from_plain({"classes": ["sky", "sidewalk"]})
    assert here.differences(here) == []
    assert here.differences(there) == [
        "1: 'road' here, 'sidewalk' there",
        "2: 'car' here, nothing there",
    ]


def test_a_mismatch_says_whether_the_order_or_the_number_of_classes_differs() -> None:
    here = LabelMap.from_plain({"classes": [f"c{i}" for i in range(9)]})
    turned = LabelMap.from_plain({"classes": [f"c{i}" for i in range(8, -1, -1)]})
    assert here.mismatch(here) == ""
    assert here.mismatch(turned).startswith("equal names in another order: 0: 'c0' here, 'c8' ")
    assert here.mismatch(turned).endswith("; and 2 more")
    fewer = LabelMap.from_plain({"classes": ["c0", "c1"]})
    assert here.mismatch(fewer).startswith("9 classes here, 2 there: 2: 'c2' here, nothing there;")
    other = LabelMap.from_plain({"classes": [*(f"c{i}" for i in range(8)), "x"]})
    assert here.mismatch(other) == "8: 'c8' here, 'x' there"


@pytest.mark.parametrize(
    ("plain", "told"),
    [
        ([], "expected keys"),
        ({"clases": ["a"]}, "did you mean 'classes'?"),
        ({"classes": []}, "one entry per class"),
        ({"classes": [{"name": "a", "value": [1]}]}, "did you mean 'values'?"),
        ({"classes": [{"name": False}]}, 'write name: "False"'),
        ({"classes": [{"name": " "}]}, "needs a name"),
        ({"classes": [{"name": "a", "values": 7}]}, "write [7]"),
        ({"classes": [{"name": "a", "values": [True]}]}, "neither an integer nor"),
        ({"classes": [{"name": "a", "values": ["7"]}]}, "without quotes"),
        ({"classes": [{"name": "a", "color": "red"}]}, "must be [r, g, b]"),
        ({"classes": [{"name": "a", "values": [[1, 2]]}]}, "neither an integer nor"),
        ({"classes": [{"name": "a", "values": [[1, 2, 256]]}]}, "0..255"),
        ({"classes": [{"name": "a", "values": []}]}, "no raw values"),
        ({"classes": [{"name": "a", "color": 7}]}, "must be [r, g, b]"),
        ({"classes": ["a", "a"]}, "two classes are named 'a'"),
        ({"classes": ["a", {"name": "b", "values": [0]}]}, "0 stands under 'a' and under 'b'"),
        ({"classes": [{"name": "a", "category": 3}]}, 'write category: "3"'),
        ({"classes": [{"name": "a", "category": " "}]}, "category must name a group"),
        ({"classes": ["a", {"name": "b", "category": "g"}]}, "class 'a' has no category"),
        ({"classes": ["a"], "ignore": [0]}, "0 stands under 'a' and under 'ignore'"),
        ({"classes": ["a"], "rest": "skip"}, "error, ignore or nearest"),
        ({"classes": [f"c{i}" for i in range(256)]}, "1 to 255 classes, got 256"),
    ],
)
def test_every_slip_in_a_description_is_named_with_its_place(plain: object, told: str) -> None:
    with pytest.raises(DataError) as caught:
        LabelMap.from_plain(plain, "my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nearest_takes_each_unknown_colour_for_the_closest_listed_one() -> None:
    plain = {"ignore": [[255, 255, 255]], "rest": "nearest"}
    plain["classes"] = [
        {"name": "a", "values": [[0, 0, 0]]},
        {"name": "b", "values": [[200, 0, 0]]},
    ]
    labels = LabelMap.from_plain(plain)
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 256, (40, 50, 3), np.uint8)
    listed = np.array([[0, 0, 0], [200, 0, 0], [255, 255, 255]])
    distance = ((raw[..., None, :].astype(int) - listed) ** 2).sum(-1)
    assert (labels.encode(raw) == np.array([0, 1, IGNORE])[distance.argmin(-1)]).all()
    exact = (distance.min(-1) == 0).sum()
    assert sum(labels.unknown(raw).values()) == raw[..., 0].size - exact


def test_nearest_integers_mend_a_mask_that_was_saved_with_losses() -> None:
    plain = {"classes": ["a", {"name": "b", "values": [255]}], "rest": "nearest"}
    labels = LabelMap.from_plain(plain)
    raw = np.array([[0, 3, 127, 128, 250, 255]], np.uint8)
    assert labels.encode(raw).tolist() == [[0, 0, 0, 1, 1, 1]]
    assert labels.unknown(raw) == {3: 1, 127: 1, 128: 1, 250: 1}


def test_a_text_label_means_its_class_by_its_value_or_else_by_the_class_name() -> None:
    plain = {"classes": ["road", {"name": "car", "values": [1, "automobile", "van"]}]}
    labels = LabelMap.from_plain(plain | {"ignore": ["ego vehicle"]})
    assert [labels.meaning(t) for t in ("road", "car", "van", "ego vehicle")] == [0, 1, 1, IGNORE]
    assert labels.meaning("tree") is None
    assert LabelMap.from_plain(plain | {"rest": "ignore"}).meaning("tree") == IGNORE
    assert LabelMap.from_plain(labels.to_plain()) == labels
