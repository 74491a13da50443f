"""Debug runs: a handful of images learnt by heart, and every part once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_trees import SIZE, plain_folder, stripes, write_png
from tiny_training import draw_no_curves, train

from effunet.data.augment.augment import Augment
from effunet.data.augment.presets import GREY
from effunet.data.catalog import open_dataset
from effunet.data.subset import Middles, Subset
from effunet.labels import IGNORE
from effunet.segmenter import Segmenter
from effunet.training.config.read import to_config, to_plain
from effunet.training.debug import debug_config, debug_datasets

VALUES = {
    "max_epochs": 40,
    "batch_size": 16,
    "name": "mine",
    "augment": {"preset": "strong", "scale": [0.5, 2.0]},
    "loss": {"label_smoothing": 0.1, "class_weights": [1.0, 2.0, 3.0]},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw_no_curves(monkeypatch)
    return tmp_path


def bright_folder(root: Path) -> Path:
    """Images that can be learnt: each class has its own grey level."""
    plain_folder(root, {"train": 4, "val": 2})
    for mask in root.glob("*/masks/*.png"):
        labels = stripes((0, 1, 2), shift=int(mask.stem[-1]))
        write_png(mask, labels)
        write_png(root / mask.parts[-3] / "images" / mask.name, np.stack([60 + 80 * labels] * 3, 2))
    return root


@pytest.mark.parametrize("debug", ["overfit", "fast"])
def test_a_debug_config_is_a_right_config_and_twice_is_once(debug: str):
    config = debug_config(to_config({**VALUES, "debug": debug}))
    assert debug_config(config) == config == to_config(to_plain(config))
    assert config.name == f"mine-{debug}"


def test_without_debug_nothing_changes():
    config = to_config(VALUES)
    assert debug_config(config) == config
    train_set = val_set = open_dataset("synthetic", "val")
    assert debug_datasets(config, train_set, val_set) == (train_set, val_set)


def test_overfit_turns_off_what_holds_learning_back_and_keeps_the_recipe():
    whole = to_config({**VALUES, "debug": "overfit"})
    config = debug_config(whole)
    assert (config.max_steps, config.val_every, config.batch_size) == (300, 50, 8)
    assert config.augment.preset == "none" and config.augment.scale is None
    assert config.encoder.drop_path == config.loss.label_smoothing == config.optim.weight_decay == 0
    assert config.loss.class_weights == whole.loss.class_weights
    assert config.optim.lr == whole.optim.lr
    assert debug_config(replace(whole, max_steps=40)).max_steps == 40


def test_overfit_reaches_a_high_score_on_images_that_can_be_learnt_and_says_what_it_proves(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    bright_folder(home / "data")
    words = ("debug=overfit", "max_steps=100", "optim.lr=0.01", "dataset.crop=[32,48]")
    assert train("data", *words, "batch_size=4") == 0
    out = capsys.readouterr().out
    segmenter = Segmenter.load(home / "runs" / "folder-phi-overfit-1")
    assert segmenter.metadata["scores"]["miou"] > 0.9
    assert segmenter.metadata["scores"]["split"] == "train"
    assert "a DEBUG RUN, its numbers mean nothing" in out
    assert "on images learnt by heart: labels, loss and network work together" in out


def test_overfit_on_wrong_labels_says_where_to_look(home: Path, capsys: pytest.CaptureFixture[str]):
    plain_folder(home / "data")
    assert train("data", "debug=overfit", "max_steps=2") == 0
    assert "on the very images it has learnt: look at predictions.png" in capsys.readouterr().out


def test_fast_leaves_a_complete_run_after_two_steps_and_two_images(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    plain_folder(home / "data", {"train": 9, "val": 5})
    assert train("data", "name=try", "max_steps=null", "debug=fast", "loggers=[tensorboard]") == 0
    run = home / "runs" / "try-fast"
    files = ("segmenter.safetensors", "metrics.csv", "metrics.json", "config.yaml", "curves.png")
    assert all((run / file).is_file() for file in (*files, "predictions.png"))
    assert (run / "tensorboard").is_dir()
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 2
    assert Segmenter.load(run).metadata["scores"]["images"] == 2
    out = capsys.readouterr().out
    assert out.count("epoch ") == 1 and "every part has run once" in out


# Subsets


def test_a_subset_keeps_the_samples_and_the_facts_of_its_dataset(tmp_path: Path):
    whole = open_dataset(plain_folder(tmp_path / "data"), "train")
    few = Subset(whole, [2, 0])
    assert [sample.name for sample in few] == list(few.ids) == [whole.ids[2], whole.ids[0]]
    assert (few.name, few.split, few.labels) == (whole.name, whole.split, whole.labels)
    assert few.image_path(0) == whole.image_path(2) and few.mask_path(1) == whole.mask_path(0)
    assert np.array_equal(few[1].image, whole[0].image)
    with pytest.raises(IndexError):
        few[2]


@pytest.mark.parametrize("size", [(32, 32), (20, 48), (33, 64), (40, 16)])
def test_a_middle_is_what_every_crop_of_its_size_shows(tmp_path: Path, size: tuple[int, int]):
    whole = open_dataset(plain_folder(tmp_path / "data"), "train")
    sample = Middles(whole, [1], size)[0]
    assert sample.image.shape == (*size, 3) and sample.mask.shape == size
    for seed in range(5):
        image, mask = Augment("none", size)(sample.image, sample.mask, seed)
        assert np.array_equal(image, sample.image) and np.array_equal(mask, sample.mask)
    inside = [
        slice(max(0, n - m) // 2, max(0, n - m) // 2 + m) for n, m in zip(size, SIZE, strict=True)
    ]
    assert (sample.mask != IGNORE).sum() == min(size[0], SIZE[0]) * min(size[1], SIZE[1])
    kept = sample.image[inside[0], inside[1]]
    cut = [
        slice(max(0, m - n) // 2, max(0, m - n) // 2 + n) for n, m in zip(size, SIZE, strict=True)
    ]
    assert np.array_equal(kept, whole[1].image[cut[0], cut[1]])
    outside = np.ones(size, bool)
    outside[inside[0], inside[1]] = False
    assert (sample.image[outside] == GREY).all() and (sample.mask[outside] == IGNORE).all()
