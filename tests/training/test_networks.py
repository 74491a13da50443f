"""A network of smp goes through the same path as our own, from the words to the masks."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dataset_trees import plain_folder
from tiny_training import draw_no_curves, state, stop_at

from effunet.cli import main
from effunet.data.files.pixels import RGB
from effunet.model.foreign import SmpNetwork, SmpPlan
from effunet.segmenter import Segmenter
from effunet.training.config.read import to_config
from effunet.training.parts import network_of
from effunet.training.recipe.optim import parameter_groups

SMALL = "tu-mobilenetv3_small_050"
WORDS = (
    *("network=smp", f"network.encoder={SMALL}", "augment=light", "dataset=folder"),
    *("dataset.crop=[32,32]", "batch_size=2", "num_workers=0", "max_steps=4"),
)


def train(data: str, *words: str) -> int:
    return main(["train", *WORDS, f"dataset.root={data}", *words])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with data/ and the run runs/whole of an FPN."""
    home = tmp_path_factory.mktemp("home")
    plain_folder(home / "data")
    with contextlib.chdir(home), pytest.MonkeyPatch.context() as patch:
        draw_no_curves(patch)
        assert train("data", "name=whole") == 0
        yield home


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_no_curves(monkeypatch)


def test_its_segmenter_evaluates_predicts_and_describes_itself(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    image = "data/val/images/val_000.png"
    assert main(["evaluate", "runs/whole", "--data", "data"]) == 0
    assert main(["predict", "runs/whole", image, "--out", "out", "--overlay"]) == 0
    assert (home / "out" / "val_000.png").is_file()
    capsys.readouterr()
    assert main(["info", "runs/whole"]) == 0
    said = capsys.readouterr().out
    assert f"encoder     {SMALL}\n" in said
    assert "decoder     FPN of segmentation_models_pytorch " in said


def test_stopped_and_resumed_it_is_the_uninterrupted_one_bit_for_bit(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "data", tmp_path / "data")
    with monkeypatch.context() as patch:
        stop_at(patch, "validated", 1)
        assert train("data", "name=cut") == 1
    assert main(["train", "resume=runs/cut"]) == 0
    assert state(tmp_path / "runs" / "cut") == state(home / "runs" / "whole")


def test_a_run_without_a_name_says_architecture_and_encoder(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    words = ("network.encoder=null", "network.architecture=PSPNet", "max_steps=1")
    assert train("data", *words) == 0
    assert "network   smp PSPNet tu-tf_efficientnet_b0, " in capsys.readouterr().out
    assert isinstance(Segmenter.load("runs/folder-pspnet-b0-1").network, SmpNetwork)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["network.encoder=resnett34"], 2, "there is resnet34"),
        (["network.encoder=mit_b0", "network.architecture=Linknet"], 2, "does not go with"),
        (["network.encoder=null", "encoder.weights=none.safetensors"], 4, "no such weight file"),
    ],
)
def test_what_cannot_be_built_ends_before_a_folder_is_made(
    words: list[str], code: int, says: str, home: Path, capsys: pytest.CaptureFixture[str]
):
    assert train("data", "name=never", *words) == code
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1
    assert not (home / "runs" / "never").exists()


def test_one_training_image_is_too_few_behind_a_global_pooling(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    plain_folder(home / "single", {"train": 1, "val": 1})
    words = ("network.architecture=DeepLabV3Plus", "dataset.crop=[64,64]", "name=single")
    assert train("single", *words) == 2
    assert "DeepLabV3Plus's global pooling" in capsys.readouterr().err


def test_encoder_and_rest_have_learning_rates_of_their_own():
    network = network_of(to_config({"network": {"name": "smp", "architecture": "FPN"}}), 3, RGB)
    assert network.plan == SmpPlan("FPN", "tu-tf_efficientnet_b0", 3)
    groups = parameter_groups(network, 1.0, 0.1, 0.01)
    rates = {id(weight): group["lr"] for group in groups for weight in group["params"]}
    for name, weight in network.named_parameters():
        assert rates[id(weight)] == (0.1 if name.startswith("encoder.") else 1.0)
