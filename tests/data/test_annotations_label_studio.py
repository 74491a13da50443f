"""Label Studio exports: regions in percent, packed brush strokes, and which annotation counts."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from effunet.data.shapes.annotations import finder
from effunet.data.shapes.brush import read_brush
from effunet.data.shapes.label_studio import LabelStudioAnnotations, read_label_studio
from effunet.data.shapes.paint import paint
from effunet.errors import DataError

SIZE = (50, 80)


def region(kind: str, label: Any = "a", **value: Any) -> dict[str, Any]:
    return {
        "id": f"{kind}{label}",
        "type": kind,
        "original_height": SIZE[0],
        "original_width": SIZE[1],
        "image_rotation": 0,
        "value": {**value, kind: label if isinstance(label, list) else [label]},
    }


def task(*results: Any, image: str = "/data/upload/3/0a1b2c3d-a.jpg", **more: Any) -> Any:
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": list(results)}], **more}


def read(folder: Path, *tasks: Any) -> LabelStudioAnnotations:
    file = folder / "export.json"
    file.write_text(json.dumps(tasks))
    return read_label_studio(file)


def covered(folder: Path, *results: Any) -> np.ndarray:
    drawing = read(folder, task(*results)).drawing(0)
    return paint(drawing, SIZE, {"a": 1}.get, unpainted=0) == 1


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    bits = np.zeros(SIZE, np.bool_)
    bits[top:bottom, left:right] = True
    return bits


def packed(
    values: np.ndarray, sizes: tuple[int, ...] = (3, 4, 8, 16), alone: bool = False
) -> bytes:
    """Brush strokes as the editor packs them; alone writes each value by itself."""
    bits = f"{values.size:032b}{8 - 1:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), values.size]
    if alone:
        edges = [*range(0, values.size, 256), values.size]
    for start, end in pairwise(edges):
        while start < end:
            length = min(end - start, 2 ** max(sizes))
            which = next(i for i, size in enumerate(sizes) if length <= 2**size)
            run = values[start : start + length] if alone else values[start : start + 1]
            bits += f"{int(not alone)}{which:02b}{length - 1:0{sizes[which]}b}"
            bits += "".join(f"{value:08b}" for value in run)
            start += length
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8) if bits else b""


# --- regions --------------------------------------------------------------------------------------

POINTS = [[5, 6], [25, 6], [25, 36], [5, 36]]  # of 80 x 50: 4..20 and 3..18


@pytest.mark.parametrize("kind", ["polygonlabels", "labels"])
def test_a_polygon_is_in_percent_of_the_image(tmp_path: Path, kind: str):
    np.testing.assert_array_equal(
        covered(tmp_path, region(kind, points=POINTS, closed=True)), box(3, 4, 18, 20)
    )


def test_a_rectangle_is_turned_about_its_upper_left_corner_clockwise(tmp_path: Path):
    straight = region("rectanglelabels", x=5, y=6, width=20, height=30)
    np.testing.assert_array_equal(covered(tmp_path, straight), box(3, 4, 18, 20))
    # 16 wide and 15 high, a quarter turn about 40, 10: to the left and down.
    turned = region("rectanglelabels", x=50, y=20, width=20, height=30, rotation=90)
    np.testing.assert_array_equal(covered(tmp_path, turned), box(10, 25, 26, 40))


def test_an_ellipse_has_its_centre_and_its_radii_in_percent(tmp_path: Path):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    expected = ((x - 40) / 16) ** 2 + ((y - 25) / 10) ** 2 <= 1
    ellipse = region("ellipselabels", x=50, y=50, radiusX=20, radiusY=20)
    np.testing.assert_array_equal(covered(tmp_path, ellipse), expected)


def test_brush_strokes_cover_what_has_alpha(tmp_path: Path):
    values = np.zeros((*SIZE, 4), np.uint8)
    values[..., 0] = 7
    values[10:20, 30:50, 3] = 128
    stroke = region("brushlabels", format="rle", rle=list(packed(values.ravel())))
    np.testing.assert_array_equal(covered(tmp_path, stroke), box(10, 30, 20, 50))


def test_a_region_drawn_and_labelled_by_two_tags_counts_once(tmp_path: Path):
    bare = {**region("polygon", points=POINTS), "id": "x"}
    del bare["value"]["polygon"]
    labelled = {**region("labels", points=POINTS), "id": "x"}
    said = {**region("choices", "big", points=POINTS), "id": "x"}
    annotations = read(tmp_path, task(bare, labelled, said, {"type": "relation"}))
    assert len(annotations.drawing(0).shapes) == 1
    with pytest.raises(DataError, match="needs one label, got None"):
        read(tmp_path, task(bare))


def test_what_has_no_area_is_left_out_with_a_notice(tmp_path: Path):
    point = region("keypointlabels", x=1, y=1, width=0.3)
    line = region("polygonlabels", points=POINTS, closed=False)
    annotations = read(tmp_path, task(point, line, region("polygonlabels", points=POINTS)))
    assert len(annotations.drawing(0).shapes) == 1
    assert "1 of kind open polygon, 1 of kind point" in annotations.notices[0]


# --- the packing of brush strokes -----------------------------------------------------------------


@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=30), elements=st.just(0))
    | arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12)),
    st.sampled_from([(3, 4, 8, 16), (1, 2, 3, 8), (8, 8, 8, 8)]),
    st.booleans(),
)
def test_brush_strokes_survive_their_packing(
    alpha: np.ndarray, sizes: tuple[int, ...], alone: bool
):
    values = np.zeros((*alpha.shape, 4), np.uint8)
    values[..., 3] = alpha
    values[..., 1] = 9
    data = packed(values.ravel(), sizes, alone)
    np.testing.assert_array_equal(read_brush(data, alpha.shape), alpha > 0)


def test_strokes_that_label_studio_itself_packed_are_read():
    # label_studio_sdk.converter.brush.mask2rle of [[0, 255, 255], [0, 0, 255]].
    data = bytes([0, 0, 0, 24, 57, 27, 252, 96, 19, 255, 206, 1, 31, 248])
    assert read_brush(data, (2, 3)).tolist() == [[False, True, True], [False, False, True]]


def test_cut_strokes_and_strokes_of_another_size_are_refused():
    data = packed(np.zeros(2 * 3 * 4, np.uint8))
    with pytest.raises(ValueError, match="holds 24 values"):
        read_brush(data, (3, 3))
    for length in range(len(data)):
        with pytest.raises(ValueError, match="cut"):
            read_brush(data[:length], (2, 3))


# --- tasks ----------------------------------------------------------------------------------------

SHAPE = region("polygonlabels", points=POINTS)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/3/0a1b2c3d-my photo.jpg", "my photo.jpg"),
        ("upload/12/deadbeef-a-b.png", "a-b.png"),
        ("/data/local-files/?d=set%20one/a.jpg", "set one/a.jpg"),
        ("/storage-data/uploaded/?filepath=upload/3/0a1b2c3d-a.jpg", "a.jpg"),
        ("s3://bucket/folder/a.webp", "folder/a.webp"),
        ("https://example.org/x/a%20b.tif?token=1", "x/a b.tif"),
        ("images/a.jpg", "images/a.jpg"),
    ],
)
def test_the_name_is_the_files_own(tmp_path: Path, address: str, name: str):
    assert read(tmp_path, task(SHAPE, image=address)).names == [name]


def test_an_image_is_found_with_the_prefix_of_its_upload_and_without(tmp_path: Path):
    find = finder(read(tmp_path, task(SHAPE), task(SHAPE, image="b/c.jpg")))
    assert find("images/a.jpg") == 0
    assert find("images/0a1b2c3d-a.jpg") == 0
    assert find("c.jpg") == 1


def test_two_uploads_of_one_name_keep_their_prefixes(tmp_path: Path):
    images = [f"/data/upload/3/{number}-a.jpg" for number in ("00000001", "00000002")]
    names = read(tmp_path, *(task(SHAPE, image=image) for image in images)).names
    assert [name.rpartition("/")[2] for name in names] == ["00000001-a.jpg", "00000002-a.jpg"]


def test_the_key_of_the_image_may_have_any_name(tmp_path: Path):
    plain = {**task(SHAPE), "data": {"picture": "x/a.jpg", "text": "a cat", "number": 3}}
    assert read(tmp_path, plain).names == ["x/a.jpg"]
    several = {**task(SHAPE), "data": {"mask": "x/b.png", "image": "x/a.jpg"}}
    assert read(tmp_path, several).names == ["x/a.jpg"]


def test_the_ground_truth_counts_else_what_was_changed_last_and_not_cancelled(tmp_path: Path):
    def annotation(label: str, **more: Any) -> dict[str, Any]:
        return {"result": [region("polygonlabels", label, points=POINTS)], **more}

    new, old = {"updated_at": "2024-02-01T10:00:00Z"}, {"updated_at": "2023-12-31T10:00:00Z"}
    cases = [
        ([annotation("a", **old), annotation("b", **new)], "b"),
        ([annotation("a", **new), annotation("b", **old)], "a"),
        ([annotation("a", **old, ground_truth=True), annotation("b", **new)], "a"),
        ([annotation("a", **old), annotation("b", **new, was_cancelled=True)], "a"),
    ]
    tasks = [{**task(image=f"{i}.jpg"), "annotations": case} for i, (case, _) in enumerate(cases)]
    annotations = read(tmp_path, *tasks)
    labels = [annotations.drawing(i).shapes[0].label for i in range(len(cases))]
    assert labels == [label for _, label in cases]
    assert "3 tasks have several annotations" in annotations.notices[0]


def test_tasks_without_annotation_are_left_out_and_an_empty_annotation_is_not(tmp_path: Path):
    tasks = task(SHAPE), {**task(image="b.jpg"), "annotations": []}, task(image="c.jpg")
    annotations = read(tmp_path, *tasks)
    assert annotations.names == ["a.jpg", "c.jpg"]
    assert annotations.drawing(1).shapes == ()
    assert "left out 1 tasks that are not annotated" in annotations.notices[0]


NOT_READ: list[tuple[Any, str]] = [
    ({"a": 1}, "no annotated tasks"),
    ([], "no annotated tasks"),
    ([3], "is no task of Label Studio"),
    ([{"image": "/data/upload/1/a.jpg", "label": []}], "not JSON-MIN"),
    ([{"data": {"image": "a.jpg"}}], "annotations must be a list"),
    ([{**task(SHAPE), "data": {"text": "no image"}}], "names 0 images"),
    ([{**task(SHAPE), "data": {"a": "a.jpg", "b": "b.jpg"}}], "names 2 images"),
    ([task(SHAPE, image="data:image/png;base64,AAAA")], "names 0 images"),
    ([task(region("polygonlabels", ["a", "b"], points=POINTS))], "a pixel has one class"),
    ([task(region("bitmasklabels", imageDataURL="data:"))], "bitmasklabels, which is not read"),
    ([task({**SHAPE, "value": 3})], "value of a region is no object"),
    ([task(SHAPE), task(SHAPE)], "given to several images"),
]


@pytest.mark.parametrize(("plain", "why"), NOT_READ, ids=[why for _, why in NOT_READ])
def test_a_file_that_lacks_what_it_needs_is_one_line(tmp_path: Path, plain: Any, why: str):
    file = tmp_path / "export.json"
    file.write_text(json.dumps(plain))
    with pytest.raises(DataError, match=why) as caught:
        read_label_studio(file)
    assert str(file) in str(caught.value)


BAD: list[tuple[Any, str]] = [
    (region("polygonlabels", points=[[1]]), "shape 1: points must be"),
    (region("polygonlabels", points=[[1, "2"]]), "shape 1: '2' is no coordinate"),
    (region("rectanglelabels", x=1, y=1, width="2", height=3), "shape 1: width must be a number"),
    (region("rectanglelabels", x=1, y=1, height=3), "shape 1: width must be a number"),
    (region("ellipselabels", x=1, y=1, radiusX=float("nan"), radiusY=2), "radiusX must be"),
    (region("brushlabels", rle=[1, 2, 3]), "shape 1: a brush stroke is damaged .*cut"),
    (region("brushlabels", rle=[300]), "shape 1: a brush stroke is damaged"),
    (region("brushlabels", rle="text"), "shape 1: a brush stroke is damaged"),
    (region("brushlabels", rle=10**12), "shape 1: a brush stroke is damaged"),
    ({**SHAPE, "original_width": 81}, "of different sizes"),
    ({**SHAPE, "original_width": None}, "whole numbers of pixels"),
    ({**SHAPE, "image_rotation": 90}, "was turned while it was labelled"),
]


@pytest.mark.parametrize(("entry", "why"), BAD, ids=[why for _, why in BAD])
def test_a_region_that_cannot_be_meant_is_named(tmp_path: Path, entry: Any, why: str):
    annotations = read(tmp_path, task({**SHAPE, "id": "first"}, entry))
    with pytest.raises(DataError, match=why) as caught:
        annotations.drawing(0)
    assert "export.json, image a.jpg" in str(caught.value)
