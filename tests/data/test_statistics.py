"""Masks -> counts per class: by hand, of a sample, without images, and without torch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import random_image, write_png

from effunet.data.catalog import open_dataset
from effunet.data.check import statistics
from effunet.data.check.statistics import split_statistics
from effunet.errors import DataError
from effunet.labels import IGNORE

MASKS = [  # three classes named in dataset.yaml, the last of which never occurs
    [[0, 0, 0], [0, 1, IGNORE]],
    [[0, 0, 0], [0, 0, 0]],
    [[1, IGNORE, IGNORE], [IGNORE, IGNORE, IGNORE]],
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index, rows in enumerate(MASKS):
        write_png(tmp_path / f"train/masks/{index}.png", np.array(rows, np.uint8))
        write_png(tmp_path / f"train/images/{index}.png", random_image(index, (2, 3)))
    (tmp_path / "dataset.yaml").write_text(
        "name: small\nsplits: [train]\nignore: [255]\n"
        'layouts:\n  - {images: "{split}/images/*", masks: "{split}/masks/*"}\n'
        "classes:\n"
        "  - {name: road, color: [1, 1, 1], values: [0]}\n"
        "  - {name: sky, color: [2, 2, 2], values: [1]}\n"
        "  - {name: bird, color: [3, 3, 3], values: [2]}\n"
    )
    return tmp_path


def test_the_counts_are_those_made_by_hand(folder: Path):
    counts = split_statistics(open_dataset(folder, "train"))
    assert (counts.dataset, counts.split, counts.images, counts.read) == ("small", "train", 3, 3)
    assert counts.classes == ("road", "sky", "bird")
    assert counts.pixels == (10, 2, 0)
    assert counts.images_with == (2, 2, 0)
    assert counts.pixels_around == (5 + 6, 5 + 1, 0)
    assert (counts.labelled, counts.ignored) == (12, 6)
    assert counts.absent == ("bird",)
    assert counts.notice is None
    plain = counts.to_plain()
    assert json.loads(json.dumps(plain)) == plain and plain["pixels"] == [10, 2, 0]


def test_only_the_masks_are_read(folder: Path):
    expected = split_statistics(open_dataset(folder, "train"))
    for image in (folder / "train" / "images").iterdir():
        image.write_bytes(b"no picture")
    assert split_statistics(open_dataset(folder, "train")) == expected


def test_a_mask_that_cannot_be_read_is_told_by_its_name(folder: Path):
    (folder / "train" / "masks" / "1.png").write_bytes(b"no mask")
    with pytest.raises(DataError, match=r"masks/1\.png"):
        split_statistics(open_dataset(folder, "train"))


def test_a_large_split_is_sampled_by_seed_and_says_so(folder: Path):
    dataset = open_dataset(folder, "train")
    one = split_statistics(dataset, limit=1, seed=0)
    assert one == split_statistics(dataset, limit=1, seed=0)
    assert one.read == 1 and one.images == 3
    assert one.notice == (
        "small, split train: the classes were counted in 1 of 3 masks, drawn by seed"
    )
    assert len({split_statistics(dataset, limit=1, seed=seed).pixels for seed in range(9)}) == 3
    with pytest.raises(ValueError, match="limit=0"):
        split_statistics(dataset, limit=0)


def test_a_split_that_is_drawn_on_demand_is_sampled_more_thinly(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statistics, "DRAWN", 4)
    dataset = open_dataset("synthetic", "train")
    counts = split_statistics(dataset)
    assert counts.read == 4 and counts.images == len(dataset)
    height, width = dataset[0].mask.shape
    assert counts.labelled + counts.ignored == 4 * height * width


def test_counting_needs_no_torch():
    code = "import sys, effunet.data.check.statistics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
