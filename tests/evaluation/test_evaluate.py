"""Evaluation equals an independent count, refuses what cannot be compared, and says what it did."""

import hashlib
import json
import os
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from evaluation_data import of_matrix
from rich.console import Console
from tiny_segmenter import LABELS, random_image, tiny_segmenter

from effunet.data.dataset import Dataset, Sample
from effunet.errors import DataError, ModelError
from effunet.evaluation.evaluate import evaluate
from effunet.evaluation.report import Report, save
from effunet.evaluation.table import table_of
from effunet.infer import Way, predict
from effunet.labels import IGNORE, LabelClass, LabelMap
from effunet.metrics.tally import Tally

SIZES = ((40, 50), (33, 65), (64, 64), (1, 7))


class Made(Dataset):
    """Images and masks from a seed, in several sizes."""

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]] = SIZES,
        labels: LabelMap = LABELS,
        channels: int = 3,
        highest: int = 2,
        ignored: float = 0.1,
    ) -> None:
        ids = [str(index) for index in range(len(sizes))]
        super().__init__("made", "val", labels, ids, channels)
        self.sizes, self.highest, self.ignored = sizes, highest, ignored
        self.reads: list[int] = []

    def __getitem__(self, index: int) -> Sample:
        self.reads.append(index)
        height, width = self.sizes[index]
        noise = np.random.default_rng(index)
        mask = noise.integers(0, self.highest + 1, (height, width), np.uint8)
        mask[noise.random((height, width)) < self.ignored] = IGNORE
        image = random_image(height, width, seed=index, channels=self.channels)
        return Sample(image, mask, self.ids[index])


def _counted(dataset: Dataset, way: Way) -> np.ndarray:
    """The confusion matrix by a plain loop over pixels."""
    segmenter = tiny_segmenter()
    matrix = np.zeros((3, 3), np.int64)
    for index in range(len(dataset)):
        sample = dataset[index]
        predicted = predict(segmenter, sample.image, way).probabilities.argmax(0)
        for truth, guess in zip(sample.mask.flat, predicted.flat, strict=True):
            if truth != 255:
                matrix[truth, guess] += 1
    return matrix


@pytest.mark.parametrize(
    "way", [Way(), Way(flip=True), Way(tile=64), Way(64, flip=True, scales=(0.5, 1.0))]
)
def test_an_evaluation_equals_an_independent_count(way: Way) -> None:
    dataset = Made((*SIZES, (100, 90)))
    expected = _counted(dataset, way)
    report = evaluate(tiny_segmenter(), dataset, way=way)
    assert np.array_equal(report.scores.confusion, expected)
    hits = np.diag(expected)
    ious = hits / (expected.sum(0) + expected.sum(1) - hits)
    assert report.scores.miou == pytest.approx(ious.mean(), abs=1e-12)
    assert report.pixels == expected.sum() and report.images == 5


def test_labels_reach_the_count_as_they_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, seen = Made(), []
    add = Tally.add

    def spy(self: Tally, index: int, truth: np.ndarray, *predicted: np.ndarray) -> None:
        seen.append(hashlib.sha256(truth.tobytes()).hexdigest())
        assert all(array.shape == truth.shape for array in predicted)
        add(self, index, truth, *predicted)

    monkeypatch.setattr(Tally, "add", spy)
    evaluate(tiny_segmenter(), dataset)
    assert seen == [hashlib.sha256(dataset[i].mask.tobytes()).hexdigest() for i in range(4)]


def test_every_sample_is_read_once_and_in_order() -> None:
    dataset = Made()
    told: list[tuple[int, int]] = []
    evaluate(tiny_segmenter(), dataset, progress=lambda done, total: told.append((done, total)))
    assert dataset.reads == [0, 1, 2, 3]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_sample_that_cannot_be_read_ends_the_evaluation_with_its_own_error() -> None:
    class Broken(Made):
        def __getitem__(self, index: int) -> Sample:
            if index == 2:
                raise DataError("c.png is cut")
            return super().__getitem__(index)

    with pytest.raises(DataError, match=r"c\.png is cut"):
        evaluate(tiny_segmenter(), Broken())


@pytest.mark.parametrize(
    "error", [DataError("c.png is cut"), PermissionError(13, "Permission denied", "c.png")]
)
def test_an_unreadable_image_is_named_and_all_others_are_counted(error: Exception) -> None:
    class Broken(Made):
        def __getitem__(self, index: int) -> Sample:
            if index == 2:
                raise error
            return super().__getitem__(index)

    report = evaluate(tiny_segmenter(), Broken(), strict=False)
    assert report.images == 3 and [name for name, _ in report.unreadable] == ["2"]
    assert "c.png" in report.unreadable[0][1]
    whole = evaluate(tiny_segmenter(), Made())
    assert np.array_equal(report.counts.table, whole.counts.table[[0, 1, 3]])


