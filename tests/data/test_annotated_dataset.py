"""Annotations as a dataset: described in dataset.yaml, opened by name, painted when asked for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dataset_trees import random_image, tree_digest, write_png

from effunet.data.catalog import open_dataset

SIZE = (32, 48)
BOX = [[4, 3], [20, 3], [20, 13], [4, 13]]
CLASSES = ["background", {"name": "car", "values": ["car"]}]


def expected(left: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[3:13, left + 4 : left + 20] = 1
    return mask


def shifted(left: int) -> list[list[int]]:
    return [[x + left, y] for x, y in BOX]


def coco(root: Path, count: int) -> None:
    plain = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "height": SIZE[0], "width": SIZE[1]}
            for i in range(count)
        ],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {"image_id": i, "category_id": 1, "segmentation": [np.ravel(shifted(i)).tolist()]}
            for i in range(count)
        ],
    }
    (root / "shapes.json").write_text(json.dumps(plain))


def cvat(root: Path, count: int) -> None:
    images = [
        f'<image name="{i}.png" width="{SIZE[1]}" height="{SIZE[0]}"><polygon label="car" '
        f'points="{";".join(f"{x},{y}" for x, y in shifted(i))}" /></image>'
        for i in range(count)
    ]
    (root / "shapes.json").write_text(f"<annotations>{''.join(images)}</annotations>")


def label_studio(root: Path, count: int) -> None:
    def task(i: int) -> dict[str, Any]:
        points = [[100 * x / SIZE[1], 100 * y / SIZE[0]] for x, y in shifted(i)]
        result = {
            "type": "polygonlabels",
            "original_height": SIZE[0],
            "original_width": SIZE[1],
            "value": {"points": points, "polygonlabels": ["car"]},
        }
        address = f"/data/upload/1/0123456{i}-{i}.png"
        return {"data": {"image": address}, "annotations": [{"result": [result]}]}

    (root / "shapes.json").write_text(json.dumps([task(i) for i in range(count)]))


def labelme(root: Path, count: int) -> None:
    for i in range(count):
        shape = {"label": "car", "points": shifted(i), "shape_type": "polygon"}
        plain = {"shapes": [shape], "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
        (root / f"train/{i}.json").write_text(json.dumps(plain))


def cityscapes(root: Path, count: int) -> None:
    for i in range(count):
        # Its corners name pixels, and the border is inside.
        ring = [[x - (x == i + 20), y - (y == 13)] for x, y in shifted(i)]
        objects = [{"label": "cargroup", "polygon": ring}]
        plain = {"imgHeight": SIZE[0], "imgWidth": SIZE[1], "objects": objects}
        (root / f"train/{i}.json").write_text(json.dumps(plain))


@pytest.mark.parametrize("write", [coco, cvat, label_studio, labelme, cityscapes])
def test_a_dataset_of_each_format_gives_the_masks_that_were_drawn(tmp_path: Path, write: Any):
    for i in range(3):
        write_png(tmp_path / f"train/{i}.png", random_image(i, SIZE))
    write(tmp_path, 3)
    single = (tmp_path / "shapes.json").is_file()
    layout = {"images": "{split}/*", "shapes": "shapes.json" if single else "{split}/*.json"}
    plain = {
        "classes": CLASSES,
        "splits": ["train"],
        "layouts": [{**layout, "format": write.__name__}],
    }
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(plain))
    before = tree_digest(tmp_path)
    dataset = open_dataset(tmp_path, "train")
    assert list(dataset.ids) == ["0", "1", "2"]
    for i, sample in enumerate(dataset):
        np.testing.assert_array_equal(sample.image, random_image(i, SIZE))
        np.testing.assert_array_equal(sample.mask, expected(i))
    assert tree_digest(tmp_path) == before
