"""A training that starts from a segmenter: what is kept, what is fresh, and what is refused."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from dataset_trees import plain_folder, tree_digest
from tiny_segmenter import tiny_segmenter
from tiny_training import draw_no_curves, state, stop_at

from effunet.cli import main
from effunet.data.catalog import open_dataset
from effunet.data.files.pixels import RGB
from effunet.errors import UsageError
from effunet.model.encoder import Numerics
from effunet.model.foreign import SmpNetwork, SmpPlan
from effunet.model.network import EffUNet
from effunet.segmenter import Segmenter
from effunet.training import initial, machine
from effunet.training.config.read import to_config
from effunet.training.launch import prepare
from effunet.training.overrides import check
from effunet.training.parts import network_of

WORDS = (
    *("dataset=folder", "augment=light", "dataset.crop=[32,32]", "batch_size=2"),
    *("num_workers=0", "max_steps=4"),
)
NETWORK = (
    "encoder=phi",
    "encoder.phi=-4",
    "encoder.alpha=1.1",
    "encoder.gamma=1.3",
    "encoder.skip=stage1",
    "decoder=unet",
    "decoder.widths=[16,8,8,8,8]",
)


def train(data: str, *words: str) -> int:
    return main(["train", *WORDS, f"dataset.root={data}", *words])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with runs/first of three classes, data/ of the same, more/ of four."""
    home = tmp_path_factory.mktemp("home")
    plain_folder(home / "data")
    plain_folder(home / "more", values=(0, 1, 2, 3))
    with contextlib.chdir(home), pytest.MonkeyPatch.context() as patch:
        draw_no_curves(patch)
        assert train("data", *NETWORK, "name=first") == 0
        yield home


@pytest.fixture(autouse=True)
def fast(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_no_curves(monkeypatch)
    monkeypatch.chdir(home)


def weights(run: str) -> dict[str, torch.Tensor]:
    return Segmenter.load(run).network.state_dict()


def test_equal_classes_keep_every_weight_and_the_network_comes_from_the_file(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    # At so small a learning rate the weights stay what they were.
    assert train("data", "name=second", "init_from=runs/first", "optim.lr=1e-12") == 0
    said = capsys.readouterr().out
    assert "network   EffUNet phi-4a1.1b1.1g1.3, as in runs/first, " in said
    assert "encoder   from runs/first, with decoder and head (" in said
    before, after = Segmenter.load("runs/first"), Segmenter.load("runs/second")
    assert after.network.plan == before.network.plan
    for name, weight in before.network.named_parameters():
        torch.testing.assert_close(after.network.get_parameter(name), weight, rtol=0, atol=1e-9)
    stored = yaml.safe_load((home / "runs" / "second" / "config.yaml").read_text())
    assert stored["encoder"]["phi"] == -4 and stored["decoder"]["widths"] == [16, 8, 8, 8, 8]


def test_other_classes_are_refused_with_both_names_and_the_mend(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    before = tree_digest(home)
    assert train("more", "init_from=runs/first") == 4
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "3: nothing here, 'class_3' there" in err and "network.reset_head=true" in err
    assert tree_digest(home) == before


def test_a_fresh_head_takes_other_classes_and_keeps_the_rest(
    capsys: pytest.CaptureFixture[str],
):
    words = ("name=third", "init_from=runs/first", "network.reset_head=true", "optim.lr=1e-12")
    assert train("more", *words) == 0
    assert "from runs/first, with the decoder; a fresh head (" in capsys.readouterr().out
    before, after = Segmenter.load("runs/first").network, Segmenter.load("runs/third").network
    assert after.plan == replace(before.plan, classes=4)
    for name, weight in after.named_parameters():
        if not name.startswith("head."):
            expected = before.get_parameter(name)
            torch.testing.assert_close(weight, expected, rtol=0, atol=1e-9)


def test_a_fresh_head_is_fresh_for_equal_classes_too():
    config = to_config({"init_from": "runs/first", "network": {"reset_head": True}})
    before, after = weights("runs/first"), network_of(config, 3, RGB).state_dict()
    assert {n for n in after if not torch.equal(after[n], before[n])} == {
        "head.weight", "head.bias",
    }  # fmt: skip


def test_resumed_it_needs_the_first_segmenter_no_more(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    words = ("init_from=start", "network.reset_head=true")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "more", tmp_path / "more")
    shutil.copytree(home / "runs" / "first", tmp_path / "start")
    assert train("more", "name=whole", *words) == 0
    with monkeypatch.context() as patch:
        stop_at(patch, "validated", 1)
        assert train("more", "name=cut", *words) == 1
    shutil.rmtree(tmp_path / "start")
    assert main(["train", "resume=runs/cut"]) == 0
    assert state(tmp_path / "runs" / "cut") == state(tmp_path / "runs" / "whole")


def test_the_newest_run_is_written_down_by_its_own_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    (home / "runs" / "latest").unlink()
    (home / "runs" / "latest").symlink_to("first")
    config = to_config({"init_from": "runs/latest"})
    assert initial.settled(config).init_from == "runs/first"
    monkeypatch.setattr(machine, "processes", lambda config: machine.Processes(1, 2))
    inside = to_config({"init_from": "runs/latest/segmenter.safetensors"})
    with monkeypatch.context() as patch:
        patch.setattr(machine, "processes", lambda config: machine.Processes(1, 1))
        assert initial.settled(inside).init_from == "runs/first/segmenter.safetensors"
    with pytest.raises(UsageError, match="use init_from=runs/first"):
        initial.settled(config)


def test_numerics_that_no_key_describes_come_along(tmp_path: Path):
    segmenter = tiny_segmenter()
    plan = replace(segmenter.network.plan, numerics=Numerics("symmetric", 1e-5, (0.5,), (0.5,)))
    segmenter.network = EffUNet.from_plan(plan)
    segmenter.save(tmp_path / "own.safetensors")
    config = initial.settled(to_config({"init_from": str(tmp_path / "own.safetensors")}))
    network = network_of(config, 3, RGB)
    assert network.plan == plan
    assert config.decoder.widths == [16, 12, 8, 8, 8]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["encoder=b3"], 2, "encoder.name=b3: init_from=runs/first has encoder.name=phi"),
        (["decoder.widths=[8,8,8,8,8]"], 2, "leave out decoder.widths=[8,8,8,8,8]"),
        (["network=smp"], 2, "network.name=smp: init_from=runs/first has network.name=effunet"),
        (["init_from=runs/nowhere"], 4, "no segmenter at runs/nowhere"),
        (["init_from=https://x.org/a"], 4, "fetches no segmenter"),
    ],
)
def test_what_contradicts_the_file_is_refused_in_one_line(
    words: list[str], code: int, says: str, home: Path, capsys: pytest.CaptureFixture[str]
):
    before = tree_digest(home)
    init = [] if "init_from" in words[0] else ["init_from=runs/first"]
    assert train("data", *init, *words) == code
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1
    assert tree_digest(home) == before


