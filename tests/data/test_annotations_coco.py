"""COCO files: the same pixels as COCO's own tools, and one line for whatever is wrong in them."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco
from pycocotools.coco import COCO

from effunet.data.shapes.annotations import finder
from effunet.data.shapes.coco import CocoAnnotations, read_coco
from effunet.data.shapes.paint import paint
from effunet.data.shapes.rle import Runs, unpack
from effunet.errors import DataError

SIZE = (48, 64)
CATEGORIES = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}, {"id": 90, "name": "grass"}]
MEANINGS = {"cat": 0, "dog": 1, "grass": 2}


def image(number: Any, name: str = "") -> dict[str, Any]:
    return {
        "id": number,
        "file_name": name or f"{number}.jpg",
        "height": SIZE[0],
        "width": SIZE[1],
        "licence": {"of": ["no", "interest"]},
    }


def annotation(image_id: Any, segmentation: Any, category: int = 7, **more: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "image_id": image_id,
        "category_id": category,
        "segmentation": segmentation,
        "iscrowd": 0,
        **more,
    }


def table(*annotations: Any, images: int = 2) -> dict[str, Any]:
    return {
        "info": {"year": 2017},
        "images": [image(i) for i in range(images)],
        "annotations": list(annotations),
        "categories": CATEGORIES,
    }


def written(folder: Path, plain: Any, **how: Any) -> Path:
    file = folder / "instances.json"
    file.write_text(json.dumps(plain, **how), encoding="utf-8")
    return file


def read(folder: Path, *annotations: Any) -> CocoAnnotations:
    return read_coco(written(folder, table(*annotations)))


def painted(annotations: CocoAnnotations, index: int = 0, **how: Any) -> np.ndarray:
    return paint(annotations.drawing(index), SIZE, MEANINGS.get, **how)


SQUARE = [[10, 10, 20, 10, 20, 20, 10, 20]]


def blob(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(SIZE) < 0.4


def packed(bits: np.ndarray) -> dict[str, Any]:
    text = coco.encode(np.asfortranarray(bits, np.uint8))["counts"].decode()
    return {"size": list(SIZE), "counts": text}


def unpacked(bits: np.ndarray) -> dict[str, Any]:
    return {"size": list(SIZE), "counts": Runs.of(bits).counts.tolist()}


# --- parity ---------------------------------------------------------------------------------------


def test_every_annotation_has_the_pixels_that_cocos_own_reader_gives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    rng = np.random.default_rng(0)
    entries: list[dict[str, Any]] = []
    for i in range(60):
        polygons = [rng.uniform(-5, 70, 2 * int(rng.integers(3, 9))).round(2) for _ in range(3)]
        kinds = [[p.tolist() for p in polygons[: 1 + i % 3]], packed(blob(i)), unpacked(blob(i))]
        segmentation = kinds[(0, 0, 0, 1, 2)[i % 5]]
        entries.append(annotation(i % 4, segmentation, 3, id=i, area=1.0, bbox=[0, 0, 1, 1]))
    file = written(tmp_path, table(*entries, images=4))
    theirs, ours = COCO(str(file)), read_coco(file)
    for index in range(4):
        shapes = ours.drawing(index).shapes
        numbers = theirs.getAnnIds(imgIds=[index])
        assert len(shapes) == len(numbers) == 15
        for place, number in enumerate(numbers):
            run = theirs.annToRLE(theirs.anns[number])["counts"]
            counts = unpack(run.decode() if isinstance(run, bytes) else run)
            alone = ours.drawing(index)
            object.__setattr__(alone, "shapes", (shapes[place],))
            mask = paint(alone, SIZE, {"dog": 1}.get, unpainted=0)
            np.testing.assert_array_equal(mask, Runs.checked(counts, SIZE).bits())
    capsys.readouterr()


def test_a_segmentation_of_several_polygons_is_all_that_they_cover(tmp_path: Path):
    inner = [12, 12, 15, 12, 15, 15, 12, 15]
    mask = painted(read(tmp_path, annotation(0, [*SQUARE, inner, [30, 0, 40, 0, 40, 5, 30, 5]])))
    assert (mask[10:20, 10:20] == 0).all()
    assert (mask == 0).sum() == 100 + 50


# --- what is read ---------------------------------------------------------------------------------


def test_annotations_may_come_in_any_order_of_keys_and_images(tmp_path: Path):
    entries = [annotation(i % 3, SQUARE, (7, 3, 90)[i % 2], id=i) for i in range(9)]
    whole = table(*entries, images=3)
    for keys in (sorted(whole), sorted(whole, reverse=True)):
        file = written(tmp_path, {key: whole[key] for key in keys}, indent=2)
        annotations = read_coco(file)
        assert annotations.names == ["0.jpg", "1.jpg", "2.jpg"]
        labels = [[s.label for s in annotations.drawing(i).shapes] for i in range(3)]
        assert labels == [["cat", "dog", "cat"], ["dog", "cat", "dog"], ["cat", "dog", "cat"]]
        assert annotations.labels() == {"cat": 5, "dog": 4, "grass": 0}


def test_an_image_without_annotations_has_a_drawing_without_shapes(tmp_path: Path):
    drawing = read(tmp_path, annotation(0, SQUARE)).drawing(1)
    assert (drawing.size, drawing.shapes) == (SIZE, ())


def test_a_crowd_is_told(tmp_path: Path):
    entries = annotation(0, unpacked(blob(1)), iscrowd=1), annotation(0, SQUARE)
    assert [shape.crowd for shape in read(tmp_path, *entries).drawing(0).shapes] == [True, False]


def test_names_and_labels_may_be_of_any_script(tmp_path: Path):
    whole = {
        "images": [image("é-1", "東京/é.jpg")],
        "categories": [{"id": 7, "name": "vélo"}],
        "annotations": [annotation("é-1", SQUARE)],
    }
    for ascii_only in (True, False):
        annotations = read_coco(written(tmp_path, whole, ensure_ascii=ascii_only))
        assert annotations.names == ["東京/é.jpg"]
        assert annotations.drawing(0).shapes[0].label == "vélo"


def test_a_byte_order_mark_does_not_matter(tmp_path: Path):
    file = tmp_path / "a.json"
    file.write_text(json.dumps(table(annotation(0, SQUARE))), encoding="utf-8-sig")
    assert len(read_coco(file).drawing(0).shapes) == 1


def test_annotations_without_a_segmentation_are_left_out_with_a_notice(tmp_path: Path):
    entries = annotation(0, []), annotation(0, SQUARE), {"image_id": 0, "category_id": 3}
    annotations = read(tmp_path, *entries)
    assert len(annotations.drawing(0).shapes) == 1
    assert "left out 2 annotations without a segmentation" in annotations.notices[0]


def test_images_are_found_by_the_longest_end_of_their_path_that_leaves_no_doubt(tmp_path: Path):
    names = ["a/x.jpg", "b/x.jpg", "train2017/y.jpg", "z.jpg"]
    images = [image(i, name) for i, name in enumerate(names)]
    whole = {**table(), "images": images}
    find = finder(read_coco(written(tmp_path, whole)))
    assert [find(f"root/{name}") for name in names] == [0, 1, 2, 3]
    assert find("images/y.jpg") == 2
    assert find("deep\\z.jpg") == 3
    assert find("x.jpg") is None
    assert find("c/x.jpg") is None
    assert find("y.png") is None


# --- what is refused ------------------------------------------------------------------------------

NOT_READ: list[tuple[Any, str]] = [
    ([], "no images"),
    ([{"image_id": 1, "score": 0.5}], "results of a model"),
    ({}, "no images"),
    (3, "neither|expected"),
    ({**table(), "images": {"id": 1}}, "expected \\["),
    ({**table(), "images": [3]}, "must hold objects"),
    ({**table(), "images": [image(0), image(0, "b.jpg")]}, "second image has the id 0"),
    ({**table(), "images": [image(0), image(1, "0.jpg")]}, "given to several images: 0.jpg"),
    ({**table(), "images": [image(None)]}, "id must be a whole number"),
    ({**table(), "images": [{**image(0), "file_name": 3}]}, "file_name must be a text"),
    ({**table(), "images": [{**image(0), "height": 0}]}, "whole numbers of pixels"),
    ({**table(), "images": [{**image(0), "width": "9"}]}, "whole numbers of pixels"),
    ({**table(), "categories": []}, "no categories"),
    ({**table(), "categories": [{"id": "a", "name": "b"}]}, "id must be a whole number"),
    ({**table(), "categories": [{"id": 1, "name": ""}]}, "label"),
    (table(annotation(9, SQUARE)), "image_id 9, which is not among its images"),
    (table(annotation([0], SQUARE)), "image_id must be"),
    (table(annotation(0, SQUARE, 8)), "category_id 8, which is not among"),
    (table(annotation(0, SQUARE, 2**70)), "category_id must be a whole"),
    (table(annotation(0, [])), "none of its 1 annotations has a segmentation"),
]


@pytest.mark.parametrize(("plain", "why"), NOT_READ, ids=[why for _, why in NOT_READ])
def test_a_file_that_lacks_what_it_needs_is_one_line(tmp_path: Path, plain: Any, why: str):
    file = written(tmp_path, plain)
    with pytest.raises(DataError, match=why) as caught:
        read_coco(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


BAD_SHAPES: list[tuple[Any, str]] = [
    ([[1, 2, 3]], "3 coordinates make no pairs"),
    ([[1, 2, 3, 4, 5, "6"]], "'6' is no coordinate"),
    ([[1, 2, 3, 4, 5, True]], "True is no coordinate"),
    ([[1, 2, 3, 4, 5, 1e300]], "1e.300 is no place in an image"),
    ([[1, 2, 3, 4, 5, 10**400]], "inf is no place in an image"),
    ([[1, 2, 3, 4, 5, float("nan")]], "nan is no place"),
    ([[1, 2, 3, 4, 5, float("-inf")]], "-inf is no place"),
    ([1, 2, 3, 4, 5, 6], "list of polygons"),
    ("text", "polygons or"),
    ({"counts": [1]}, "polygons or"),
    ({"size": [9, 9], "counts": [81]}, "run lengths are of size"),
    ({"size": list(SIZE), "counts": [5, 6]}, "fill 11 pixels"),
    ({"size": list(SIZE), "counts": [2**39, 2**39]}, "fill"),
    ({"size": list(SIZE), "counts": "P"}, "cut"),
    ({"size": list(SIZE), "counts": [1.5]}, "whole numbers"),
]


@pytest.mark.parametrize(("segmentation", "why"), BAD_SHAPES, ids=[why for _, why in BAD_SHAPES])
def test_a_shape_that_cannot_be_meant_is_named(tmp_path: Path, segmentation: Any, why: str):
    annotations = read(tmp_path, annotation(1, SQUARE), annotation(1, segmentation, id=44))
    with pytest.raises(DataError, match=why) as caught:
        annotations.drawing(1)
    assert "instances.json, image 1.jpg, shape 1 (annotation id 44)" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"images": [',
        '{"other": [1 2]}',
        "[" * 100_000,
        '{"a" 1}',
        "{} {}",
        "\x00",
        "{1:2}",
    ],
    ids=range(9),
)
def test_what_is_no_json_is_one_line(tmp_path: Path, text: str):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"a\.json .*(not valid JSON|empty|no images)"):
        read_coco(file)


def test_a_file_that_changes_while_it_is_in_use_is_refused(tmp_path: Path):
    annotations = read(tmp_path, annotation(0, SQUARE))
    file = tmp_path / "instances.json"
    os.utime(file, ns=(1, 1))
    with pytest.raises(DataError, match="changed while it was in use"):
        annotations.drawing(0)


def test_a_missing_file_is_one_line(tmp_path: Path):
    with pytest.raises(DataError, match="cannot be read"):
        read_coco(tmp_path / "none.json")


def test_the_index_takes_little_memory_for_many_images(tmp_path: Path):
    count = 3_000
    whole = {
        **table(),
        "images": [image(i, f"{i:012d}.jpg") for i in range(count)],
        "annotations": [annotation(i // 7, SQUARE, 3) for i in range(7 * count)],
    }
    annotations = read_coco(written(tmp_path, whole))
    held = [annotations._starts, annotations._lengths, annotations._firsts, annotations._sizes]
    names = sum(name.__sizeof__() + 8 for name in annotations.names)
    assert (sum(part.nbytes for part in held) + names) / count <= 200
