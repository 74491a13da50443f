"""Bad input at every door: one clear line, the right exit code, and nothing written.

The words of a command line are in training/test_overrides.py, the images of predict in test_cli.py;
here are whole calls with data, weights and segmenters at fault.
"""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dataset_trees import plain_folder, random_image, stripes, tree_digest, write_png
from PIL import Image
from safetensors.torch import save_file
from tiny_segmenter import random_image as photo
from tiny_segmenter import saved
from tiny_training import train

from effunet.cli import main

YAML = """\
classes:
  - {name: sky, values: [0]}
  - {name: road, values: [1]}
  - {name: car, values: [2]}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a sound dataset in data/."""
    monkeypatch.chdir(tmp_path)
    for variable in ("CAMVID", "CITYSCAPES_DATASET"):
        monkeypatch.delenv(variable, raising=False)
    plain_folder(tmp_path / "data")
    return tmp_path


def refused(
    home: Path, capsys: pytest.CaptureFixture[str], code: int, says: list[str], call: Callable
) -> None:
    """One line on standard error that holds every word of says, and no file made or changed."""
    before = tree_digest(home)
    capsys.readouterr()
    assert call() == code
    err = capsys.readouterr().err
    assert err.startswith("effunet: ") and err.count("\n") == 1 and err.endswith("\n"), err
    assert "Traceback" not in err and "a bug of effunet" not in err
    for words in says:
        assert words in err, (words, err)
    assert tree_digest(home) == before


# Datasets: each fault is made in data/, and told by training and by evaluation alike

IMAGE, MASK = Path("train/images/train_000.png"), Path("train/masks/train_000.png")


def _cut_jpeg(data: Path) -> None:
    file = (data / IMAGE).with_suffix(".jpg")
    Image.fromarray(photo(32, 48)).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    (data / IMAGE).unlink()


def _text(data: Path) -> None:
    (data / IMAGE).write_text("no image")