@pytest.mark.parametrize("names", [("sky", "car", "road"), ("sky", "road", "bus"), ("sky", "road")])
def test_other_classes_or_another_order_are_refused_with_the_differences(
    names: tuple[str, ...],
) -> None:
    other = LabelMap(tuple(LabelClass(name, (i, i, i), (i,)) for i, name in enumerate(names)))
    with pytest.raises(ModelError, match=r"made .*2: 'car' here, ") as caught:
        evaluate(tiny_segmenter(), Made(labels=other))
    assert "\n" not in str(caught.value)


def test_other_colours_or_raw_values_of_the_same_names_are_no_obstacle() -> None:
    recoloured = LabelMap(
        tuple(LabelClass(label.name, (1, 2, i), (i + 7,)) for i, label in enumerate(LABELS.classes))
    )
    assert evaluate(tiny_segmenter(), Made(labels=recoloured)).images == 4


def test_other_channels_are_refused() -> None:
    with pytest.raises(ModelError, match="3 channels, and made has 1"):
        evaluate(tiny_segmenter(), Made(channels=1))


def test_nothing_to_count_is_a_fault_of_the_data_and_no_number() -> None:
    with pytest.raises(DataError, match=r"nothing to count, mIoU n/a.*dataset\.yaml"):
        evaluate(tiny_segmenter(), Made(ignored=1.1))


MATRIX = [[6, 2, 0], [1, 1, 0], [0, 0, 0]]
REPORT = of_matrix(MATRIX)


def test_a_class_in_neither_truth_nor_prediction_is_null_and_leaves_the_mean() -> None:
    plain = REPORT.to_plain()
    assert plain["classes"][2] == {
        "name": "car",
        "color": [0, 0, 142],
        **dict.fromkeys(("iou", "accuracy", "precision", "dice", "boundary_iou", "boundary_f")),
        **dict.fromkeys(("pixels", "predicted", "images"), 0),
    }
    assert plain["counted"] == 2
    assert plain["miou"] == pytest.approx((6 / 9 + 1 / 4) / 2)


def test_metrics_json_holds_what_the_design_promises(tmp_path: Path) -> None:
    plain = json.loads(save(REPORT.to_plain(), tmp_path / "new" / "folder").read_text())
    assert plain == REPORT.to_plain()
    assert plain["confusion"] == MATRIX
    assert (plain["images"], plain["pixels"], plain["pixel_accuracy"]) == (2, 10, 0.7)
    assert (plain["dataset"], plain["split"]) == ("stored", "test")
    assert "never resized" in plain["how"]
    assert [entry["name"] for entry in plain["classes"]] == ["sky", "road", "car"]


def _printed(report: Report, plain: bool) -> str:
    console = Console(file=StringIO(), width=200, markup=False)
    console.print(table_of(report.to_plain(), plain=plain))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_says_over_how_many_classes_the_mean_runs_and_shows_absent_ones_as_a_dash() -> (
    None
):
    lines = _printed(REPORT, plain=True).splitlines()
    words = [line.split() for line in lines if line.strip()]
    assert words[0] == ["class", "IoU", "accuracy", "boundary", "IoU", "pixels"]
    assert words[1][:5] == ["sky", "66.7", "%", "75.0", "%"] and words[1][-1] == "8"
    assert words[3] == ["car", "-", "-", "-", "0"]
    assert words[-1][:8] == ["mIoU", "over", "2", "of", "3", "classes", "45.8", "%"]
    assert all(line.isascii() for line in lines)


def test_a_class_may_be_named_like_markup() -> None:
    odd = LabelMap((LabelClass("[red]sky[/red]", (0, 0, 0), (0,)),))
    report = of_matrix([[3]], odd)
    assert "[red]sky[/red]" in _printed(report, plain=True)


def test_a_report_of_nothing_shows_na_and_no_number() -> None:
    empty = of_matrix([[0, 0, 0]] * 3)
    assert empty.to_plain()["miou"] is None
    assert "mIoU over 0 of 3 classes  n/a" in _printed(empty, plain=True)


@pytest.mark.slow
@pytest.mark.long
def test_an_evaluation_of_ten_thousand_images_keeps_none_of_them() -> None:
    seen: dict[int, int] = {}

    def note(done: int, total: int) -> None:
        if done in (1000, total):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            seen[done] = pages * os.sysconf("SC_PAGE_SIZE")

    evaluate(tiny_segmenter(), Made(((64, 64),) * 10_000), progress=note)
    assert seen[10_000] - seen[1000] < 20e6
