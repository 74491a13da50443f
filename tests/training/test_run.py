"""A training from its words to its folder: what is written, what is printed, what is repeatable."""

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from dataset_trees import plain_folder, random_image, stripes, tree_digest, write_png
from PIL import Image
from tiny_training import STEPS, WORDS, draw_no_curves, state, train
from torch import Tensor

from effunet.cli import main
from effunet.data.augment.augment import Augment
from effunet.data.catalog import open_dataset
from effunet.data.dataset import Sample
from effunet.data.loading.loader import SegmentationData
from effunet.evaluation.evaluate import evaluate
from effunet.labels import LabelClass, LabelMap
from effunet.model.encoder import EfficientNet
from effunet.model.inference import Latest, rows
from effunet.model.network import EffUNet
from effunet.segmenter import Segmenter
from effunet.training.config.read import to_config, to_plain
from effunet.training.run import Run

FILES = {
    "segmenter.safetensors",
    "checkpoints",
    "checkpoints/last.ckpt",
    "metrics.csv",
    "metrics.json",
    "config.yaml",
    "curves.png",
    "predictions.png",
}


@dataclass(frozen=True)
class Trained:
    home: Path  # the working folder, with data/ and runs/one
    printed: str
    data_before: dict[str, tuple[int, int, bytes]]

    @property
    def run(self) -> Path:
        return self.home / "runs" / "one"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    home = tmp_path_factory.mktemp("home")
    data = plain_folder(home / "data")
    for path in (data, *data.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before, printed = tree_digest(data), io.StringIO()
    with contextlib.chdir(home), contextlib.redirect_stdout(printed):
        assert train(data, "name=one") == 0
    assert {path.name for path in home.iterdir()} == {"data", "runs"}
    yield Trained(home, printed.getvalue(), before)
    for path in (data, *data.rglob("*")):
        path.chmod(0o755)


@pytest.fixture(autouse=True)
def home(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained.home)
    draw_no_curves(monkeypatch)
    return trained.home


# What is left behind


def test_a_run_leaves_exactly_the_promised_files(trained: Trained):
    assert {str(f.relative_to(trained.run)) for f in trained.run.rglob("*")} == FILES
    for picture in ("curves.png", "predictions.png"):
        with Image.open(trained.run / picture) as image:
            assert image.width >= 1200


def test_a_dataset_folder_that_may_not_be_written_trains_and_stays_as_it_was(trained: Trained):
    assert tree_digest(trained.home / "data") == trained.data_before


@pytest.mark.parametrize(
    ("decoder", "strip", "count"),
    [
        ("efficient", 2**12, 24),
        ("efficient", rows.STRIP, 1),
        ("unet", 2**12, 6),
        ("unet", rows.STRIP, 1),
    ],
)
def test_the_segmenter_computes_the_bits_that_the_validation_does(
    decoder: Any, strip: int, count: int, monkeypatch: pytest.MonkeyPatch
):
    """Not so where torch takes the memory of one for planes and of the other for pixels."""
    monkeypatch.setattr(rows, "STRIP", strip)
    network = EffUNet(EfficientNet("b0"), 11, decoder).eval()  # narrower ones hide the difference
    labels = LabelMap(tuple(LabelClass(f"c{i}", (i, i, i), (i,)) for i in range(11)))
    pairs = [Sample(random_image(0, (96, 128)), np.zeros((96, 128), np.uint8), "one")]
    data = SegmentationData(pairs, pairs, Augment("none"), batch_size=1, seed=0)
    (batch,) = data.val_dataloader()
    strips = Latest().strips(network, batch["image"])  # what Training counts
    validated = [logits[0].softmax(0) for logits in strips]
    assert len(validated) == count
    found = Segmenter(network, labels).probabilities(pairs[0].image)
    assert torch.equal(found, torch.cat(validated, 1))


def test_metrics_json_is_what_evaluate_says_of_the_written_segmenter(trained: Trained):
    metrics = json.loads((trained.run / "metrics.json").read_text())
    segmenter = Segmenter.load(trained.run)
    assert metrics == evaluate(segmenter, open_dataset(trained.home / "data", "val")).to_plain()
    assert segmenter.metadata["scores"]["miou"] == metrics["miou"]


def test_runs_latest_is_the_newest_run(trained: Trained, home: Path):
    assert train("data", "name=newer", "max_steps=1") == 0
    assert (home / "runs" / "latest").readlink() == Path("newer")
    assert Segmenter.load("runs/latest").metadata == Segmenter.load("runs/newer").metadata


def test_runs_without_a_name_are_numbered(home: Path):
    for number in (1, 2):
        assert train("data", "max_steps=1") == 0
        assert (home / "runs" / f"folder-phi-{number}" / "segmenter.safetensors").is_file()


def test_the_last_step_is_validated_wherever_it_falls(home: Path):
    assert train("data", "name=odd", "max_steps=3", "val_every=2") == 0
    rows = (home / "runs" / "odd" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["1.5", "3"]]


# Repeatable


def test_the_python_door_and_the_command_line_give_the_same_bits(trained: Trained, home: Path):
    values = yaml.safe_load((trained.run / "config.yaml").read_text())
    config = to_config({**values, "name": "again"})
    assert to_plain(to_config(values)) == values
    segmenter = Run.from_config(config).fit()
    again = home / "runs" / "again"
    assert state(again) == state(trained.run)
    assert to_config(yaml.safe_load((again / "config.yaml").read_text())) == config
    best = Segmenter.load(trained.run).network.state_dict()
    assert all(torch.equal(w, best[name]) for name, w in segmenter.network.state_dict().items())


def test_the_number_of_workers_changes_no_bit(trained: Trained, home: Path):
    assert train("data", "name=workers", "num_workers=2") == 0
    assert state(home / "runs" / "workers") == state(trained.run)


def test_another_seed_gives_other_weights(trained: Trained, home: Path):
    assert train("data", "name=seeded", "seed=1") == 0
    seeded, first = state(home / "runs" / "seeded"), state(trained.run)
    assert seeded["last weights"] != first["last weights"]
    assert seeded["segmenter.safetensors"] != first["segmenter.safetensors"]


# What a person sees


def test_without_a_terminal_there_is_one_line_a_validation_and_no_control_character(
    trained: Trained,
):
    lines = trained.printed.splitlines()
    validations = [line for line in lines if line.startswith("epoch ")]
    assert [re.findall(r"step +(\d+)/6 ", line) for line in validations] == [["2"], ["4"], ["6"]]
    assert all(line.isprintable() for line in lines)


def test_the_next_commands_that_are_shown_work_as_they_stand(trained: Trained, home: Path):
    lines = [line.split() for line in trained.printed.splitlines()]
    shown = [words[1:] for words in lines if words[:1] == ["effunet"]]
    assert [words[0] for words in shown] == ["evaluate", "predict"]
    assert main(shown[0]) == 0
    image = "data/val/images/val_000.png"
    assert main([image if word == "IMAGE_OR_FOLDER" else word for word in shown[1]]) == 0
    assert (home / "out" / "val_000.png").is_file()


def test_a_terminal_gets_a_bar(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from rich.console import Console

    from effunet.training.output import progress

    def terminal(**options: object) -> Console:
        return Console(force_terminal=True, width=120)

    monkeypatch.setattr(progress, "Console", terminal)
    assert train("data", "name=bar", "max_steps=2") == 0
    assert "━" in capsys.readouterr().out


# Names and places


def test_strange_names_are_kept_from_the_training_to_the_prediction(home: Path):
    data = plain_folder(home / "-dä ta='1\"[x],{y}")
    quoted = data.name.replace("'", "\\'")
    words = [f"dataset.root='{quoted}'", "name='ein Läuf=[1]'", "max_steps=2"]
    assert main(["train", *WORDS, *words]) == 0
    run = home / "runs" / "ein Läuf=[1]"
    assert {str(f.relative_to(run)) for f in run.rglob("*")} == FILES
    assert yaml.safe_load((run / "config.yaml").read_text())["dataset"]["root"] == data.name
    image = data / "val" / "images" / "val_000.png"
    assert main(["predict", str(run), str(image), "--out", "aus ='gabe"]) == 0
    assert (home / "aus ='gabe" / "val_000.png").is_file()


def test_a_name_that_exists_is_refused_with_the_way_to_go_on(
    trained: Trained, capsys: pytest.CaptureFixture[str]
):
    before = tree_digest(trained.home)
    assert train("data", "name=one") == 2
    assert "name=one" in (said := capsys.readouterr().err) and "resume=runs/one" in said
    assert tree_digest(trained.home) == before


@pytest.mark.parametrize("name", ["''", "..", "/tmp/x", "a/b", "latest", "x" * 256])
def test_a_run_is_one_folder_of_runs(name: str, home: Path, capsys: pytest.CaptureFixture[str]):
    before = tree_digest(home)
    assert train("data", f"name={name}") == 2
    assert "a run is one folder of runs/" in capsys.readouterr().err
    assert tree_digest(home) == before


def test_a_place_that_cannot_be_written_is_told_before_the_first_step(
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("a file")
    assert train(home / "data") == 5
    out, err = capsys.readouterr()
    assert err.startswith("effunet: runs/folder-phi-1: ") and err.count("\n") == 1
    assert "epoch" not in out


# What the machine and the data decide


def test_a_training_in_mixed_precision_clips_too_and_validates_in_float32(home: Path):
    assert train("data", "name=clipped", "max_steps=2", "precision=bf16", "optim.clip=1.0") == 0
    metrics = json.loads((home / "runs" / "clipped" / "metrics.json").read_text())
    segmenter = Segmenter.load(home / "runs" / "clipped")
    assert metrics == evaluate(segmenter, open_dataset(home / "data", "val")).to_plain()


def test_the_memory_layout_of_a_step_is_the_one_asked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[bool] = []

    def forward(network: EffUNet, image: Tensor, original: Any = EffUNet.forward) -> Tensor:
        if network.training:
            weight = network.encoder.stem.conv.weight
            channels = weight.is_contiguous(memory_format=torch.channels_last)
            assert channels == image.is_contiguous(memory_format=torch.channels_last)
            seen.append(channels)
        return original(network, image)

    monkeypatch.setattr(EffUNet, "forward", forward)
    assert train("data", "name=pixels", "max_steps=1") == 0
    assert train("data", "name=planes", "max_steps=1", "channels_last=false") == 0
    assert seen == [True, False]


def test_grey_images_train_a_grey_segmenter(home: Path):
    data = plain_folder(home / "grey")
    for image in data.glob("*/images/*"):
        write_png(image, random_image(0)[..., 0])
    classes = [{"name": f"c{value}", "values": [value]} for value in range(3)]
    (data / "dataset.yaml").write_text(yaml.safe_dump({"channels": 1, "classes": classes}))
    assert train("grey", "name=grey", "max_steps=2") == 0
    assert Segmenter.load(home / "runs" / "grey").channels == 1


def test_one_training_image_is_refused_where_batchnorm_would_fail_and_trains_elsewhere(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    plain_folder(home / "single", {"train": 1, "val": 1})
    assert train("single", "name=single") == 2
    assert "BatchNorm" in capsys.readouterr().err
    assert not (home / "runs" / "single").exists()
    assert train("single", "name=single", "dataset.crop=[32,64]", "max_steps=1") == 0


def test_a_class_that_no_image_shows_and_ignored_pixels_do_not_end_a_training(home: Path):
    data = plain_folder(home / "sparse", values=(0, 1, 2, 255))
    nothing = np.full_like(stripes((0,)), 255)
    for name in ("train_000", "train_001", "train_002"):
        write_png(data / "train" / "masks" / f"{name}.png", nothing)
    assert train("sparse", "name=sparse", "loss=cross_entropy", f"max_steps={STEPS}") == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("word", ["accelerator=gpu", "precision=fp16"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_made(
    word: str, home: Path, capsys: pytest.CaptureFixture[str]
):
    before = tree_digest(home)
    assert train("data", word) == 5
    assert capsys.readouterr().err.startswith(f"effunet: {word}: ")
    assert tree_digest(home) == before


def test_a_call_leaves_the_words_of_the_program_as_they_were(
    monkeypatch: pytest.MonkeyPatch, home: Path
):
    monkeypatch.setattr("sys.argv", ["mine", "--own"])
    assert train("nowhere") == 3
    assert sys.argv == ["mine", "--own"]
