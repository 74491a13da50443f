"""Config and training split -> the loss with its class weights, and a training with each."""

from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_trees import plain_folder
from tiny_training import draw_no_curves, stop_at, train

from effunet.cli import main
from effunet.data.catalog import open_dataset
from effunet.errors import UsageError
from effunet.segmenter import Segmenter
from effunet.training import run
from effunet.training.config.read import to_config
from effunet.training.parts import class_weights_of, loss_of
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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw_no_curves(monkeypatch)
    plain_folder(tmp_path / "data", values=(0, 1, 1, 1))
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["loss=sum", "loss.terms={ohem:1,lovasz:1}", "loss.weighting=median_frequency"],
        ["loss=boundary", "loss.label_smoothing=0.1", "loss.weighting=effective_number"],
    ],
)
def test_a_training_descends_on_any_loss_by_its_name(words: list[str], home: Path):
    assert train("data", "name=one", "max_steps=2", *words) == 0
    assert len(Segmenter.load("runs/one").labels) == 2


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
