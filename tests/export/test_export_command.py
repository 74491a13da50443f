"""`effunet export`, and evaluate, predict and info on what it wrote, as a user calls them."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_trees import tree_digest
from PIL import Image
from tiny_segmenter import random_image, saved, tiny_segmenter

from effunet.cli import main
from effunet.commands.export import FORMATS
from effunet.commands.export.make import ENDINGS
from effunet.export import formats

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a segmenter, its export, and a photo."""
    folder = tmp_path_factory.mktemp("home")
    saved(folder)
    Image.fromarray(random_image(40, 50, 8)).save(folder / "photo.png")
    assert main(["export", str(folder), "--format", "onnx", "--with-runner"]) == 0
    return folder


def test_export_writes_beside_the_segmenter_what_it_names(home: Path) -> None:
    assert sorted(path.name for path in home.iterdir() if path.is_file()) == [
        "model.onnx",
        "photo.png",
        "runtime.py",
        "segmenter.safetensors",
    ]


def test_predict_gives_the_same_files_from_the_export(home: Path, tmp_path: Path) -> None:
    for name, model in (("a", home), ("b", home / "model.onnx")):
        words = [str(home / "photo.png"), "--out", str(tmp_path / name), "--overlay"]
        assert main(["predict", str(model), *words]) == 0
    for name in ("photo.png", "photo_overlay.png"):
        first, second = (np.array(Image.open(tmp_path / side / name)) for side in "ab")
        assert (first == second).mean() > 0.999


def test_predict_tiles_flips_and_scales_an_export(home: Path, tmp_path: Path) -> None:
    way = ["--tile", "64", "--flip", "--scales", "1,1.5", "--probabilities"]
    Image.fromarray(random_image(100, 90, 9)).save(tmp_path / "large.png")
    found = []
    for name, model in (("a", home), ("b", home / "model.onnx")):
        words = ["predict", str(model), str(tmp_path / "large.png")]
        assert main([*words, "--out", str(tmp_path / name), *way]) == 0
        found.append(np.load(tmp_path / name / "large.npy").astype(np.float32))
    np.testing.assert_allclose(*found, atol=2e-3)


def test_info_tells_what_an_export_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["info", str(home / "model.onnx")]) == 0
    said = capsys.readouterr().out
    assert "sky" in said and "exported" in said and "fp32" in said


def test_benchmark_times_a_segmenter_and_its_export_in_turns(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--size", "64", "--rounds", "2", "--threads", "1", "--json"]
    capsys.readouterr()
    assert main(["benchmark", str(home), str(home / "model.onnx"), *words]) == 0
    first, second = json.loads(capsys.readouterr().out)["sizes"][0]["models"]
    assert first["macs"] == second["macs"] and second["precision"] == "float32"


REFUSED: list[tuple[list[str], int, str]] = [
    (["--format", "executorch"], 2, "takes images of one size: name it"),
    (["--format", "onnx", "--size", "64"], 2, "takes any size"),
    (["--format", "onnx", "--precision", "int8"], 2, "needs --data"),
    (["--format", "torch-export", "--precision", "fp16"], 2, "is for onnx and openvino"),
    (["--format", "torchscript", "--with-runner"], 2, "--with-runner is for onnx and openvino"),
    (["--format", "onnx", "--out", "model.xml"], 2, "ends in .onnx"),
    (["--format", "onnx", "--out", "photo.png/model.onnx"], 2, "is a file: name a folder"),
    (["--format", "onnx", "--data", "nowhere"], 3, "nowhere"),
]


@pytest.mark.parametrize(("words", "code", "says"), REFUSED)
def test_what_cannot_be_meant_is_refused_before_any_work(
    words: list[str],
    code: int,
    says: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(home)
    before = tree_digest(home)
    capsys.readouterr()
    assert main(["export", str(home), *words]) == code
    err = capsys.readouterr().err
    assert err.startswith("effunet: ") and err.count("\n") == 1 and says in err
    assert tree_digest(home) == before


def test_an_unknown_format_is_refused_with_the_known_ones(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["export", str(home), "--format", "tflite"])
    assert stop.value.code == 2
    assert "torch-export" in capsys.readouterr().err


def test_a_missing_library_is_named_with_what_installs_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "nncf" else object())
    words = ["--format", "openvino", "--precision", "int8", "--data", "nowhere"]
    assert main(["export", str(home), *words]) == 2
    err = capsys.readouterr().err
    assert "needs nncf: pip install 'effunet[openvino]'" in err and err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_told(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o500)
    assert main(["export", str(home), "--format", "onnx", "--out", f"{tmp_path}/m.onnx"]) == 5
    assert "is not writable" in capsys.readouterr().err


def edited(source: Path, target: Path, change: Any) -> Path:
    model = onnx.load(source)
    change(model)
    target.write_bytes(model.SerializeToString())
    return target


def cut_metadata(model: Any) -> None:
    model.metadata_props[0].value = model.metadata_props[0].value[:-40]


def newer(model: Any) -> None:
    text = model.metadata_props[0].value.replace('"version": 1', '"version": 9')
    model.metadata_props[0].value = text


def no_classes(model: Any) -> None:
    text = model.metadata_props[0].value.replace('"classes": [', '"classes": [], "others": [')
    model.metadata_props[0].value = text


def outside(model: Any) -> None:
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "secret.bin"


DAMAGED = [
    (cut_metadata, "damaged metadata"),
    (newer, "version 9"),
    (no_classes, "damaged metadata"),
    (lambda model: model.metadata_props.pop(), "was not exported by effunet"),
    (outside, "keeps its weights in other files"),
]


@pytest.mark.parametrize(("change", "says"), DAMAGED)
@pytest.mark.parametrize("command", ["predict", "info"])
def test_a_file_that_is_none_of_ours_or_damaged_is_told_in_one_line(
    command: str,
    change: Any,
    says: str,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(bytes(2**16))
    model = edited(home / "model.onnx", tmp_path / "other.onnx", change)
    words = [str(home / "photo.png"), "--out", "out"] if command == "predict" else []
    capsys.readouterr()
    assert main([command, str(model), *words]) == 4
    err = capsys.readouterr().err
    assert err.startswith("effunet: ") and err.count("\n") == 1 and says in err, err
    assert not (tmp_path / "out").exists()


def test_a_cut_file_is_told(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((home / "model.onnx").read_bytes()[:5000])
    assert main(["info", str(cut)]) == 4
    err = capsys.readouterr().err
    assert "is damaged, or no ONNX model" in err and err.count("\n") == 1


def test_an_export_is_not_calibrated_and_not_exported_again(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(home / "model.onnx")
    words = ["--data", "synthetic", "--calibrate", str(tmp_path / "c.safetensors")]
    assert main(["evaluate", model, *words]) == 2
    assert "name a segmenter" in capsys.readouterr().err
    assert main(["export", model, "--format", "openvino"]) == 4


def test_the_segmenter_of_the_export_is_as_it_was(home: Path) -> None:
    assert tiny_segmenter()(home / "photo.png").mask.any()


def test_the_words_of_export_are_the_formats_that_there_are() -> None:
    assert set(FORMATS) == set(formats.FORMATS)
    assert {name: format.endings[0] for name, format in formats.FORMATS.items()} == ENDINGS
