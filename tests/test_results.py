"""What docs and README say of accuracy is what the runs' JSONs say, and can be run again."""

import importlib
import json
import shlex
from pathlib import Path
from types import ModuleType

import pytest

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
        classes = [iou for iou in run["val"]["classes"].values() if iou is not None]
        assert run["val"]["miou"] == pytest.approx(sum(classes) / len(classes), abs=1e-12)


def test_every_rows_command_passes_the_checks(rows: ModuleType, monkeypatch: pytest.MonkeyPatch):
    prepare()
    monkeypatch.setenv("B0_WEIGHTS", "weights.safetensors")
    for row in rows.ROWS:
        words = shlex.split(row.command(1).replace("$B0_WEIGHTS", "weights.safetensors"))
        assert words[:2] == ["python", "train.py"]
        check(words[2:], multirun=False)
    names = [row.name for row in rows.ROWS]
    assert len(names) == len(set(names))
