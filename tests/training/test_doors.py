"""The dataset doors of the training command, each on a small tree in the dataset's own layout."""

import json
from pathlib import Path

import pytest
from dataset_trees import cityscapes_tree

from effunet.cli import main

SMALL = ("encoder=phi", "encoder.phi=-4", "decoder.widths=[16,8,8]", "dataset.crop=[32,32]")


@pytest.mark.parametrize("how", ["data folder", "root", "variable"])
def test_cityscapes_trains_from_its_official_tree_wherever_it_is_named(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / ("data" if how == "data folder" else "elsewhere") / "cityscapes"
    cityscapes_tree(place)
    monkeypatch.delenv("CITYSCAPES_DATASET", raising=False)
    if how == "variable":
        monkeypatch.setenv("CITYSCAPES_DATASET", str(place))
    words = [f"dataset.root={place}"] if how == "root" else []
    train = ["train", "dataset=cityscapes", "augment=light", "batch_size=2", "max_steps=1"]
    assert main([*train, *SMALL, *words]) == 0
    metrics = json.loads((tmp_path / "runs" / "latest" / "metrics.json").read_text())
    names = [entry["name"] for entry in metrics["classes"]]
    assert len(names) == 19 and names[0] == "road" and names[-1] == "bicycle"
    assert metrics["images"] == 2 and sum(map(sum, metrics["confusion"])) == metrics["pixels"] > 0
