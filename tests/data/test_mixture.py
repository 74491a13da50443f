"""Several taxonomies in one label map: what becomes of each class, shares, and own rules."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dataset_trees import camvid_tree, cityscapes_tree, plain_folder, stripes, write_png

from effunet.data.catalog import in_classes_of, open_dataset, open_mixture
from effunet.data.loading.epochs import Epochs
from effunet.data.loading.sampling import TrainBatches
from effunet.errors import DataError, UsageError
from effunet.labels import IGNORE
from effunet.metrics.scores import Scores


def town(folder: Path, name: str, classes: list[str], count: int = 4, **keys: Any) -> Path:
    """data/NAME below the folder, with a stripe for each class and dataset.yaml."""
    root = plain_folder(folder / "data" / name, splits={"train": count, "val": 2}, values=range(3))
    text = yaml.safe_dump({"classes": classes, **keys})
    (root / "dataset.yaml").write_text(text)
    return root


@pytest.fixture
def towns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two described datasets of other words, found by their names."""
    monkeypatch.chdir(tmp_path)
    town(tmp_path, "ours", ["road", "car", "sky"])
    maps = {"ours": {"street": "road", "van": "car", "cloud": "ignore"}}
    town(tmp_path, "theirs", ["van", "street", "cloud"], count=8, maps=maps)
    return tmp_path


def test_each_class_becomes_what_the_map_says_and_equal_names_stay(towns: Path) -> None:
    mixture = open_mixture(["ours", "theirs"], "train")
    assert mixture.labels.names == ("road", "car", "sky")
    assert len(mixture) == 12
    for index in range(len(mixture)):
        part, place = mixture.place(index)
        own = part.sources[0][place].mask
        expected = np.array([1, 0, IGNORE] if index >= 4 else [0, 1, 2])[own]
        np.testing.assert_array_equal(mixture[index].mask, expected)
        np.testing.assert_array_equal(mixture.read_mask(index), expected)
        assert mixture[index].name == f"{part.name}/{part.ids[place]}"
        assert mixture.image_path(index) == part.image_path(place)


def test_a_class_without_a_counterpart_is_refused_with_the_line_to_write(towns: Path) -> None:
    town(towns, "odd", ["road", "tree", "sky"])
    told = r"1 of its classes have no .*`maps: \{ours: \{tree: \.\.\.\}\}`"
    with pytest.raises(DataError, match=told):
        open_mixture(["ours", "odd"], "train")
    town(towns / "again", "odd", ["road", "tree", "sky"], maps={"ours": {"tree": "plant"}})
    with pytest.raises(DataError, match="ours has no class plant"):
        open_mixture(["ours", str(towns / "again/data/odd")], "train")


def test_the_target_may_be_a_dataset_that_is_no_part(towns: Path) -> None:
    mixture = open_mixture(["theirs"], "val", target="ours")
    assert mixture.labels.names == ("road", "car", "sky")
    assert mixture.scored == (True, True, False)


@pytest.mark.parametrize("parts", [[], ["ours", "ours"]])
def test_parts_are_named_and_each_of_them_once(towns: Path, parts: list[str]) -> None:
    with pytest.raises(UsageError, match=r"dataset\.parts=\[cityscapes,idd\]"):
        open_mixture(parts, "train")


def test_images_of_other_channels_do_not_mix(towns: Path) -> None:
    town(towns, "grey", ["road", "car", "sky"], channels=1)
    with pytest.raises(UsageError, match="3 channels and grey of 1"):
        open_mixture(["ours", "grey"], "train")


def test_samples_come_from_each_part_in_its_share(towns: Path) -> None:
    mixture = open_mixture(["ours", "theirs"], "train", shares=[3, 1])
    weights = mixture.weights
    assert weights is not None
    assert weights[:4].sum() / weights.sum() == pytest.approx(0.75)
    batches = TrainBatches(len(mixture), 4, seed=0, epochs=Epochs(weights=weights))
    drawn = [draw.image for epoch in range(50) for batch in batches.epoch(epoch) for draw in batch]
    share = np.mean([mixture.part_of(index) == 0 for index in drawn])
    assert share == pytest.approx(0.75, abs=0.01)
    assert open_mixture(["ours", "theirs"], "train").weights is None


def test_a_class_that_the_truth_cannot_hold_has_no_score_but_taking_it_is_an_error() -> None:
    matrix = np.array([[6, 0, 2], [0, 4, 0], [0, 0, 0]])
    scores = Scores.from_confusion(matrix, scored=(True, True, False))
    assert scores.counted == 2
    assert scores.miou == pytest.approx((6 / 8 + 1) / 2)
    assert Scores.from_confusion(matrix).miou == pytest.approx((6 / 8 + 1 + 0) / 3)


def test_a_model_of_other_classes_is_measured_through_the_map(towns: Path) -> None:
    dataset = open_dataset("theirs", "val")
    mapped = in_classes_of("theirs", dataset, ("road", "car", "sky"))
    assert mapped.labels.names == ("road", "car", "sky")
    assert mapped.scored == (True, True, False)
    assert in_classes_of("theirs", dataset, ("something", "else")) is dataset
    assert in_classes_of("theirs", dataset, dataset.labels.names) is dataset


def test_camvid_is_mixed_with_cityscapes_by_its_own_table(tmp_path: Path) -> None:
    camvid_tree(tmp_path / "camvid")
    cityscapes_tree(tmp_path / "cityscapes")
    mixture = open_mixture(["cityscapes", "camvid"], "train", root=tmp_path)
    names = mixture.labels.names
    camvid = open_dataset("camvid", "train", tmp_path / "camvid")
    own = camvid.labels.names
    index = next(i for i in range(len(mixture)) if mixture.part_of(i) == 1)
    seen = set(zip(camvid[0].mask.flat, mixture[index].mask.flat, strict=True))
    words = {(own[a], names[b]) for a, b in seen if IGNORE not in (a, b)}
    assert words == {
        ("Sky", "sky"), ("Building", "building"), ("Pole", "pole"), ("Road", "road"),
        ("Pavement", "sidewalk"), ("Tree", "vegetation"), ("Fence", "fence"), ("Car", "car"),
        ("Pedestrian", "person"), ("Bicyclist", "rider"),
    }  # fmt: skip
    # SignSymbol and Unlabelled are left out.
    assert {int(a) for a, b in seen if b == IGNORE} == {own.index("SignSymbol"), IGNORE}


def test_every_value_of_a_part_is_still_checked_by_its_own_map(tmp_path: Path) -> None:
    root = camvid_tree(tmp_path / "camvid")
    write_png(next((root / "train/masks").iterdir()), stripes((0, 77)))
    mixture = open_mixture(["camvid"], "train", root=tmp_path, target="cityscapes")
    with pytest.raises(DataError, match="77"):
        list(mixture)