def test_the_recipe_of_a_dataset_does_not_contradict_the_file():
    prepare()
    check(["init_from=runs/first", "dataset=synthetic"], multirun=False)
    values = {"init_from": "runs/first", "decoder": {"widths": [64, 32, 16]}}
    assert initial.settled(to_config(values)).decoder.widths == [16, 8, 8, 8, 8]


def test_images_of_other_channels_are_refused(tmp_path: Path):
    grey = tiny_segmenter(channels=1)
    grey.save(tmp_path / "grey.safetensors")
    config = to_config({"init_from": str(tmp_path / "grey.safetensors")})
    data = open_dataset("data", "train")
    with pytest.raises(initial.ModelError, match="images of 1 channels, and the dataset has 3"):
        initial.check_classes(config, data.labels, data.channels)


@pytest.mark.parametrize("encoder", ["tu-tf_efficientnet_b0", "tu-mobilenetv3_small_050"])
def test_a_network_of_smp_starts_likewise(encoder: str, tmp_path: Path):
    network = SmpNetwork(SmpPlan("FPN", encoder, 3, mean=(0.5,), std=(0.5,)))
    Segmenter(network, tiny_segmenter().labels).save(tmp_path / "smp.safetensors")
    values = {"init_from": str(tmp_path / "smp.safetensors"), "network": {"reset_head": True}}
    config = initial.settled(to_config(values))
    assert (config.network.name, config.network.architecture) == ("smp", "FPN")
    fresh = network_of(config, 5, RGB)
    assert fresh.plan == replace(network.plan, classes=5)
    before, after = network.state_dict(), fresh.state_dict()
    assert all(n.startswith("head.") or torch.equal(w, before[n]) for n, w in after.items())
