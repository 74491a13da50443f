"""Cityscapes and IDD polygons: the masks that the official script makes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from effunet.data.shapes.cityscapes import read_cityscapes
from effunet.data.shapes.paint import LEAVE, paint
from effunet.errors import DataError
from effunet.values import UnknownValues

IDS = {"unlabeled": 0, "road": 7, "car": 26, "person": 24, "license plate": -1, "caravangroup": 29}


def meaning(label: str) -> int | None:
    return LEAVE if IDS.get(label, 0) < 0 else IDS.get(label)


def written(folder: Path, objects: Any, size: tuple[int, int] = (30, 40), **more: Any) -> Path:
    file = folder / "aachen_000000_000019_gtFine_polygons.json"
    plain = {"imgHeight": size[0], "imgWidth": size[1], "objects": objects, **more}
    file.write_text(json.dumps(plain))
    return file


def official(objects: list[dict[str, Any]], size: tuple[int, int]) -> np.ndarray:
    """The algorithm of cityscapesscripts' json2labelImg, written anew."""
    canvas = Image.new("L", size[::-1], IDS["unlabeled"])
    drawer = ImageDraw.Draw(canvas)
    for entry in objects:
        if entry.get("deleted"):
            continue
        label = entry["label"]
        if label not in IDS and label.endswith("group"):
            label = label[: -len("group")]
        if IDS[label] >= 0:
            drawer.polygon([tuple(point) for point in entry["polygon"]], fill=IDS[label])
    return np.array(canvas)


@pytest.mark.parametrize("seed", range(40))
def test_a_mask_is_the_one_of_the_official_algorithm(tmp_path: Path, seed: int):
    rng = np.random.default_rng(seed)
    height, width = size = (int(rng.integers(2, 120)), int(rng.integers(2, 120)))
    objects: list[dict[str, Any]] = []
    for _ in range(12):
        middle = rng.uniform([-10, -10], [width + 10, height + 10])
        ring = middle + rng.normal(0, size[0] / 5, (int(rng.integers(2, 9)), 2))
        # IDD has fractions of pixels.
        ring = ring.round(2) if seed % 2 else ring.round().astype(int)
        label = str(rng.choice([*IDS, "cargroup", "persongroup"]))
        deleted = {"deleted": int(rng.integers(2))} if rng.random() < 0.3 else {}
        objects.append({"label": label, "polygon": ring.tolist(), **deleted})
    drawing = read_cityscapes(written(tmp_path, objects, size)).drawing(0)
    mask = paint(drawing, size, meaning, unpainted=0)
    np.testing.assert_array_equal(mask, official(objects, size))


def test_a_mask_is_the_one_of_the_official_script(tmp_path: Path):
    script = pytest.importorskip(
        "cityscapesscripts.preparation.json2labelImg",
        reason="cityscapesscripts is not installed (its 2.3.0 needs an environment of its own)",
    )
    helpers = pytest.importorskip("cityscapesscripts.helpers.annotation")
    labels = pytest.importorskip("cityscapesscripts.helpers.labels").name2label
    rng = np.random.default_rng(0)
    objects = [
        {"label": label, "polygon": rng.uniform(-5, 45, (6, 2)).round().astype(int).tolist()}
        for label in [*labels, "cargroup"]
    ]
    file = written(tmp_path, objects)
    annotation = helpers.Annotation()
    annotation.fromJsonFile(str(file))
    ids = {name: label.id if label.id >= 0 else LEAVE for name, label in labels.items()}
    mask = paint(read_cityscapes(file).drawing(0), (30, 40), ids.get, unpainted=0)
    np.testing.assert_array_equal(mask, np.array(script.createLabelImage(annotation, "ids")))


SQUARE = [[1, 1], [5, 1], [5, 5], [1, 5]]


def test_a_group_means_its_members_unless_it_is_known_itself(tmp_path: Path):
    objects = [{"label": label, "polygon": SQUARE} for label in ("cargroup", "caravangroup")]
    shapes = read_cityscapes(written(tmp_path, objects)).drawing(0).shapes
    assert [(s.label, s.also) for s in shapes] == [("cargroup", "car"), ("caravangroup", "caravan")]
    file = written(tmp_path, [*objects[:1], {"label": "cowgroup", "polygon": SQUARE}])
    with pytest.raises(UnknownValues, match=r'"cowgroup" \(1 shapes\)'):
        paint(read_cityscapes(file).drawing(0), (30, 40), meaning)


def test_the_name_and_the_labels_are_told(tmp_path: Path):
    objects = [{"label": "car", "polygon": SQUARE}] * 2
    annotations = read_cityscapes(written(tmp_path, objects))
    assert annotations.names == ("aachen_000000_000019_gtFine",)
    assert annotations.labels() == {"car": 2}


@pytest.mark.parametrize(
    ("objects", "more", "why"),
    [
        ({}, {}, "objects must be a list"),
        ([3], {}, "objects must be a list"),
        ([{"label": "car"}], {}, "shape 0: points must be"),
        ([{"label": 3, "polygon": SQUARE}], {}, "shape 0: the shape needs a label"),
        ([{"label": "car", "polygon": [[1, 2, 3]]}], {}, "shape 0: points must be"),
        ([{"label": "car", "polygon": [[1, "2"]]}], {}, "shape 0: '2' is no coordinate"),
        ([{"label": "car", "polygon": [[1, 1e99]]}], {}, r"shape 0: 1e\+99 is no place"),
        ([], {"imgHeight": 2.5}, "imgHeight and imgWidth must be whole"),
        ([], {"imgWidth": None}, "imgHeight and imgWidth must be whole"),
    ],
)
def test_an_object_that_cannot_be_meant_is_named(
    tmp_path: Path, objects: Any, more: dict[str, Any], why: str
):
    file = written(tmp_path, objects, **more)
    with pytest.raises(DataError, match=why) as caught:
        read_cityscapes(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "\ufeff", "[" * 100_000], ids=range(5))
def test_what_is_no_object_of_json_is_one_line(tmp_path: Path, text: str):
    file = tmp_path / "a_polygons.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"a_polygons\.json"):
        read_cityscapes(file)
