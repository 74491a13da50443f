"""From the official tree to the category IoU and the iIoU: what cityscapesScripts says of them.

How the package itself is run: tests/official_cityscapes.py. What it does is derived anew in
tests/metrics/test_instances.py; here the ids, sizes and categories are those of our description.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_trees import random_image, write_png
from evaluation_data import counted
from official_cityscapes import official_run

from effunet.data.catalog import open_dataset
from effunet.data.dataset import Dataset
from effunet.data.loading.cache import Cached
from effunet.data.sources.mixture import Mapped, Mixture
from effunet.data.subset import Middles, Subset
from effunet.errors import DataError
from effunet.evaluation.instances import instances_line, things_of
from effunet.labels import IGNORE, LabelMap
from effunet.metrics.instances import PER_VALUE, Things

TOLERANCE = 1e-9
CITIES = ("frankfurt", "lindau", "munster")
SIZE = (59, 83)


def town(root: Path, seed: int, images: int = 4, ids: tuple[int, ...] = tuple(range(34))) -> None:
    """The val split of the official tree: instances of many sizes, groups, and void."""
    noise = np.random.default_rng(seed)
    for index in range(images):
        stem = f"{CITIES[index % 3]}_{index:06d}_000019"
        raw = noise.choice(ids, (8, 11)).repeat(8, 0).repeat(8, 1)[: SIZE[0], : SIZE[1]]
        number = noise.integers(0, 5, (16, 22)).repeat(4, 0).repeat(4, 1)[: SIZE[0], : SIZE[1]]
        number[noise.random(SIZE) < 0.1] = 7  # an instance in many pieces
        single = (raw >= 24) & (number > 0)  # number 0: a group
        things = np.where(single, raw * PER_VALUE + number, raw)
        folder = CITIES[index % 3]
        truth = root / "gtFine" / "val" / folder
        image = root / "leftImg8bit" / "val" / folder / f"{stem}_leftImg8bit.png"
        write_png(image, random_image(seed + index, SIZE))
        write_png(truth / f"{stem}_gtFine_labelIds.png", raw.astype(np.uint8))
        write_png(truth / f"{stem}_gtFine_instanceIds.png", things.astype(np.uint16))


def predictions(dataset: Dataset, seed: int) -> list[np.ndarray]:
    """Right in two thirds of the pixels, else any of the first classes."""
    noise = np.random.default_rng(seed)
    made: list[np.ndarray] = []
    for sample in dataset:
        right = (noise.random(sample.mask.shape) < 0.67) & (sample.mask != IGNORE)
        guess = noise.integers(0, 17, sample.mask.shape)
        made.append(np.where(right, sample.mask, guess).astype(np.uint8))
    return made


def scored(dataset: Dataset, predicted: list[np.ndarray]) -> dict[str, dict[str, float]]:
    """All scores that rest on categories and instances, under the names of the official file."""
    plain = counted(dataset, predicted).to_plain()
    known = {
        "classInstScores": (plain["iiou"]["classes"], "iiou"),
        "categoryInstScores": (plain["iiou"]["categories"], "iiou"),
        "categoryScores": (plain["categories"]["classes"], "iou"),
    }
    return {
        kind: {e["name"]: math.nan if e[key] is None else e[key] for e in entries}
        for kind, (entries, key) in known.items()
    }


def difference(official: dict[str, Any], ours: dict[str, dict[str, float]]) -> float:
    """The largest of any score and mean; n/a must be n/a, and void has none."""
    largest = 0.0
    for kind, mean in (
        ("classInstScores", "averageScoreInstClasses"),
        ("categoryInstScores", "averageScoreInstCategories"),
        ("categoryScores", "averageScoreCategories"),
    ):
        for name, theirs in official[kind].items():
            mine = ours[kind].get(name, math.nan)
            assert math.isnan(mine) == math.isnan(theirs), (kind, name)
            largest = max(largest, 0.0 if math.isnan(mine) else abs(mine - theirs))
        assert set(ours[kind]) <= set(official[kind])
        largest = max(largest, abs(float(np.nanmean(list(ours[kind].values()))) - official[mean]))
    return largest


@pytest.mark.parametrize(
    ("seed", "ids"),
    [
        (0, tuple(range(34))),
        (1, tuple(range(34))),
        (2, (0, 4, 7, 9, 11, 23, 24, 26, 29, 30)),  # no rider: a class without truth
        (3, (0, 7, 11, 21, 33)),  # nobody at all
    ],
)
def test_the_official_evaluator_says_the_same_of_categories_and_instances(
    tmp_path: Path, seed: int, ids: tuple[int, ...]
) -> None:
    town(tmp_path / "root", seed, ids=ids)
    dataset = open_dataset("cityscapes", "val", tmp_path / "root")
    guesses = predictions(dataset, seed)
    for index, guess in enumerate(guesses):
        name = Path(dataset.ids[index]).name
        write_png(tmp_path / "results" / f"{name}_pred.png", dataset.labels.decode(guess))
    official = official_run(tmp_path / "root", tmp_path / "results", tmp_path / "out")
    largest = difference(official, scored(dataset, guesses))
    print(f"largest difference from cityscapesScripts: {largest:.1e}")
    assert largest <= TOLERANCE


def test_the_things_of_cityscapes_are_those_of_the_official_tables(tmp_path: Path) -> None:
    town(tmp_path, 0, 1)
    things = things_of(open_dataset("cityscapes", "val", tmp_path))
    assert isinstance(things, Things)
    names = open_dataset("cityscapes", "val", tmp_path).labels.names
    # args.avgClassSize, without caravans and trailers, which are ignored.
    assert {names[index]: size for index, size in things.sizes.items()} == {
        "bicycle": 4672.3249222261, "motorcycle": 6298.7200839748, "rider": 3930.4788056518,
        "bus": 35732.1511111111, "train": 67583.7075812274, "car": 12794.0202738185,
        "person": 3462.4756337644, "truck": 27855.1264367816,
    }  # fmt: skip
    assert np.flatnonzero(things.counted).tolist() == [*range(11, 19), 24, 25]


def test_a_subset_has_the_instances_of_its_images_and_a_middle_of_one_has_none(
    tmp_path: Path,
) -> None:
    town(tmp_path, 5)
    whole = open_dataset("cityscapes", "val", tmp_path)
    part = Subset(whole, [3, 1])
    assert things_of(part) == things_of(whole)
    np.testing.assert_array_equal(part.instances(0), whole.instances(3))
    middles = Middles(whole, [3, 1], (32, 32))
    assert things_of(middles) is None and middles.instances(0) is None


def test_a_cache_has_the_instances_too_and_a_dataset_in_other_classes_or_with_others_none(
    tmp_path: Path,
) -> None:
    town(tmp_path / "root", 5, 2)
    whole = open_dataset("cityscapes", "val", tmp_path / "root")
    kept = Cached(whole, tmp_path, "rules")
    assert things_of(kept) == things_of(whole)
    np.testing.assert_array_equal(kept.instances(1), whole.instances(1))
    groups = LabelMap.from_plain({"classes": ["all"]})
    for other in (Mapped(whole, groups, np.zeros(256, np.uint8)), Mixture([whole, kept])):
        assert things_of(other) is None and other.instances(0) is None
        assert instances_line(other) == ""


def test_without_any_file_of_instances_there_is_no_score_and_no_fault(tmp_path: Path) -> None:
    town(tmp_path, 6)
    for file in tmp_path.rglob("*_instanceIds.png"):
        file.unlink()
    dataset = open_dataset("cityscapes", "val", tmp_path)
    assert things_of(dataset) is None and dataset.instances(0) is None
    assert instances_line(dataset).startswith("iIoU n/a: cityscapes, split val, has no files")
    assert dataset[0].mask.shape == SIZE


def test_files_of_instances_for_some_images_alone_are_a_fault_that_names_one(
    tmp_path: Path,
) -> None:
    town(tmp_path, 7)
    missing = next(tmp_path.rglob("lindau*_instanceIds.png"))
    missing.unlink()
    dataset = open_dataset("cityscapes", "val", tmp_path)  # a training does without
    with pytest.raises(DataError, match=r"1 mask of 4 without .*lindau.*instanceIds\.png") as told:
        things_of(dataset)
    assert "\n" not in str(told.value)
    with pytest.raises(DataError, match="1 mask of 4"):
        dataset.instances(0)


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (np.zeros((3, 3), np.uint16), "both must show the same pixels"),
        (np.full((*SIZE, 3), 9, np.uint8), "file of colours"),
        (np.full(SIZE, 2**22, np.int32), "holds 4194304"),
    ],
)
def test_a_file_of_instances_that_cannot_be_one_is_named(
    tmp_path: Path, ids: np.ndarray, told: str
) -> None:
    town(tmp_path, 8, 1)
    file = next(tmp_path.rglob("*_instanceIds.png"))
    if ids.dtype == np.int32:  # a PNG holds 16 bit: a TIFF under its name
        from PIL import Image

        Image.fromarray(ids).save(file, format="TIFF")
    else:
        write_png(file, ids)
    with pytest.raises(DataError, match=told) as fault:
        open_dataset("cityscapes", "val", tmp_path).instances(0)
    assert file.name in str(fault.value) and "\n" not in str(fault.value)


def test_the_report_says_which_classes_have_instances(tmp_path: Path) -> None:
    town(tmp_path, 9, 1)
    line = instances_line(open_dataset("cityscapes", "val", tmp_path))
    assert "person, rider, car, truck, bus, train, motorcycle, bicycle" in line
    assert instances_line(open_dataset("synthetic", "val")) == ""
