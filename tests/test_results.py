"""What docs and README say of accuracy is what the runs' JSONs say, and can be run again."""

import dataclasses
import importlib
import json
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tiny_segmenter import tiny_segmenter

from effunet.training.launch import prepare
from effunet.training.overrides import check

HOUSE = Path(__file__).resolve().parents[1]
BENCHMARKS = HOUSE / "benchmarks"
FILES = sorted((HOUSE / "docs" / "results").glob("*.json"))
pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="a copy without benchmarks/")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("accuracy_rows")


@pytest.fixture
def tables(rows: ModuleType) -> ModuleType:
    return importlib.import_module("accuracy_tables")


def test_the_pages_hold_what_the_runs_measured(tables: ModuleType):
    found = tables.results()
    blocks = 0
    for page in tables.PAGES:
        text = page.read_text()
        blocks += len(tables.BLOCK.findall(text))
        assert tables.filled(text, found) == text, f"python benchmarks/accuracy.py write: {page}"
    assert blocks >= 3


def test_every_run_was_started_by_the_command_of_its_row(rows: ModuleType):
    known = {row.name: row for row in rows.ROWS}
    assert FILES
    for file in FILES:
        run = json.loads(file.read_text())
        assert file.stem == f"{run['row']}-{run['seed']}"
        assert run["command"] == known[run["row"]].command(run["seed"])
        assert set(run["test"]) == set(known[run["row"]].test)
        classes = [iou for iou in run["val"]["classes"].values() if iou is not None]
        assert run["val"]["miou"] == pytest.approx(sum(classes) / len(classes), abs=1e-12)


def measured(
    row: str, seed: int, miou: float, pole: float, tests: dict[str, float]
) -> dict[str, Any]:
    classes = dict.fromkeys(("SignSymbol", "Fence", "Pedestrian", "Bicyclist"), 0.5) | {
        "Pole": pole
    }
    test = {way: {"miou": value} for way, value in tests.items()}
    val = {"miou": miou, "classes": classes}
    return {"row": row, "seed": seed, "seconds": 90 * seed, "val": val, "test": test}


def test_a_table_compares_the_seeds_that_both_rows_have(rows: ModuleType, tables: ModuleType):
    first, other = (rows.Row(name, name, f"key={name}") for name in ("first", "other"))
    other = dataclasses.replace(other, test=("", "--flip"))
    found = {
        "first": [measured("first", 1, 0.5, 0.1, {}), measured("first", 2, 0.6, 0.3, {})],
        "other": [measured("other", 2, 0.637, 0.4, {"": 0.5, "--flip": 0.51})],
    }
    assert tables.table([first, other], found) == [
        "|  | val mIoU | against the first | Pole | SignSymbol | Fence | Pedestrian | Bicyclist"
        " | test | test `--flip` |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| first | 50.0, 60.0 |  | 20 | 50 | 50 | 50 | 50 |  |  |",
        "| other | 63.7 | +3.7 | 40 | 50 | 50 | 50 | 50 | 50.0 | 51.0 |",
    ]
    assert tables.commands([first, other], found)[1:-1] == [
        "# first, 2 minutes a run", "python train.py key=first seed=$SEED name=first-$SEED",
        "# other, 3 minutes a run", "python train.py key=other seed=$SEED name=other-$SEED",
        "effunet evaluate runs/other-$SEED --data camvid --split test",
        "effunet evaluate runs/other-$SEED --data camvid --split test --flip",
    ]  # fmt: skip


def test_nothing_is_compared_with_a_first_row_that_is_not_measured(
    rows: ModuleType, tables: ModuleType
):
    first, other = (rows.Row(name, name, "") for name in ("first", "other"))
    absent = measured("other", 1, 0.5, 0.1, {})
    absent["val"]["classes"]["Pole"] = None
    assert tables.table([first, other], {"other": [absent]})[2:] == [
        "| other | 50.0 |  |  | 50 | 50 | 50 | 50 |"
    ]


