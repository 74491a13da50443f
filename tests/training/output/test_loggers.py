"""Loggers read back, resumed, broken and missing; the training does not care."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from dataset_trees import plain_folder
from tiny_training import Stop, draw_no_curves, state, stop_at, train

from effunet.errors import ResourceError, UsageError
from effunet.training.config import installed
from effunet.training.config.installed import require_loggers
from effunet.training.config.read import to_config
from effunet.training.output import adapters
from effunet.training.output.loggers import LOGGERS, Loggers, open_loggers

NAMES = ("tensorboard", "wandb", "mlflow")
PICTURES = {"a b": np.full((4, 6, 3), 7, np.uint8), "c": np.full((5, 4, 3), 9, np.uint8)}
TENSORBOARD = "loggers=[tensorboard]"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    plain_folder(tmp_path / "data")
    draw_no_curves(monkeypatch)
    return tmp_path


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tensorboard"), {"scalars": 0, "images": 0, "tensors": 0})
    read.Reload()
    return read


def config_of(*names: str) -> Any:
    return to_config({"loggers": list(names)})


# A training that is logged


def test_tensorboard_holds_every_row_the_pace_and_the_same_pictures_each_time(home: Path):
    assert train("data", "name=one", TENSORBOARD) == 0
    run = home / "runs" / "one"
    read = events(run)
    lines = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    for name in ("lr", "train_loss", "val_loss", "miou", "epoch"):
        column = lines[0].index(name)
        scalars = [(event.step, event.value) for event in read.Scalars(name)]
        assert scalars == [
            (int(line[1]), pytest.approx(float(line[column]), rel=1e-6)) for line in lines[1:]
        ]
    assert all(event.value > 0 for event in read.Scalars("images_per_second"))
    assert all(0 <= event.value <= 1 for event in read.Scalars("waiting_share"))
    assert read.Tags()["images"] == ["predictions/val_000", "predictions/val_001"]
    for tag in read.Tags()["images"]:
        assert [event.step for event in read.Images(tag)] == [2, 4, 6]
    (text,) = read.Tensors("config/text_summary")
    assert b"| `optim.lr` | 0.001 |" in text.tensor_proto.string_val[0]


def test_what_is_logged_does_not_change_what_is_learnt_and_the_pace_is_no_part_of_the_run(
    home: Path,
):
    assert train("data", "name=plain") == 0
    assert train("data", "name=logged", TENSORBOARD) == 0
    assert state(home / "runs" / "logged") == state(home / "runs" / "plain")
    assert not (home / "runs" / "plain" / "tensorboard").exists()


def test_the_last_validation_behind_the_last_epoch_is_logged_too(home: Path):
    assert train("data", "name=odd", "max_steps=3", "val_every=2", TENSORBOARD) == 0
    assert [event.step for event in events(home / "runs" / "odd").Scalars("miou")] == [3]


def test_a_resumed_training_goes_on_in_the_same_log_without_a_step_twice(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        stop_at(patch, "on_train_batch_end", 5, Stop)
        assert train("data", "name=one", TENSORBOARD) == 1
    run = home / "runs" / "one"
    open_loggers(config_of("tensorboard"), run).log({"miou": 9.0}, 5)  # behind the checkpoint
    from effunet.cli import main

    assert main(["train", "resume=runs/one"]) == 0
    scalars = events(run).Scalars("miou")
    assert [event.step for event in scalars] == [2, 4, 6]
    assert all(event.value <= 1 for event in scalars)


# What is missing or breaks


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_package_is_told_with_the_line_that_installs_it_before_anything_is_made(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(installed, "find_spec", lambda module: None if module == name else object())
    assert train("nowhere", "name=one", f"loggers=[{name}]") == 2
    err = capsys.readouterr().err
    assert f'pip install "effunet[{name}]"' in err and err.count("\n") == 1
    assert not (home / "runs").exists()
    require_loggers([other for other in NAMES if other != name])


def test_looking_for_a_package_imports_neither_it_nor_torch():
    code = (
        "import sys; from effunet.training.config.installed import require_loggers\n"
        "from effunet.errors import UsageError\n"
        "require_loggers(['tensorboard'])\n"
        "assert not {'torch', 'tensorboard'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class Broken:
    """Takes one row and then no more."""

    def __init__(self, folder: Path, step: int) -> None:
        self.rows = 0

    def log(self, row: Mapping[str, float], step: int) -> None:
        self.rows += 1
        if self.rows == 2:
            raise OSError(28, "No space left on device\nin several lines")

    def log_images(self, pictures: Any, step: int) -> None:
        pass

    def log_config(self, values: Mapping[str, Any]) -> None:
        pass

    def close(self, status: str) -> None:
        raise AssertionError("closed after it was switched off")


def test_a_logger_that_breaks_costs_one_notice_and_the_others_and_the_training_go_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(installed, "find_spec", lambda module: object())
    monkeypatch.setitem(LOGGERS, "wandb", Broken)
    assert train("data", "name=one", "loggers=[wandb,tensorboard]") == 0
    out, err = capsys.readouterr()
    (notice,) = [line for line in out.splitlines() if "switched off" in line]
    assert notice.startswith("notice    wandb is switched off, the training goes on: OSError:")
    assert err == ""
    assert len(events(home / "runs" / "one").Scalars("miou")) == 3
    assert (home / "runs" / "one" / "segmenter.safetensors").is_file()


def test_a_logger_that_cannot_start_ends_the_run_before_its_first_step(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refuse(folder: Path, step: int) -> Any:
        raise RuntimeError("no account\nand a long story")

    monkeypatch.setitem(LOGGERS, "tensorboard", refuse)
    assert train("data", "name=one", TENSORBOARD) == 5
    out, err = capsys.readouterr()
    assert "tensorboard cannot be opened (RuntimeError: no account)" in err
    assert err.count("\n") == 1 and "epoch" not in out


class Notes:
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def log(self, row: Mapping[str, float], step: int) -> None:
        self.calls.append((dict(row), step))

    def log_images(self, pictures: Any, step: int) -> None:
        self.calls.append((sorted(pictures), step))

    def log_config(self, values: Mapping[str, Any]) -> None:
        self.calls.append((dict(values),))

    def close(self, status: str) -> None:
        self.calls.append((status,))


def test_a_score_that_does_not_exist_is_left_out_and_keys_are_as_users_type_them():
    notes = Notes()
    both = Loggers({"notes": notes})
    both.log({"miou": None, "step": 3, "lr": 0.5}, 3)
    both.log_config({"seed": 1, "optim": {"lr": 0.5}, "loss": {"class_weights": None}})
    both.close("stopped")
    both.log({"miou": 1.0}, 4)
    assert notes.calls == [
        ({"step": 3.0, "lr": 0.5}, 3),
        ({"seed": 1, "optim.lr": 0.5, "loss.class_weights": None},),
        ("stopped",),
    ]


@pytest.mark.parametrize(
    ("error", "code", "status"), [(Stop, 1, "failed"), (KeyboardInterrupt, 130, "stopped")]
)
def test_a_log_says_how_its_training_has_ended(
    error: type[BaseException], code: int, status: str, monkeypatch: pytest.MonkeyPatch
):
    notes = Notes()
    monkeypatch.setitem(LOGGERS, "tensorboard", lambda folder, step: notes)
    stop_at(monkeypatch, "on_train_batch_end", 3, error)
    assert train("data", "name=one", TENSORBOARD) == code
    assert notes.calls[-1] == (status,)


# The foreign libraries


def fake_wandb(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    calls: list[tuple[str, Any]] = []
    run = SimpleNamespace(
        log=lambda values, step: calls.append(("log", (sorted(values), step))),
        config=SimpleNamespace(update=lambda values, **_: calls.append(("config", values))),
        finish=lambda exit_code: calls.append(("finish", exit_code)),
    )

    def init(**options: Any) -> Any:
        calls.append(("init", options))
        return run

    module = ModuleType("wandb")
    vars(module).update(init=init, Image=lambda pixels: ("image", pixels.shape))
    monkeypatch.setitem(sys.modules, "wandb", module)
    return calls


def test_a_resumed_run_keeps_its_id_at_wandb(home: Path, monkeypatch: pytest.MonkeyPatch):
    calls = fake_wandb(monkeypatch)
    for step in (0, 4):
        opened = open_loggers(config_of("wandb"), home, step)
        opened.log_config({"seed": 1})
        opened.log({"miou": 0.5}, step + 2)
        opened.log_images(PICTURES, step + 2)
        opened.close("finished")
    first, second = [options for name, options in calls if name == "init"]
    assert first == second and first["resume"] == "allow" and first["dir"] == str(home)
    assert first["id"] == json.loads((home / adapters.IDS).read_text())["wandb"]
    assert calls[1:5] == [
        ("config", {"seed": 1}),
        ("log", (["miou"], 2)),
        ("log", (["predictions/a b", "predictions/c"], 2)),
        ("finish", 0),
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # its own
def test_a_real_wandb_run_without_a_network_leaves_its_files_in_the_run_folder(home: Path):
    pytest.importorskip("wandb")
    opened = open_loggers(config_of("wandb"), home)
    opened.log_config({"seed": 1})
    opened.log({"miou": 0.5}, 2)
    opened.log_images(PICTURES, 2)
    assert set(opened.opened) == {"wandb"}
    opened.close("finished")
    assert list(home.glob("wandb/offline-run-*/*.wandb"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # its own
def test_a_real_mlflow_run_is_read_back_and_gone_on_with(home: Path):
    MlflowClient = pytest.importorskip("mlflow").MlflowClient
    run = home / "runs" / "one"
    run.mkdir(parents=True)
    for step, score in ((0, 0.25), (2, 0.5)):
        opened = open_loggers(config_of("mlflow"), run, step)
        opened.log_config({"optim": {"lr": 0.1}, "name": None, "seed": step})
        opened.log({"miou": score, "iou/Straße (nass)": score}, step + 2)
        opened.log_images(PICTURES, step + 2)
        assert set(opened.opened) == {"mlflow"}
        opened.close("finished")
    client = MlflowClient(tracking_uri=f"sqlite:///{home / 'runs' / 'mlflow.db'}")
    key = json.loads((run / adapters.IDS).read_text())["mlflow"]
    for name in ("miou", "iou/Stra_e _nass_"):
        points = [(p.step, p.value) for p in client.get_metric_history(key, name)]
        assert points == [(2, 0.25), (4, 0.5)]
    kept = client.get_run(key)
    assert kept.data.params["optim.lr"] == "0.1" and kept.data.params["seed"] == "0"
    assert kept.info.status == "FINISHED" and kept.info.run_name == "one"
    assert list((home / "runs" / "mlartifacts").rglob("*.png"))


def test_an_unreadable_id_file_is_told(home: Path, monkeypatch: pytest.MonkeyPatch):
    fake_wandb(monkeypatch)
    (home / adapters.IDS).write_text("{")
    with pytest.raises(ResourceError, match="wandb cannot be opened"):
        open_loggers(config_of("wandb"), home)
    with pytest.raises(UsageError, match="must be one of tensorboard, wandb, mlflow"):
        config_of("tensorbord")
