"""The keys of sampling through the door: what is told, what is refused, what stays equal."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from dataset_trees import plain_folder
from tiny_training import draw_no_curves, state, stop_at, train

from effunet.data.catalog import open_dataset
from effunet.data.subset import Middles, Subset
from effunet.errors import UsageError
from effunet.training.config.read import to_config
from effunet.training.config.sampling import Sampling
from effunet.training.debug import debug_config
from effunet.training.launch import prepare
from effunet.training.overrides import check
from effunet.training.parts import epochs_of, find_classes

ALL = (
    *("sampling.classes=rare", "sampling.temperature=0.1", "sampling.copy_paste=0.5"),
    *("sampling.mix=classmix", "sampling.mix_chance=0.7"),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    draw_no_curves(monkeypatch)
    plain_folder(tmp_path / "data", values=(0, 0, 0, 0, 1, 0, 0, 2))
    return tmp_path


def test_a_training_tells_its_sampling_and_is_the_same_with_any_number_of_workers(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    states = []
    for workers in (0, 2):
        assert train("data", f"name=w{workers}", f"num_workers={workers}", *ALL) == 0
        out = capsys.readouterr().out
        assert "notice    50 % of the crops are aimed at a class: class_1 " in out
        assert "notice    50 % of the crops get a pasted piece: class_1 " in out
        states.append(state(home / "runs" / f"w{workers}"))
    assert states[0] == states[1]
    assert train("data", "name=plain") == 0
    assert state(home / "runs" / "plain") != states[0]


def test_a_training_that_was_killed_goes_on_with_the_samples_it_would_have_had(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    assert train("data", "name=whole", *ALL) == 0
    with monkeypatch.context() as patch:
        stop_at(patch, "on_train_batch_end", 4)
        assert train("data", "name=killed", *ALL) == 1
    assert train("data", "resume=runs/killed") == 0
    assert state(home / "runs" / "whole", pictures=False) == state(
        home / "runs" / "killed", pictures=False
    )


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"share": 0.3}, "sampling.share goes with sampling.classes=uniform or rare alone"),
        ({"classes": "uniform", "temperature": 0.1}, "goes with sampling.classes=rare alone"),
        ({"mix_chance": 0.1}, "goes with sampling.mix=cutmix or classmix alone"),
        ({"classes": "rares"}, r"must be one of none, uniform, rare \(did you mean rare\?\)"),
        ({"copy_paste": 1.1}, "must be at most 1.0"),
        ({"classes": "uniform", "share": 0.0}, "must be more than 0.0"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused(keys: dict[str, object], says: str):
    with pytest.raises(UsageError, match=says):
        to_config({"sampling": keys})


def test_without_a_choice_that_needs_them_no_mask_is_looked_at(home: Path):
    data = open_dataset(home / "data", "train")
    for mask in (home / "data").rglob("masks/*"):
        mask.write_bytes(b"none")
    for keys in ({}, {"mix": "cutmix"}):
        config = to_config({"sampling": keys})
        assert find_classes(config, data, lambda done, total: None) is None
        assert epochs_of(config, data, None).lines(data.labels.names) == []


def test_learning_by_heart_is_learning_of_the_same_crops():
    config = to_config({"debug": "overfit", "sampling": {"classes": "uniform", "mix": "cutmix"}})
    assert debug_config(config).sampling == Sampling()


def test_a_fast_debug_run_passes_through_every_choice(home: Path):
    assert train("data", "name=one", "debug=fast", *ALL) == 0


def test_weights_of_a_manifest_say_how_often_an_image_is_trained_on(home: Path):
    rows = ["image,mask,split,weight"]
    for split, weights in (("train", (0, 1, 1, 2)), ("val", (1, 1))):
        for index, weight in enumerate(weights):
            name = f"{split}_{index:03d}.png"
            rows.append(f"{split}/images/{name},{split}/masks/{name},{split},{weight}")
    (home / "data" / "all.csv").write_text("\n".join(rows))
    (home / "data" / "dataset.yaml").write_text(
        "name: mine\nclasses: [a, b, c]\nsplits: {train: train, val: val}\n"
        "layouts: [{manifest: all.csv}]\n"
    )
    data = open_dataset(home / "data", "train")
    epochs = epochs_of(to_config({}), data, None)
    drawn = [d.image for epoch in range(50) for d in epochs.draws(0, epoch, 4, 4)]
    assert [drawn.count(image) for image in range(4)] == [0, 50, 50, 100]
    assert Subset(data, [3, 1]).weights.tolist() == [2, 1]
    assert Subset(data, [0]).weights is None and Middles(data, [0, 3], (8, 8)).weights is None
    assert train("data", "name=one", "max_steps=2") == 0


def test_the_lines_of_the_page_about_sampling_pass_the_checks():
    page = (Path(__file__).resolve().parents[2] / "docs" / "sampling.md").read_text()
    lines = re.findall(r"^python train.py (.*?)(?: *#.*)?$", page, re.M)
    prepare()
    for line in lines:
        check(line.split(), multirun=False)
    keys = set(re.findall(r"sampling\.\w+", page))
    assert len(lines) == 4 and keys == {f"sampling.{item.name}" for item in fields(Sampling)}