def test_the_chart_holds_what_is_measured_and_what_is_published(rows: ModuleType, tmp_path: Path):
    chart = importlib.import_module("accuracy_chart")
    run = measured("efficient-recipe", 1, 0.7, 0.1, {})
    run["test"] = {"": {"miou": 0.7, "classes": run["val"]["classes"]}}
    bars = chart.bars({"efficient-recipe": [run], "no-ema": [measured("no-ema", 1, 0.9, 0.1, {})]})
    ours = chart.Bar("efficient, camvid_b0, 1000 steps", 70.0, chart.OURS)
    assert [bar.miou for bar in bars] == [60.1, 66.9, 68.7, 70.0, 72.4, 74.7]
    assert bars[3] == ours
    chart.draw({"efficient-recipe": [run]}, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_the_experiments_header_says_what_the_runs_measured(tables: ModuleType):
    text = (HOUSE / "conf" / "experiment" / "camvid_b0.yaml").read_text()
    header = " ".join(
        line.removeprefix("#").strip() for line in text.split("defaults:")[0].split("\n")
    )
    for row in ("efficient-recipe", "long"):
        run = tables.results()[row][0]
        for part in (run["val"], run["test"][""]):
            assert f"{100 * part['miou']:.1f}" in header
        assert f"{run['seconds'] / 60:.0f} minutes" in header


def test_a_run_of_another_config_than_its_row_is_refused(rows: ModuleType, tmp_path: Path):
    accuracy = importlib.import_module("accuracy")
    asked = accuracy.composed(["experiment=camvid_b0", "seed=1"])
    accuracy.require_same(asked, dataclasses.replace(asked, name="other", num_workers=2), tmp_path)
    free = dataclasses.replace(asked.dataset, cache="ram", root="elsewhere")
    accuracy.require_same(asked, dataclasses.replace(asked, dataset=free), tmp_path)
    with pytest.raises(SystemExit, match=r"another config: ema None instead of 0\.99$"):
        accuracy.require_same(asked, dataclasses.replace(asked, ema=None), tmp_path)


def test_a_row_that_goes_on_from_another_runs_segmenter_is_compared_with_what_that_one_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: ModuleType
):
    accuracy = importlib.import_module("accuracy")
    (tmp_path / "runs" / "streets-1").mkdir(parents=True)
    segmenter = tiny_segmenter()
    segmenter.save(tmp_path / "runs" / "streets-1" / "segmenter.safetensors")
    monkeypatch.chdir(tmp_path)
    row = next(row for row in rows.ROWS if row.name == "streets-camvid")
    found = accuracy.composed(shlex.split(row.command(1))[2:])
    assert found.init_from == "runs/streets-1"
    assert found.decoder.widths == list(segmenter.network.plan.decoder.widths)


def test_a_training_that_is_gone_on_with_keeps_its_commit_and_adds_up_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: ModuleType
):
    accuracy = importlib.import_module("accuracy")
    folder = tmp_path / "runs" / "row-1"
    monkeypatch.setattr(accuracy, "EFFUNET", [sys.executable, "-c", "import time; time.sleep(1)"])
    monkeypatch.setattr(accuracy, "_commit", lambda: "first")
    folder.with_suffix(".begun").parent.mkdir()
    folder.with_suffix(".begun").write_text('{"commit": "of a folder that is gone", "seconds": 9}')
    accuracy._train(folder, ["key=value"], 1)
    begun = accuracy._begun(folder)
    assert begun["commit"] == "first" and 1 <= begun["seconds"] < 9
    folder.mkdir()
    monkeypatch.setattr(accuracy, "_commit", lambda: "second")
    accuracy._train(folder, ["key=value"], 2)
    again = accuracy._begun(folder)
    assert again["commit"] == "first" and again["threads"] == 2
    assert again["seconds"] > begun["seconds"]
    monkeypatch.setattr(accuracy, "EFFUNET", [sys.executable, "-c", "raise SystemExit(6)"])
    with pytest.raises(SystemExit) as stopped:
        accuracy._train(folder, ["key=value"], 2)
    assert stopped.value.code == 6


def test_every_rows_command_passes_the_checks(rows: ModuleType):
    prepare()
    for row in rows.ROWS:
        words = shlex.split(row.command(1).replace("$B0_WEIGHTS", "weights.safetensors"))
        assert words[:2] == ["python", "train.py"]
        check(words[2:], multirun=False)
    known = {row.name: row for row in rows.ROWS}
    for table in rows.TABLES.values():
        for row in table:
            assert (row.words, row.test) == (known[row.name].words, known[row.name].test)
