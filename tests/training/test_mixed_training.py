"""A training on several taxonomies: what is told, written and resumed, and what is refused."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from dataset_trees import plain_folder
from tiny_training import STEPS, WORDS, draw_no_curves, state, stop_at

from effunet.cli import main

MIXED = ("dataset=mixture", "dataset.parts=[ours,theirs]", "dataset.part_shares=[1,3]")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    draw_no_curves(monkeypatch)
    maps = {"ours": {"street": "road", "van": "car", "cloud": "ignore"}}
    for name, classes, keys in (
        ("ours", ["road", "car", "sky"], {}),
        ("theirs", ["van", "street", "cloud"], {"maps": maps}),
    ):
        root = plain_folder(tmp_path / "data" / name)
        (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": classes, **keys}))
    return tmp_path


def mix(*words: str) -> int:
    small = [word for word in WORDS if not word.startswith("dataset=")]
    return main(["train", *small, *MIXED, f"max_steps={STEPS}", *words])


def test_each_part_is_reported_by_its_own_rules(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mix("name=one") == 0
    out = capsys.readouterr().out
    metrics = json.loads((home / "runs/one/metrics.json").read_text())
    parts = {part["dataset"]: part for part in metrics["parts"]}
    assert set(parts) == {"ours", "theirs"}
    # Theirs has no sky that counts: it has no score there, and cloud is not counted.
    sky = parts["theirs"]["classes"][2]
    assert (sky["name"], sky["pixels"], sky["images"]) == ("sky", 0, 0)
    for score in ("iou", "accuracy", "dice", "boundary_iou", "boundary_f", "interval"):
        assert sky[score] is None
    assert metrics["pixels"] == sum(part["pixels"] for part in parts.values())
    for row in range(3):
        summed = [sum(p["confusion"][row][c] for p in parts.values()) for c in range(3)]
        assert metrics["confusion"][row] == summed
    assert f"theirs: mIoU {100 * parts['theirs']['miou']:.1f} % over" in out
    with (home / "runs/one/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {float(row["miou/theirs"]) for row in rows} >= {parts["theirs"]["miou"]}


def test_a_part_is_evaluated_as_its_training_has_scored_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mix("name=one") == 0
    part = json.loads((home / "runs/one/metrics.json").read_text())["parts"][1]
    capsys.readouterr()
    assert main(["evaluate", "runs/one", "--data", "theirs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == part


def test_a_mixture_that_was_killed_goes_on_as_if_nothing_had_been(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mix("name=whole") == 0
    with monkeypatch.context() as patch:
        stop_at(patch, "on_train_batch_end", 4)
        assert mix("name=killed") == 1
    assert main(["train", "resume=runs/killed"]) == 0
    assert state(home / "runs/whole", pictures=False) == state(home / "runs/killed", pictures=False)


def test_an_image_that_is_stepped_over_is_missing_in_its_own_part_alone(home: Path) -> None:
    next((home / "data/theirs/val/images").iterdir()).write_text("no image")
    assert mix("name=one", "dataset.check=none", "dataset.on_error=skip") == 0
    metrics = json.loads((home / "runs/one/metrics.json").read_text())
    assert metrics["images"] == 3
    assert {part["dataset"]: part["images"] for part in metrics["parts"]} == {
        "ours": 2,
        "theirs": 1,
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["dataset.parts=[]", "dataset.part_shares=[]"], "dataset.parts=[cityscapes,idd]"),
        (["dataset.part_shares=[1]"], "1 numbers for 2 parts"),
        (["dataset.variant=x"], "dataset.variant is of one dataset"),
        (
            ["dataset=folder", "dataset.root=data/ours"],
            "dataset.parts goes with dataset=mixture alone",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert mix(*words) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not (home / "runs").exists()
