"""`effunet explain`, as a user calls it."""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import plain_folder
from PIL import Image
from tiny_segmenter import random_image, saved, tiny_segmenter

from effunet.cli import _parser, main
from effunet.commands.explain.asked import class_named
from effunet.errors import UsageError
from effunet.explain import METHODS
from effunet.explain.explanation import DEFAULT_LAYER, DEFAULT_METHOD
from effunet.pictures.heat import MARK, coloured, heat_overlay, heat_sheet


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path)
    Image.fromarray(random_image(40, 56, 3)).save("photo.png")
    return tmp_path


def explain(*words: str) -> int:
    return main(["explain", "segmenter.safetensors", *words])


def predicted() -> list[str]:
    """Names of the classes in the photo, the largest first."""
    mask = tiny_segmenter()(random_image(40, 56, 3)).mask
    names = tiny_segmenter().labels.names
    return [
        names[n] for n in np.argsort(-np.bincount(mask.ravel(), minlength=3)) if (mask == n).any()
    ]


def test_one_class_is_one_picture_with_its_scale(capsys: pytest.CaptureFixture[str]) -> None:
    name = predicted()[0]
    assert explain("photo.png", "--class", name, "--out", "new/car.png") == 0
    said = capsys.readouterr().out
    assert re.search(
        rf"{name}: [\d,]+ pixels, [\d.]+ % sure of them; largest at x \d+, y \d+", said
    )
    with Image.open("new/car.png") as sheet:
        assert sheet.width > 2 * 480 and sheet.mode == "RGB"


@pytest.mark.parametrize(
    "words", [["--region", "5,6,20,10", "--over", "all"], ["--pixel", "55,39"], ["--over", "all"]]
)
def test_a_region_or_a_pixel_or_all_can_be_asked_for(words: list[str]) -> None:
    assert explain("photo.png", "--class", predicted()[0], *words, "--out", "part.png") == 0
    assert Path("part.png").is_file()


def test_a_class_is_found_by_other_capitals_where_they_leave_no_choice() -> None:
    assert class_named("car", ["Sky", "Car"]) == "Car"
    assert class_named("car", ["Car", "car"]) == "car"
    for name in ("CAR", "lorry"):
        with pytest.raises(UsageError, match="the model's classes are Car, car"):
            class_named(name, ["Car", "car"])


