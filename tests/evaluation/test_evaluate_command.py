"""`effunet evaluate` as a user types it: files, several models, calibration, unreadable images."""

import json
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import plain_folder
from tiny_segmenter import saved, tiny_segmenter

from effunet.cli import main
from effunet.labels import LabelClass, LabelMap
from effunet.segmenter import Segmenter

CLASSES = LabelMap(tuple(LabelClass(f"class {i}", (90 * i, 40, 40), (i,)) for i in range(3)))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    plain_folder(tmp_path / "data", values=(0, 1, 2))
    text = "".join(f"  - {{name: class {i}, values: [{i}]}}\n" for i in range(3))
    (tmp_path / "data" / "dataset.yaml").write_text(f"classes:\n{text}")
    for name, seed in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        tiny_segmenter(seed, CLASSES).save(tmp_path / name / "segmenter.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluate(*words: str) -> int:
    return main(["evaluate", *words, "--data", "data", "--resamples", "100"])


def test_the_report_is_three_files_of_one_set_of_facts(home: Path, capsys) -> None:
    assert evaluate("a", "--out", "out") == 0
    assert sorted(file.name for file in (home / "out").iterdir()) == [
        "index.html",
        "metrics.json",
        "predictions.png",
    ]
    facts = json.loads((home / "out" / "metrics.json").read_text())
    assert facts["model"].endswith("segmenter.safetensors") and facts["parameters"] > 0
    assert set(facts["errors"]) == {"sizes", "distances", "confused"}
    assert sum(entry["pixels"] for entry in facts["errors"]["sizes"]) == facts["pixels"]
    wrong = facts["pixels"] - np.trace(np.array(facts["confusion"]))
    for kind in ("sizes", "distances"):
        assert sum(entry["wrong"] for entry in facts["errors"][kind]) == wrong
    page = (home / "out" / "index.html").read_text()
    assert f"{100 * facts['miou']:.1f}" in page and "<script src" not in page
    out = capsys.readouterr().out
    assert "95% interval" in out and "Boundary F: " in out


def test_every_number_of_the_json_lies_in_its_interval(home: Path, capsys) -> None:
    assert evaluate("a", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    checked = 0
    for name, pair in facts["intervals"].items():
        if isinstance(pair, list):
            low, high = pair
            assert low <= facts[name] <= high, name
            checked += 1
    assert checked >= 8
    assert facts["calibration"]["ece"] == facts["ece"]
    assert sum(entry["pixels"] for entry in facts["calibration"]["bins"]) == facts["pixels"]


def test_several_segmenters_are_compared_and_each_has_its_own_folder(home: Path, capsys) -> None:
    assert evaluate("a", "b", "--out", "out") == 0
    out = capsys.readouterr().out
    assert "2 segmenters on data, split val" in out
    facts = json.loads((home / "out" / "metrics.json").read_text())
    assert [model["name"] for model in facts["models"]] == ["a", "b"]
    for place, name in enumerate("ab"):
        alone = json.loads((home / "out" / name / "metrics.json").read_text())
        assert {"name": name, **alone} == facts["models"][place]
        assert f'href="{name}/index.html"' in (home / "out" / "index.html").read_text()
        assert (home / "out" / name / "index.html").is_file()
    assert (home / "out" / "index.html").is_file()


def test_an_unreadable_image_is_named_all_others_are_counted_and_the_code_is_3(
    home: Path, capsys
) -> None:
    assert evaluate("a", "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    broken = sorted((home / "data/val/images").iterdir())[1]
    broken.write_bytes(b"no image")
    assert evaluate("a", "--json") == 3
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert facts["images"] == whole["images"] - 1
    assert [entry["name"] for entry in facts["unreadable"]] == [broken.stem]
    assert str(broken.name) in err and "1 of" in err and "--strict" in err
    assert evaluate("a", "--strict", "--out", "out") == 3
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and broken.name in err
    assert not (home / "out" / "metrics.json").exists()


def test_calibration_writes_a_segmenter_of_the_same_mask_and_honest_confidence(
    home: Path, capsys
) -> None:
    assert evaluate("a", "--calibrate", "new/calibrated.safetensors") == 0
    assert "calibrated on this split: temperature" in capsys.readouterr().out
    entry = Segmenter.load("new/calibrated.safetensors").metadata["calibration"]
    assert entry["split"] == "val" and entry["threshold"] is None
    # Random weights know nothing: their confidence has to come down.
    assert entry["temperature"] > 1.5
    assert evaluate("a", "new/calibrated.safetensors", "--json") == 0
    before, after = json.loads(capsys.readouterr().out)["models"]
    assert before["confusion"] == after["confusion"]
    assert after["ece"] < before["ece"]
    assert evaluate("new/calibrated.safetensors", "--out", "out") == 0
    facts = json.loads((home / "out" / "metrics.json").read_text())
    assert facts["calibration"]["temperature"] == entry["temperature"]
    assert f"{entry['temperature']:.4g}" in (home / "out" / "index.html").read_text()


def test_calibration_fits_on_what_was_counted(home: Path, capsys) -> None:
    sorted((home / "data/val/images").iterdir())[1].write_bytes(b"no image")
    assert evaluate("a", "--calibrate", "new.safetensors") == 3
    assert "is not counted" in capsys.readouterr().err
    assert Segmenter.load("new.safetensors").metadata["calibration"]["images"] == 1


def test_two_classes_get_the_threshold_with_the_best_miou(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plain_folder(tmp_path / "data", values=(0, 1))
    two = LabelMap(tuple(LabelClass(f"class {i}", (90 * i, 40, 40), (i,)) for i in range(2)))
    text = "".join(f"  - {{name: class {i}, values: [{i}]}}\n" for i in range(2))
    (tmp_path / "data" / "dataset.yaml").write_text(f"classes:\n{text}")
    saved(tmp_path, labels=two)
    assert evaluate("segmenter.safetensors", "--calibrate", "new.safetensors") == 0
    capsys.readouterr()
    entry = Segmenter.load("new.safetensors").metadata["calibration"]
    assert 0 <= entry["threshold"] <= 1
    assert evaluate("segmenter.safetensors", "new.safetensors", "--json") == 0
    before, after = json.loads(capsys.readouterr().out)["models"]
    assert after["miou"] >= before["miou"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a", "b", "--calibrate", "x"], "--calibrate writes one segmenter"),
        (["a", "--calibrate", "data"], "--calibrate data is a folder: name a file"),
        (["a", "--calibrate", "a/segmenter.safetensors"], "is read or written here already"),
        (["a", "--out", "o", "--calibrate", "o/index.html"], "is read or written here already"),
        (["a", "--resamples", "12"], "0, or 100 to 100000 draws, got '12'"),
        (["a", "--scales", "0"], "scale"),
    ],
)
def test_words_that_cannot_be_meant_end_with_2(home: Path, words, told, capsys) -> None:
    try:
        code = main(["evaluate", "--data", "data", *words])
    except SystemExit as stop:
        code = stop.code
    assert code == 2 and told in capsys.readouterr().err


def test_a_second_model_of_other_classes_is_refused_before_anything_is_measured(
    home: Path, capsys
) -> None:
    saved(home)
    assert evaluate("a", "segmenter.safetensors") == 4
    out, err = capsys.readouterr()
    assert out == "" and "classes" in err and err.count("\n") == 1
