"""Run lengths: equal to COCO's own, in both directions, and checked before memory is taken."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from effunet.data.shapes.rle import Runs, pack, read_counts, unpack

BITMAPS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))


@given(BITMAPS)
def test_packing_a_bitmap_gives_cocos_own_text_and_back(bits: np.ndarray):
    theirs = coco.encode(np.asfortranarray(bits, np.uint8))["counts"].decode()
    runs = Runs.of(bits)
    assert pack(runs.counts) == theirs
    np.testing.assert_array_equal(unpack(theirs), runs.counts)
    assert runs.area == coco.area({"size": list(bits.shape), "counts": theirs.encode()})


@given(BITMAPS, st.booleans())
def test_a_bitmap_survives_its_runs_along_columns_and_rows(bits: np.ndarray, by_columns: bool):
    runs = Runs.of(bits, by_columns=by_columns)
    np.testing.assert_array_equal(runs.bits(), bits)
    again = Runs.checked(runs.counts, bits.shape, by_columns=by_columns)
    np.testing.assert_array_equal(again.bits(), bits)


@given(st.lists(st.integers(0, 2**34), max_size=30))
def test_any_counts_survive_the_packed_text(counts: list[int]):
    assert unpack(pack(np.array(counts, np.int64))).tolist() == counts


def test_counts_in_a_list_are_the_counts():
    assert read_counts([0, 3, 2]).tolist() == [0, 3, 2]


@pytest.mark.parametrize(
    ("plain", "why"),
    [
        ("0 1", "character"),
        ("é0", "character"),
        ("P", "cut"),  # a group that another one must follow
        ("P" * 20 + "0", "too large"),
        ([1, 2.0], "whole"),
        ([True], "whole"),
        ([-1], "whole"),
        ([2**50], "whole"),
        ({"a": 1}, "whole"),
        (None, "whole"),
    ],
)
def test_what_is_no_count_is_refused(plain: object, why: str):
    with pytest.raises(ValueError, match=why):
        read_counts(plain)


@pytest.mark.parametrize("counts", [[5], [3, 4], [2**39] * 2, [-1, 7], []])
def test_counts_that_do_not_fill_their_box_are_refused_before_memory_is_taken(counts: list[int]):
    with pytest.raises(ValueError, match=r"fill|negative"):
        Runs.checked(np.array(counts, np.int64), (2, 3))
