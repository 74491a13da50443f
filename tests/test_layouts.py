"""`predict --layout`: names, ids and colours that the servers of benchmarks expect.

What is official is written here from the servers' own code, named in effunet/commands/layouts.py.
"""

import re
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import yaml
from dataset_trees import random_image
from PIL import Image
from tiny_segmenter import saved, tiny_segmenter

from effunet.cli import main
from effunet.commands.layouts import LAYOUTS
from effunet.data.describe.read import read_description
from effunet.data.describe.shelf import description_file
from effunet.labels import LabelClass, LabelMap

# cityscapesScripts 2.3.0, helpers/labels.py: id of every class that is evaluated.
CITYSCAPES = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17,
    "traffic light": 19, "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23,
    "person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28, "train": 31,
    "motorcycle": 32, "bicycle": 33,
}  # fmt: skip

# VOC2012 development kit, VOClabelcolormap.m: the first entries, and the border's.
VOC_COLOURS = {
    0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128),
    5: (128, 0, 128), 6: (0, 128, 128), 7: (128, 128, 128), 8: (64, 0, 0), 15: (192, 128, 128),
    20: (0, 64, 128), 255: (224, 224, 192),
}  # fmt: skip

FRAMES = ("aachen_000000_000019", "bad-honnef_000001_000019", "ulm_000000_000019")
CASES = {
    "cityscapes": (FRAMES, "{}_leftImg8bit.png", "{}_labelIds.png"),
    "ade20k": (("ADE_test_00000001", "ADE_val_00002000"), "{}.jpg", "{}.png"),
    "voc": (
        ("2008_000006", "2007_000032"),
        "{}.jpg",
        "results/VOC2012/Segmentation/comp6_test_cls/{}.png",
    ),
}


def _labels(ids: dict[str, int]) -> LabelMap:
    return LabelMap(tuple(LabelClass(name, (v, v, v), (v,)) for name, v in ids.items()))


def _ids(layout: str) -> dict[str, int]:
    """Few classes are enough for a network; the server's own are those of the description."""
    if layout == "cityscapes":
        return CITYSCAPES
    first = int(layout == "ade20k")
    return {f"class {value}": value for value in range(first, 150 + first if first else 21)}


@pytest.fixture(autouse=True)
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptions of the server's ids in the working folder, where a user may have them, too."""
    for name, layout in LAYOUTS.items():
        classes = [{"name": key, "values": [value]} for key, value in _ids(name).items()]
        file = tmp_path / "data" / layout.dataset / "dataset.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(yaml.safe_dump({"classes": classes}))
    monkeypatch.chdir(tmp_path)


def _images(layout: str, folder: Path, size: tuple[int, int] = (33, 50)) -> list[Path]:
    names, pattern, _ = CASES[layout]
    files = [folder / name.split("_")[0] / pattern.format(name) for name in names]
    for seed, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random_image(seed, size)).save(file)
    return files


def _model(folder: Path, labels: LabelMap) -> Path:
    folder.mkdir(exist_ok=True)
    return saved(folder, labels=labels)


