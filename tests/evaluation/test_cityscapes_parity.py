"""Our Cityscapes mIoU is that of cityscapesScripts: the rule derived anew, and the package itself.

The rule (cityscapesScripts 2.3.0, evaluation/evalPixelLevelSemanticLabeling.py): one matrix of raw
ids over all images. Of the 19 evaluated classes, true positives are on the diagonal, false
negatives the rest of the row (a predicted id that is not evaluated, too), false positives the rest
of the column without the rows of ids that are not evaluated. A class with none of the three leaves
the mean.

How the package itself is run: tests/official_cityscapes.py.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_trees import random_image, write_png
from evaluation_data import Stored, counted
from hypothesis import given, settings
from hypothesis import strategies as st
from official_cityscapes import official_run
from PIL import Image
from tiny_segmenter import saved

from effunet.cli import main
from effunet.data.catalog import open_dataset
from effunet.data.describe.read import read_description
from effunet.data.describe.shelf import description_file
from effunet.errors import DataError
from effunet.labels import IGNORE

FILE = description_file("cityscapes")
assert FILE is not None
LABELS = read_description(FILE).labels
IDS = [label.values[0] for label in LABELS.classes]
TOLERANCE = 1e-6  # what is promised; both divide the same integers, so it is met with room


def official_scores(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[dict[int, float], float]:
    """IoU of each evaluated id and their mean, of (truth, prediction) in raw ids."""
    matrix = np.zeros((34, 34), np.int64)
    for truth, prediction in pairs:
        np.add.at(matrix, (truth.ravel(), prediction.ravel()), 1)
    scores: dict[int, float] = {}
    for one in IDS:
        hit = matrix[one, one]
        missed = sum(matrix[one, other] for other in range(34) if other != one)
        wrong = sum(matrix[other, one] for other in IDS if other != one)
        whole = hit + missed + wrong
        scores[one] = float(hit) / whole if whole else float("nan")
    valid = [score for score in scores.values() if score == score]
    return scores, sum(valid) / len(valid)


def _tree(root: Path, seed: int = 0, images: int = 5, ids: list[int] | None = None) -> None:
    """The official tree with the truth of several cities, instances too."""
    noise = np.random.default_rng(seed)
    for index in range(images):
        city = ("frankfurt", "lindau", "munster")[index % 3]
        stem = f"{city}_{index:06d}_000019"
        # Blocks of one id, as in a street, with a rim of single pixels.
        truth = noise.choice(ids or range(34), (6, 9)).repeat(8, 0).repeat(8, 1)
        truth[:2] = noise.choice(ids or range(34), (2, 72))
        truth = truth[:47, :71].astype(np.uint8)
        things = truth.astype(np.uint16)
        things[np.isin(truth, range(24, 34))] *= 1000  # the first instance of each kind of thing
        folder = root / "gtFine" / "val" / city
        write_png(root / "leftImg8bit" / "val" / city / f"{stem}_leftImg8bit.png",
                  random_image(seed + index, truth.shape))  # fmt: skip
        write_png(folder / f"{stem}_gtFine_labelIds.png", truth)
        write_png(folder / f"{stem}_gtFine_instanceIds.png", things)


def _stored(files: Iterable[Path]) -> list[np.ndarray]:
    """Raw ids in the order of the split, which is that of names."""
    arrays: list[np.ndarray] = []
    for file in sorted(files, key=lambda file: file.name):
        with Image.open(file) as picture:
            assert picture.mode == "L"
            arrays.append(np.array(picture))
    return arrays


def _truths(root: Path) -> list[np.ndarray]:
    return _stored(root.glob("gtFine/val/*/*_labelIds.png"))


def _agrees(plain: dict[str, Any], scores: dict[int, float], mean: float) -> float:
    """The largest difference of any IoU, which must be none; n/a must be n/a."""
    largest = abs(plain["miou"] - mean)
    for entry, one in zip(plain["classes"], IDS, strict=True):
        if entry["iou"] is None:
            assert scores[one] != scores[one]
        else:
            largest = max(largest, abs(entry["iou"] - scores[one]))
    return largest


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    truths=st.lists(st.integers(0, 33), min_size=1, max_size=34, unique=True),
    predicted=st.lists(st.integers(0, 18), min_size=1, max_size=19, unique=True),
)
def test_the_rule_derived_anew_gives_the_same_scores(
    seed: int, truths: list[int], predicted: list[int]
) -> None:
    noise = np.random.default_rng(seed)
    truth = noise.choice(truths, (20, 30)).astype(np.uint8)
    indices = noise.choice(predicted, (20, 30)).astype(np.uint8)
    mask = LABELS.encode(truth)
    if (mask == IGNORE).all():
        return
    plain = counted(Stored([mask], LABELS), [indices]).to_plain()
    scores, mean = official_scores([(truth, LABELS.decode(indices))])
    assert _agrees(plain, scores, mean) <= TOLERANCE


def test_an_id_outside_the_official_table_is_a_fault_to_both(tmp_path: Path) -> None:
    _tree(tmp_path, images=1, ids=[7, 255])  # a license plate (-1) as some tools store it
    with pytest.raises(DataError, match="255"):
        _ = open_dataset("cityscapes", "val", tmp_path)[0]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """A tree, what `predict --layout cityscapes` wrote of it, and what `evaluate` counted."""
    folder = tmp_path_factory.mktemp("cityscapes")
    root, results, out = folder / "root", folder / "results", folder / "out"
    _tree(root)
    model = saved(folder, labels=LABELS)
    words = ["evaluate", str(model), "--data", "cityscapes", "--root", str(root)]
    assert main([*words, "--out", str(out)]) == 0
    images = root / "leftImg8bit" / "val"
    words = ["predict", str(model), str(images), "--out", str(results)]
    assert main([*words, "--layout", "cityscapes"]) == 0
    return root, results, json.loads((out / "metrics.json").read_text())


def test_what_predict_writes_scores_what_evaluate_says(
    evaluated: tuple[Path, Path, dict[str, Any]],
) -> None:
    root, results, plain = evaluated
    pairs = list(zip(_truths(root), _stored(results.rglob("*.png")), strict=True))
    assert len(pairs) == 5 and plain["counted"] == 19
    scores, mean = official_scores(pairs)
    assert _agrees(plain, scores, mean) <= TOLERANCE


def _compare(official: dict[str, Any], plain: dict[str, Any]) -> float:
    scores = {official["labels"][name]: score for name, score in official["classScores"].items()}
    matrix = np.array(official["confMatrix"])[np.ix_(IDS, IDS)]
    assert np.array_equal(matrix, plain["confusion"])
    return _agrees(plain, scores, official["averageScoreClasses"])


def test_the_official_evaluator_says_the_same_of_what_predict_writes(
    evaluated: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    root, results, plain = evaluated
    difference = _compare(official_run(root, results, tmp_path / "out"), plain)
    print(f"largest difference from cityscapesScripts: {difference:.1e}")
    assert difference <= TOLERANCE


@pytest.mark.parametrize("seed", range(3))
def test_the_official_evaluator_says_the_same_of_random_predictions(
    tmp_path: Path, seed: int
) -> None:
    noise = np.random.default_rng(seed)
    # Some classes stand nowhere in the truth, and of those some nowhere in the prediction.
    _tree(tmp_path / "root", seed, 4, [0, 1, 4, 6, 7, 8, 11, 21, 23, 26, 28, 30, 33])
    dataset = open_dataset("cityscapes", "val", tmp_path / "root")
    right = [dataset.labels.encode(truth) for truth in _truths(tmp_path / "root")]
    predictions = [
        np.where((noise.random(mask.shape) < 0.6) & (mask < 19), mask,
                 noise.integers(0, 12, mask.shape)).astype(np.uint8)
        for mask in right
    ]  # fmt: skip
    plain = counted(dataset, predictions).to_plain()
    assert plain["counted"] < 19
    for index, prediction in enumerate(predictions):
        name = Path(dataset.ids[index]).name
        write_png(tmp_path / "results" / f"{name}_pred.png", dataset.labels.decode(prediction))
    official = official_run(tmp_path / "root", tmp_path / "results", tmp_path / "out")
    difference = _compare(official, plain)
    print(f"largest difference from cityscapesScripts: {difference:.1e}")
    assert difference <= TOLERANCE
