"""Config and training split -> the loss with its class weights, and a training with each."""

from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_trees import SIZE, plain_folder, write_png
from tiny_training import draw_no_curves, stop_at, train

from effunet.cli import main
from effunet.data.catalog import open_dataset
from effunet.errors import UsageError
from effunet.segmenter import Segmenter
from effunet.training import run
from effunet.training.config.data import Data
from effunet.training.config.read import to_config
from effunet.training.parts import class_weights_of, learnt, loss_of
from effunet.training.recipe.losses import CrossEntropy, build_loss


def loss_config(**keys: object):
    return to_config({"loss": {"name": "cross_entropy", **keys}})


def class_weights(loss: torch.nn.Module) -> list[float]:
    (weights,) = loss.buffers()
    return weights.tolist()


def test_computed_class_weights_win_over_those_of_the_config():
    config = loss_config(class_weights=[1.0, 2.0])
    assert class_weights(loss_of(config, 2)) == [1, 2]
    assert class_weights(loss_of(config, 2, [3.0, 4.0])) == [3, 4]
    weighted = loss_config(weighting="enet")
    assert not list(loss_of(weighted, 2).buffers())
    assert class_weights(loss_of(weighted, 2, [0.5, 1.5])) == [0.5, 1.5]


def test_class_weights_that_do_not_fit_the_dataset_are_the_users_fault():
    with pytest.raises(UsageError, match="3 classes need as many class weights, got 2"):
        loss_of(loss_config(class_weights=[1.0, 2.0]), 3)


def test_without_weighting_no_mask_is_read(tmp_path: Path):
    data = open_dataset(plain_folder(tmp_path), "train")
    for mask in tmp_path.rglob("masks/*"):
        mask.write_bytes(b"none")
    assert class_weights_of(loss_config(), data) is None


def test_class_weights_come_from_the_training_split(tmp_path: Path):
    data = open_dataset(plain_folder(tmp_path, values=(0, 1, 1, 1)), "train")
    weights, lines = class_weights_of(loss_config(weighting="inverse_sqrt"), data) or ([], [])
    np.testing.assert_allclose(weights[0] / weights[1], np.sqrt(3))
    assert len(lines) == 1 and lines[0].startswith("class weights (inverse_sqrt): ")


@pytest.mark.parametrize("share", [1.0, 0.5, 0.3, 0.26, 1e-6])
def test_a_share_of_the_training_split_is_spread_evenly_over_it(tmp_path: Path, share: float):
    data = open_dataset(plain_folder(tmp_path, {"train": 11, "val": 1}), "train")
    part = learnt(Data(train_share=share), data)
    assert len(part) == max(1, round(11 * share))
    places = [data.ids.index(name) for name in part.ids]
    gaps = np.diff([-1, *places, 11])  # as if the split were a circle, its ends half a gap each
    inner = gaps[1:-1]
    assert len(inner) == 0 or (inner.min() > 0 and inner.max() - inner.min() <= 1)
    assert abs(gaps[0] - gaps[-1]) <= 1


def test_a_share_of_one_is_the_split_itself(tmp_path: Path):
    data = open_dataset(plain_folder(tmp_path), "train")
    assert learnt(Data(), data) is data


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw_no_curves(monkeypatch)
    plain_folder(tmp_path / "data", values=(0, 1, 1, 1))
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["loss=sum", "loss.terms=[ohem,lovasz]", "loss.weighting=median_frequency"],
        ["loss=boundary", "loss.label_smoothing=0.1", "loss.weighting=effective_number"],
    ],
)
def test_a_training_descends_on_any_loss_by_its_name(words: list[str], home: Path):
    assert train("data", "name=one", "max_steps=2", *words) == 0
    assert len(Segmenter.load("runs/one").labels) == 2


def test_a_training_on_a_share_learns_and_weighs_that_share_alone(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    plain_folder(home / "other", {"train": 4, "val": 1}, values=(0, 1))
    for place in (0, 2):  # dataset.train_share=0.5 takes the second and the last
        mask = home / f"other/train/masks/train_{place:03d}.png"
        write_png(mask, np.zeros(SIZE, np.uint8))
    words = ["loss=cross_entropy", "loss.weighting=enet", "max_steps=1"]
    assert train("other", *words) == 0
    assert "(enet): background 1, foreground 1" not in capsys.readouterr().out
    assert train("other", *words, "dataset.train_share=0.5") == 0
    printed = capsys.readouterr().out
    assert "2 images to train on, 1 to validate on" in printed
    assert "(enet): background 1, foreground 1\n" in printed


def test_a_training_prints_its_class_weights_uses_them_and_uses_them_again_when_resumed(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    used: list[list[float]] = []

    def remember(config, classes, weights=None):
        if weights is not None:
            used.append(weights)
        return loss_of(config, classes, weights)

    monkeypatch.setattr(run, "loss_of", remember)
    with monkeypatch.context() as patch:
        stop_at(patch, "validated", 1)
        assert train("data", "loss=focal", "loss.weighting=enet", "name=one", "max_steps=4") == 1
    expected = 1 / np.log(1.02 + np.array([0.25, 0.75]))
    np.testing.assert_allclose(used[0], expected / expected.mean())
    printed = capsys.readouterr().out
    assert printed.count("class weights (enet)") == 1
    assert main(["train", "resume=runs/one"]) == 0
    assert len(used) == 2 and used[0] == used[1]
    names = Segmenter.load("runs/one").labels.names
    shown = ", ".join(f"{n} {w:.3g}" for n, w in zip(names, used[0], strict=True))
    assert f"class weights (enet): {shown}\n" in printed


def test_weights_that_are_all_one_are_no_weights():
    logits, target = torch.randn(1, 3, 4, 4), torch.randint(3, (1, 4, 4))
    even = build_loss("cross_entropy", 3, loss_config(class_weights=[1.0] * 3).loss)
    assert torch.equal(even(logits, target), CrossEntropy()(logits, target))