def _broken_png(data: Path) -> None:
    content = bytearray((data / IMAGE).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (data / IMAGE).write_bytes(content)


def _unknown_value(data: Path) -> None:
    (data / "dataset.yaml").write_text(YAML)
    mask = stripes((0, 1, 2))
    mask[0, :7] = 200
    write_png(data / MASK, mask)


def _rgb_mask(data: Path) -> None:
    write_png(data / MASK, np.stack([stripes((0, 1, 2))] * 3, 2))


def _emptied(data: Path) -> None:
    shutil.rmtree(data)
    data.mkdir()


def _a_file(data: Path) -> None:
    shutil.rmtree(data)
    data.write_text("no folder")


def _twins(data: Path) -> None:
    Image.fromarray(random_image(9)).save((data / IMAGE).with_suffix(".jpg"))


FAULTS: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "missing folder": (shutil.rmtree, ["data does not exist", "give a folder"]),
    "a file": (_a_file, ["data is a file"]),
    "empty folder": (_emptied, ["data", "images", "dataset.yaml"]),
    "no val": (lambda data: shutil.rmtree(data / "val"), ["val"]),
    "no train images": (lambda data: shutil.rmtree(data / "train/images"), ["train", "images"]),
    "image without mask": (lambda data: (data / MASK).unlink(), ["train_000", "mask"]),
    "mask without image": (lambda data: (data / IMAGE).unlink(), ["train_000", "image"]),
    "size mismatch": (
        lambda data: write_png(data / MASK, stripes((0, 1, 2), size=(32, 47))),
        [str(IMAGE), "32 x 48", str(MASK), "32 x 47"],
    ),
    "unknown value": (_unknown_value, [str(MASK), "200 (7 px)", "dataset.yaml"]),
    "colours": (_rgb_mask, [str(MASK), "RGB", "dataset.yaml"]),
    "truncated jpeg": (_cut_jpeg, ["train_000.jpg", "Truncated"]),
    "text as png": (_text, [str(IMAGE)]),
    "broken png": (_broken_png, [str(IMAGE)]),
    "empty file": (lambda data: (data / IMAGE).write_bytes(b""), [str(IMAGE)]),
    "two images of one name": (_twins, ["train_000.jpg", "train_000.png"]),
    "unknown key": (
        lambda data: (data / "dataset.yaml").write_text(YAML + "ignor: [255]\n"),
        ["data/dataset.yaml", "ignor", "did you mean 'ignore'?"],
    ),
    "no yaml": (
        lambda data: (data / "dataset.yaml").write_text("classes: ["),
        ["data/dataset.yaml"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_dataset_at_fault_is_told_before_the_first_step(
    home: Path, capsys: pytest.CaptureFixture[str], fault: str
):
    make, says = FAULTS[fault]
    make(home / "data")
    refused(home, capsys, 3, says, lambda: train("data"))
    assert "step" not in capsys.readouterr().out


def test_an_image_in_train_and_val_ends_a_training_only_where_it_is_strict(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    (home / "data/val/images/val_000.png").write_bytes((home / "data" / IMAGE).read_bytes())
    says = ["1 of 2 images of val stand in train too", str(IMAGE), "remove one of each"]
    refused(home, capsys, 3, says, lambda: train("data", "dataset.strict=true"))
    assert train("data", "max_steps=1", "val_every=1") == 0
    assert says[0] in capsys.readouterr().out


@pytest.mark.parametrize(
    "fault", ["empty folder", "image without mask", "no train images", "unknown value", "colours"]
)
def test_evaluate_tells_the_same_of_the_split_that_it_reads(
    home: Path, capsys: pytest.CaptureFixture[str], fault: str
):
    saved(home)
    make, says = FAULTS[fault]
    make(home / "data")
    words = ["evaluate", "segmenter.safetensors", "--data", "data", "--split", "train", "--strict"]
    refused(home, capsys, 3, says, lambda: main(words))


def test_every_fault_of_a_dataset_is_named_at_once(home: Path, capsys: pytest.CaptureFixture[str]):
    for index in range(3):
        (home / f"data/train/images/train_00{index}.png").write_text("no image")
    names = [f"train_00{index}.png" for index in range(3)]
    refused(home, capsys, 3, [*names, "2 more"], lambda: train("data"))


@pytest.mark.parametrize("name", ["camvid", "cityscapes"])
def test_a_known_dataset_that_is_not_here_says_where_it_may_lie(
    home: Path, capsys: pytest.CaptureFixture[str], name: str
):
    variable = {"camvid": "$CAMVID", "cityscapes": "$CITYSCAPES_DATASET"}[name]
    says = [name, "dataset.root=DIR", variable]
    words = ["train", f"dataset={name}", "dataset.root=data/val"]
    refused(home, capsys, 3, says, lambda: main(words))


# Weights and segmenters


class Payload:
    """A pickle that leaves a canary behind when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.canary),)


def _pickle(file: Path) -> None:
    file.write_bytes(pickle.dumps(Payload(file.parent / "canary")))


def _other_net(file: Path) -> None:
    save_file({"conv1.weight": torch.zeros(2, 3, 3, 3)}, file)


def _unsaid_lineage(file: Path) -> None:
    save_file({"conv_stem.weight": torch.zeros(32, 3, 3, 3)}, file)


def _half_of_one(file: Path) -> None:
    save_file({"conv_stem.weight": torch.zeros(32, 3, 3, 3)}, file, {"naming": "tf_efficientnet"})


WEIGHTS: dict[str, tuple[str, Callable[[Path], Any], list[str]]] = {
    "missing": ("b0.safetensors", lambda file: None, ["no such weight file", "check the path"]),
    "pickle": ("b0.safetensors", _pickle, ["no readable .safetensors file"]),
    "pth": ("b0.pth", _pickle, ["could run code", "state_dict()"]),
    "text": (
        "b0.safetensors",
        lambda file: file.write_text("x" * 99),
        ["no readable .safetensors"],
    ),
    "another net": ("b0.safetensors", _other_net, ["conv1.weight", "known naming"]),
    "unsaid lineage": ("b0.safetensors", _unsaid_lineage, ["encoder.numerics=tf", "name"]),
    "not all": ("b0.safetensors", _half_of_one, ["does not fit b0", "lacks"]),
}


@pytest.mark.parametrize("fault", WEIGHTS)
def test_encoder_weights_that_do_not_fit_end_with_4_and_make_no_folder(
    home: Path, capsys: pytest.CaptureFixture[str], fault: str
):
    name, make, says = WEIGHTS[fault]
    make(home / name)
    words = ["dataset=folder", "dataset.root=data", "encoder=b0", f"encoder.weights={name}"]
    refused(home, capsys, 4, [name, *says], lambda: main(["train", *words]))
    assert not (home / "canary").exists()


def _b0() -> Path | None:
    root = Path(__file__).resolve().parents[1]
    named = os.environ.get("B0_WEIGHTS")
    shared = root / "../shared/weights/tf_efficientnet_b0_imagenet_encoder.safetensors"
    file = Path(named) if named else shared
    return file.resolve() if file.is_file() else None


@pytest.mark.skipif(_b0() is None, reason="needs the B0 weight file ($B0_WEIGHTS)")
def test_weights_of_another_variant_are_named_as_what_they_are(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["dataset=folder", "dataset.root=data", "encoder=b1", f"encoder.weights={_b0()}"]
    says = ["does not fit b1", "it looks like b0"]
    refused(home, capsys, 4, says, lambda: main(["train", *words]))


def _cut(file: Path) -> None:
    saved(file.parent)
    file.write_bytes(file.read_bytes()[:-100])


SEGMENTERS: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "pickle": (_pickle, ["segmenter.safetensors", "pickle"]),
    "torch": (lambda file: torch.save({"a": 1}, file), ["segmenter.safetensors", "pickle"]),
    "weights alone": (_other_net, ["weights alone"]),
    "cut": (_cut, ["cut or damaged"]),
    "text": (lambda file: file.write_text("x" * 99), ["no safetensors file"]),
    "missing": (lambda file: None, ["no segmenter.safetensors in the folder run"]),
}


@pytest.mark.parametrize("fault", SEGMENTERS)
@pytest.mark.parametrize("command", ["evaluate", "predict", "info"])
def test_a_segmenter_at_fault_ends_with_4(
    home: Path, capsys: pytest.CaptureFixture[str], command: str, fault: str
):
    make, says = SEGMENTERS[fault]
    (home / "run").mkdir()
    make(home / "run" / "segmenter.safetensors")
    more = {"evaluate": ["--data", "data"], "predict": ["data/val/images", "--out", "out"]}
    refused(home, capsys, 4, says, lambda: main([command, "run", *more.get(command, [])]))
    assert not (home / "run" / "canary").exists()


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (
            ("sky", "car", "road"),
            ["another order", "1: 'road' here, 'car' there", "2: 'car' here, 'road' there"],
        ),
        (("sky", "road"), ["3 classes here, 2 there", "2: 'car' here, nothing there"]),
        (("sky", "road", "car", "tree"), ["3 classes here, 4 there", "nothing here, 'tree' there"]),
        (("sky", "road", "bus"), ["(there): 2: 'car' here, 'bus' there. Name the dataset"]),
    ],
)
def test_classes_that_differ_from_the_datasets_are_refused_with_the_difference(
    home: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, ...], says: list[str]
):
    saved(home)
    plain_folder(home / "data", values=range(len(names)))
    entries = "".join(f"  - {{name: {n}, values: [{i}]}}\n" for i, n in enumerate(names))
    (home / "data" / "dataset.yaml").write_text("classes:\n" + entries)
    words = ["evaluate", "segmenter.safetensors", "--data", "data"]
    refused(home, capsys, 4, says, lambda: main(words))


# Words that only the data or the machine can judge

WORDS: dict[str, tuple[int, list[str]]] = {
    "encoder=b9": (2, ["encoder=b9", "b0, b1"]),
    "decoder=unett": (2, ["decoder=unett", "unet"]),
    "dataset=camvd": (2, ["dataset=camvd", "camvid"]),
    "augment=stret": (2, ["augment=stret", "street"]),
    "loss=dic": (2, ["loss=dic", "dice"]),
    "experiment=none_such": (2, ["experiment=none_such"]),
    "encoder.drop_pth=0": (2, ["encoder.drop_pth", "encoder.drop_path"]),
    "decoder.width=[1,2,3,4,5]": (2, ["decoder.width", "decoder.widths"]),
    "augment.scal=[1,2]": (2, ["augment.scal", "augment.scale"]),
    "optim.warmpu=0": (2, ["optim.warmpu", "optim.warmup"]),
    "max_epoch=3": (2, ["max_epoch", "max_epochs"]),
    "--max-epochs=3": (2, ["--max-epochs=3", "without dashes"]),
    "--epochs": (2, ["--epochs", "without dashes"]),
    "loss.class_weights=[1,2]": (2, ["3 classes need as many class weights, got 2"]),
    "dataset.val_split=valid": (3, ["valid", "val"]),
}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_at_fault_ends_with_one_line_and_its_mend(
    home: Path, capsys: pytest.CaptureFixture[str], word: str
):
    code, says = WORDS[word]
    refused(home, capsys, code, says, lambda: train("data", word))


def test_a_right_call_behind_all_the_wrong_ones_still_trains(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    for word in ("encoder=b9", "dataset.val_split=valid", "seed=1,2", "seed=[1"):
        assert train("data", word) in (2, 3)
    assert train("data", "max_steps=1") == 0
    assert "best segmenter" in capsys.readouterr().out
