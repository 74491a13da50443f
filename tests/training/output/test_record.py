"""What a run says of itself: the rows of metrics.csv, which segmenter is kept, and full disks."""

import contextlib
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from dataset_trees import plain_folder
from tiny_training import STEPS, draw_no_curves, train

from effunet.data.catalog import open_dataset
from effunet.evaluation.evaluate import evaluate
from effunet.labels import IGNORE
from effunet.metrics.rows import SCALARS
from effunet.segmenter import Segmenter
from effunet.training.config.read import to_config
from effunet.training.output import record
from effunet.training.output.record import Record
from effunet.training.recipe.losses import build_loss
from effunet.training.recipe.schedule import lr_factor

RECIPE = (
    "optim.lr=0.02",
    "seed=1",
    "optim.warmup=0.34",
    "optim.power=0.5",
    "optim.encoder_lr_factor=0.5",
)


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Trained so fast that its validations differ, with a class that validation images lack."""
    home = tmp_path_factory.mktemp("home")
    plain_folder(home / "data", values=(0, 1, 2, IGNORE))
    classes = [{"name": f"kind {value}", "values": [value]} for value in range(4)]
    text = yaml.safe_dump({"classes": classes, "ignore": [IGNORE]})
    (home / "data" / "dataset.yaml").write_text(text)
    with contextlib.chdir(home):
        assert train("data", "name=one", *RECIPE) == 0
        yield home / "runs" / "one"


def test_a_row_tells_its_step_epoch_and_the_learning_rate_by_the_law(run: Path):
    rows = rows_of(run)
    assert [(float(row["epoch"]), int(row["step"])) for row in rows] == [(1, 2), (2, 4), (3, 6)]
    for row in rows:
        # What the next step would take; the rest's, which is the peak of all groups.
        law = 0.02 * lr_factor(int(row["step"]), STEPS, warmup=2, power=0.5)
        assert float(row["lr"]) == pytest.approx(law, rel=1e-12)


def test_the_kept_segmenter_and_its_row_have_the_best_score_of_all(run: Path):
    scores = [float(row["miou"]) for row in rows_of(run)]
    assert len(set(scores)) > 1
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["miou"] == max(scores)
    report = evaluate(Segmenter.load(run), open_dataset(run.parents[1] / "data", "val"))
    assert report.scores.miou == max(scores)
    best = rows_of(run)[scores.index(max(scores))]
    for entry in metrics["classes"]:
        cell = best[f"iou/{entry['name']}"]
        assert (float(cell) if cell else None) == entry["iou"]
    for name in SCALARS:
        value = metrics[name]["mean"] if isinstance(metrics[name], dict) else metrics[name]
        assert (float(best[name]) if best[name] else None) == value
    assert json.loads(json.dumps(report.to_plain())) == metrics | {"dataset": report.dataset}


def test_the_validation_loss_is_the_mean_over_whole_images(run: Path):
    segmenter = Segmenter.load(run)
    dataset = open_dataset(run.parents[1] / "data", "val")
    loss = build_loss("cross_entropy_dice", len(dataset.labels))
    total = 0.0
    with torch.inference_mode():
        for sample in dataset:
            image = torch.from_numpy(sample.image).permute(2, 0, 1)[None]
            logits = segmenter.network.eval()(image)
            total += loss(logits, torch.from_numpy(sample.mask)[None]).item()
    scores = [float(row["miou"]) for row in rows_of(run)]
    best = rows_of(run)[scores.index(max(scores))]
    assert float(best["val_loss"]) == pytest.approx(total / len(dataset), rel=1e-5)


def test_the_run_of_a_segmenter_is_told_by_its_file(run: Path):
    facts = Segmenter.load(run).metadata
    metrics = json.loads((run / "metrics.json").read_text())
    assert facts["dataset"] == "folder" and facts["training_size"] == [32, 32]
    assert facts["scores"]["miou"] == metrics["miou"]
    assert facts["scores"]["classes"] == metrics["classes"]


# Which validation is the best


def _kept(monitor: str, *values: float | None) -> list[bool]:
    kept: list[bool] = []
    config = to_config({"monitor": monitor})
    keeper = Record(Path("runs/x"), config, open_dataset("synthetic", "val"), 1)
    for value in values:
        row: dict[str, Any] = {monitor: value}
        keeper.rows.append(row)
        kept.append(keeper._is_best(row))
    return kept


def test_the_first_of_equals_is_kept_and_a_loss_is_better_when_lower():
    assert _kept("miou", 0.2, 0.3, 0.3, 0.1, 0.4) == [True, True, False, False, True]
    assert _kept("val_loss", 0.2, 0.3, 0.1, 0.1) == [True, False, True, False]


def test_a_score_without_a_value_is_kept_only_until_there_is_another():
    assert _kept("miou", None, None, 0.0, None, 0.1) == [True, False, True, False, True]


# A full disk


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_costs_a_picture_and_never_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    plain_folder(tmp_path / "data")
    monkeypatch.setattr(record, "curves", full)
    assert train("data", "name=one", "max_steps=2") == 0
    out, err = capsys.readouterr()
    assert out.count("notice    runs/one/curves.png cannot be written ([Errno 28] No space") == 1
    assert err == ""
    assert (tmp_path / "runs" / "one" / "checkpoints" / "last.ckpt").is_file()
    assert Segmenter.load(tmp_path / "runs" / "one").metadata["scores"]


@pytest.mark.parametrize("file", ["metrics.csv", "predictions.png"])
def test_a_file_that_a_training_can_do_without_is_told_of_once_and_written_when_there_is_room(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    plain_folder(tmp_path / "data")
    draw_no_curves(monkeypatch)
    written = record.write
    refused: list[Path] = []

    def write(path: Path, data: bytes) -> None:
        if path.name == file and len(refused) < 2:
            refused.append(path)
            full()
        written(path, data)

    monkeypatch.setattr(record, "write", write)
    monkeypatch.setattr(Record, "_is_best", lambda self, row: True)
    assert train("data", "name=one") == 0
    out, err = capsys.readouterr()
    assert len(refused) == 2 and err == ""
    assert out.count("cannot be written") == 1
    assert f"notice    runs/one/{file} cannot be written ([Errno 28] No space" in out
    assert (tmp_path / "runs" / "one" / file).stat().st_size > 0
    if file == "metrics.csv":
        assert len(rows_of(tmp_path / "runs" / "one")) == 3


def test_a_segmenter_that_cannot_be_written_ends_with_5_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    plain_folder(tmp_path / "data")
    monkeypatch.setattr(Segmenter, "save", full)
    assert train("data", "name=one", "max_steps=2") == 5
    err = capsys.readouterr().err
    assert err.startswith("effunet: ") and err.count("\n") == 1
    assert "No space left on device: free some space" in err
    assert not (tmp_path / "runs" / "one" / "segmenter.safetensors").exists()