def _results(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_image_gets_the_server_s_name_and_ids(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, layout: str
) -> None:
    ids = _ids(layout)
    # In another order than the server's, and with raw values of the segmenter's own.
    mixed = {name: index for index, name in enumerate(sorted(ids, reverse=True))}
    model = _model(tmp_path / "model", _labels(mixed))
    files = _images(layout, tmp_path / "in")
    words = ["predict", str(model), str(tmp_path / "in"), "--out", "out", "--layout", layout]
    assert main(words) == 0
    names, _, result = CASES[layout]
    assert _results(tmp_path / "out") == {result.format(name) for name in names}
    segmenter = tiny_segmenter(labels=_labels(mixed))
    for name, file in zip(names, files, strict=True):
        expected = np.array([ids[key] for key in mixed])[segmenter(file).mask]
        with Image.open(tmp_path / "out" / result.format(name)) as picture:
            assert picture.mode == ("P" if layout == "voc" else "L")
            assert np.array_equal(np.array(picture), expected)
    printed = capsys.readouterr()
    assert f"the ids of {LAYOUTS[layout].title}" in printed.out
    first = {path: (tmp_path / "out" / path).read_bytes() for path in _results(tmp_path / "out")}
    assert main(words) == 0  # into the same folder, which holds its own results
    assert {path: (tmp_path / "out" / path).read_bytes() for path in first} == first


def test_a_segmenter_of_the_benchmark_itself_gives_the_raw_values_of_its_own_map(
    tmp_path: Path,
) -> None:
    labels = _labels(CITYSCAPES)
    model = _model(tmp_path / "model", labels)
    (file, *_) = _images("cityscapes", tmp_path / "in")
    assert main(["predict", str(model), str(file), "--out", "out", "--layout", "cityscapes"]) == 0
    with Image.open(f"out/{FRAMES[0]}_labelIds.png") as picture:
        decoded = labels.decode(tiny_segmenter(labels=labels)(file).mask)
        assert np.array_equal(np.array(picture), decoded)


def test_the_evaluator_s_pattern_finds_exactly_one_result_of_each_frame(tmp_path: Path) -> None:
    model = _model(tmp_path / "model", _labels(CITYSCAPES))
    _images("cityscapes", tmp_path / "in")
    assert main(["predict", str(model), "in", "--out", "out", "--layout", "cityscapes"]) == 0
    for frame in FRAMES:  # the pattern of getPrediction in evalPixelLevelSemanticLabeling.py
        assert sum(fnmatch(path.name, f"{frame}*.png") for path in Path("out").rglob("*")) == 1


def test_voc_has_its_own_palette_whatever_colours_the_segmenter_has(tmp_path: Path) -> None:
    model = _model(tmp_path / "model", _labels(_ids("voc")))
    _images("voc", tmp_path / "in")
    assert main(["predict", str(model), "in", "--out", "out", "--layout", "voc"]) == 0
    for file in Path("out").rglob("*.png"):
        with Image.open(file) as picture:
            flat = picture.getpalette()
            for index, colour in VOC_COLOURS.items():
                assert tuple(flat[3 * index : 3 * index + 3]) == colour


def _fails(capsys: pytest.CaptureFixture[str], code: int, says: str, *words: object) -> None:
    capsys.readouterr()
    assert main(["predict", *map(str, words)]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("effunet: ") and err.count("\n") == 1
    assert re.search(says, err), err
    assert not Path("out").exists() or _results(Path("out")) == {"other.png"}


def test_what_is_not_the_server_s_is_refused_before_anything_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = _model(tmp_path / "model", _labels(CITYSCAPES))
    _images("cityscapes", tmp_path / "in")
    words = (model, "in", "--out", "out", "--layout", "cityscapes")
    for option in ("--overlay", "--probabilities"):
        _fails(capsys, 2, "leave --overlay", *words, option)
    other = _model(tmp_path / "other", _labels({"road": 7, "tree": 21, "sky": 23}))
    says = r"tree are no classes of Cityscapes \(road, .*dataset=cityscapes"
    _fails(capsys, 4, says, other, *words[1:])

    twin = tmp_path / "in" / "again" / f"{FRAMES[0]}_leftImg8bit.png"
    twin.parent.mkdir()
    Image.fromarray(random_image(9)).save(twin)
    _fails(capsys, 3, "one image of Cityscapes by their names", *words)
    twin.unlink()

    for name in (f"{FRAMES[0]}.png", "aachen_0_000019_leftImg8bit.png", "photo.jpg"):
        Image.fromarray(random_image(9)).save(tmp_path / "in" / name)
        _fails(capsys, 3, rf"berlin_000000_000019_leftImg8bit.*{name}.*rename", *words)
        (tmp_path / "in" / name).unlink()

    Path("out").mkdir()
    Image.fromarray(random_image(9)).save("out/other.png")
    _fails(capsys, 2, r"other\.png.*empty folder", *words)


def test_an_input_is_never_overwritten_by_its_result(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = _model(tmp_path / "model", _labels(_ids("ade20k")))
    file = tmp_path / "mine" / "ADE_val_00000001.png"
    file.parent.mkdir()
    Image.fromarray(random_image(0)).save(file)
    before = file.read_bytes()
    words = (model, file, "--out", file.parent, "--layout", "ade20k")
    _fails(capsys, 2, "empty folder", *words)
    assert file.read_bytes() == before


def test_lacking_classes_and_other_sizes_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    few = {name: CITYSCAPES[name] for name in CITYSCAPES if name not in ("train", "bus")}
    model = _model(tmp_path / "model", _labels(few))
    _images("cityscapes", tmp_path / "in")
    assert main(["predict", str(model), "in", "--out", "out", "--layout", "cityscapes"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "does not know bus, train: the server of Cityscapes counts" in told[0]
    assert "3 images are not 1024 x 2048" in told[1] and "refuses" in told[1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_shipped_description_lists_the_server_s_ids(
    layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    file = description_file(LAYOUTS[layout].dataset)
    if file is None:
        pytest.skip(f"no data/{LAYOUTS[layout].dataset}/dataset.yaml in this checkout")
    labels = read_description(file).labels
    found = {c.name: v for c in labels.classes for v in c.values if isinstance(v, int)}
    official = {"cityscapes": CITYSCAPES.values(), "ade20k": range(1, 151), "voc": range(21)}
    assert sorted(found.values()) == sorted(official[layout])
    if layout == "cityscapes":
        assert found == CITYSCAPES