def test_a_folder_is_one_page_with_every_class_that_is_there(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos/deep").mkdir(parents=True)
    for name in ("a.png", "deep/b <x>.png"):
        Image.fromarray(random_image(40, 56, 3)).save(Path("photos", name))
    assert explain("photos", "--out", "maps") == 0
    assert f"{2 * len(predicted())} maps of 2 images" in capsys.readouterr().out
    page = Path("maps/index.html").read_text()
    for name in predicted():
        assert page.count(f">{name}: ") == 2
    assert "deep/b &lt;x&gt;.png" in page and "<x>" not in page
    assert page.count("data:image/jpeg;base64,") == 2 * (2 + len(predicted()))
    assert "http" not in page.replace("http-equiv", "")


def test_a_dataset_is_explained_with_its_truth_and_what_is_missed_is_said(home: Path) -> None:
    plain_folder(home / "data")
    write_yaml(home)
    assert explain("--data", "data", "--split", "val", "--out", "maps") == 0
    page = Path("maps/index.html").read_text()
    assert page.count('<figure class="pictures">') == 2
    # The stripes of the truth hold all three classes; what is nowhere predicted is missed.
    segmenter = tiny_segmenter()
    for file in sorted(Path("data/val/images").glob("*")):
        there = {segmenter.labels.names[n] for n in np.unique(segmenter(file).mask)}
        missed = set(segmenter.labels.names) - there
        for name in missed:
            assert f"{name}, missed" in page
    assert explain("data/val/images", "--data", "data", "--split", "val", "--out", "some") == 0
    assert explain("data/train", "--data", "data", "--split", "val", "--out", "none") == 3


def test_the_measures_are_a_table_and_the_same_as_json(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain_folder(home / "data")
    write_yaml(home)
    words = ("--data", "data", "--measure", "--layer", "encoder/16,decoder/1", "--limit", "1")
    assert explain(*words, "--out", "found.json") == 0
    said = capsys.readouterr().out
    assert "means over" in said and "by chance a point hits" in said
    found = json.loads(Path("found.json").read_text())
    assert len(found["rows"]) == 4 * 2 + 2 and found["images"] == 1
    for row in found["rows"]:
        assert f"{row['deletion']:.3f}" in said and row["method"] in said
    assert explain(*words, "--json") == 0
    assert json.loads(capsys.readouterr().out) == found


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["photo.png", "--class", "lorry", "--out", "a.png"], 2, "are sky, road, car"),
        (["photo.png", "--class", "sky", "--pixel", "56,0", "--out", "a.png"], 2, "x is 0 to 55"),
        (["photo.png", "--class", "sky", "--region", "50,0,9,9", "--out", "a.png"], 2, "56 wide"),
        (["photo.png", "--class", "sky", "--layer", "encoder/3", "--out", "a.png"], 2, "/32"),
        (["photo.png", "--class", "sky", "--method", "cam", "--out", "a.png"], 2, "grad-cam++"),
        (["photo.png", "--out", "a.png"], 2, "--class NAME"),
        (["photo.png"], 2, "--out DIR"),
        (["--out", "maps"], 2, "name images or folders"),
        (["nowhere.png", "--out", "maps"], 3, "nowhere.png"),
        (["photo.png", "photo.png", "--class", "sky", "--out", "a.png"], 2, "name one image"),
        (["photo.png", "--measure"], 2, "--data NAME"),
        (["photo.png", "--json", "--out", "maps"], 2, "--json goes with --measure"),
        (["photo.png", "--pixel", "1,1", "--out", "maps"], 2, "--pixel goes with one class"),
        (["photo.png", "--region", "1,1,0,4", "--out", "a.png"], 2, "left, top, width and height"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        found = explain(*words)
    except SystemExit as stop:  # argparse's own
        found = int(stop.code or 0)
    assert found == code
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert not Path("a.png").exists() and not Path("maps/index.html").exists()


def test_a_class_that_is_nowhere_predicted_is_said_with_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mask = tiny_segmenter()(random_image(40, 56, 3)).mask
    name = tiny_segmenter().labels.names[int(mask[0, 0])]
    rows, columns = np.nonzero(mask != mask[0, 0])
    place = f"{columns[0]},{rows[0]},1,1"
    words = ["photo.png", "--class", name, "--region", place, "--out", "a.png"]
    assert explain(*words) == 3
    other = tiny_segmenter().labels.names[int(mask[rows[0], columns[0]])]
    told = capsys.readouterr().err
    assert f"{name} is predicted nowhere in that region of photo.png (there are {other})" in told
    assert explain(*words, "--over", "all") == 0


@pytest.mark.long
def test_an_exported_file_is_refused_for_it_has_no_gradient(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript")
    assert main(["export", "segmenter.safetensors", "--format", "onnx", "--out", "m.onnx"]) == 0
    assert main(["explain", "m.onnx", "photo.png", "--class", "sky", "--out", "a.png"]) == 2
    assert "no gradient flows" in capsys.readouterr().err


def test_the_words_and_their_defaults_are_those_of_the_explainer() -> None:
    words = _parser().parse_args(["explain", "model"])
    assert (words.method, words.layer) == (DEFAULT_METHOD, DEFAULT_LAYER)
    shown = next(a for a in subparser("explain")._actions if a.dest == "method").help or ""
    assert all(name in shown for name in METHODS)


def subparser(name: str) -> argparse.ArgumentParser:
    (commands,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    return commands.choices[name]


def test_the_scale_grows_in_lightness_from_nothing_to_all() -> None:
    colours = coloured(np.linspace(0, 1, 256, dtype=np.float32)[None])[0].astype(float)
    light = (colours / 255) ** 2.2 @ [0.2126, 0.7152, 0.0722]
    lightness = np.cbrt(light)  # as perceived (CIE 1976, but for its constants)
    assert (np.diff(lightness) > -2e-3).all()
    half = lightness[128] - lightness[0], lightness[255] - lightness[128]
    assert half[0] == pytest.approx(half[1], rel=0.25)


def test_an_overlay_has_colour_from_the_map_alone_and_outlines_what_is_explained() -> None:
    image, heat = random_image(20, 30, 1), np.zeros((20, 30), np.float32)
    pixels = np.zeros((20, 30), bool)
    pixels[5:15, 5:25] = True
    found = heat_overlay(image, heat, pixels)
    outline = (found == MARK).all(-1)
    assert outline[5, 5:25].all() and outline[5:15, 24].all() and not outline[6:14, 6:24].any()
    # Grey where the map is nothing, but for the scale's own darkest colour.
    assert np.ptp(found[~outline].astype(int), axis=1).max() <= 4
    cross = np.zeros((20, 30), bool)
    cross[10, 10] = True
    marked = (heat_overlay(image, heat, cross) == MARK).all(-1)
    assert marked[10, 7:14].all() and marked[7:14, 10].all()
    assert not (heat_overlay(image, heat, np.ones((20, 30), bool)) == MARK).all(-1).any()


def test_a_sheet_holds_its_panels_side_by_side_at_a_readable_size() -> None:
    panel = random_image(30, 40, 2)
    sheet = heat_sheet([("one", panel), ("two", panel)], side=480)
    assert sheet.height >= 360 and sheet.width >= 960
    tall = heat_sheet([("a very long title that does not fit", random_image(900, 30, 2))])
    assert tall.height >= 900


def write_yaml(home: Path) -> None:
    """The classes of the tiny segmenter, for its data."""
    (home / "data" / "dataset.yaml").write_text(
        "classes:\n"
        + "".join(
            f"  - {{name: {one.name}, color: [{', '.join(map(str, one.color))}], values: [{n}]}}\n"
            for n, one in enumerate(tiny_segmenter().labels.classes)
        )
    )
