"""A sweep survives its jobs, tells what became of each, and gives each a folder of its own."""

import csv
import json
import os
import pickle
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from dataset_trees import plain_folder
from tiny_training import WORDS, Stop, draw_no_curves, stop_at

from effunet.cli import main
from effunet.errors import UsageError
from effunet.training.config.schema import Config
from effunet.training.launch import run_of
from effunet.training.output import folder as run_folder
from effunet.training.sweep import Job, Outcome, sweep

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    plain_folder(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    draw_no_curves(monkeypatch)
    return tmp_path


def start(*words: str) -> int:
    return main(["train", "-m", *WORDS, "dataset.root=data", "max_steps=1", *words])


def outcomes(home: Path) -> list[dict[str, object]]:
    (folder,) = home.glob("runs/sweep-*")
    return [json.loads(file.read_text()) for file in sorted(folder.glob("job-*.json"))]


def table(printed: str) -> list[list[str]]:
    lines = re.split(r"\nmIoU +run .*\n", printed)[-1].splitlines()
    return [line.split() for line in lines[: lines.index("")]]


def test_a_job_at_fault_in_the_middle_stops_no_other_and_gives_the_exit_code(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    assert start("dataset.root=data,nowhere,./data", "optim.lr=0.01") == 3
    out, err = capsys.readouterr()
    assert err.startswith("effunet: job 1: nowhere does not exist") and err.count("\n") == 1
    first, middle, last = table(out)
    assert first[1:] == ["runs/folder-phi-1", "data"]
    assert middle[:6] == ["failed", "-", "nowhere", "nowhere", "does", "not"]
    assert last[1:] == ["runs/folder-phi-2", "./data"]
    for row in (first, last):
        metrics = json.loads(Path(row[1], "metrics.json").read_text())
        assert row[0] == f"{metrics['miou']:.4f}"


def test_every_outcome_and_the_table_lie_in_the_folder_of_the_sweep(home: Path):
    assert start("dataset.root=data,nowhere") == 3
    (folder,) = home.glob("runs/sweep-*")
    names = {"job-0.json", "job-1.json", "multirun.yaml", "table.csv"}
    assert {file.name for file in folder.iterdir()} == names
    well, failed = outcomes(home)
    assert (well["state"], well["run"], well["exit_code"]) == ("done", "runs/folder-phi-1", 0)
    assert (failed["state"], failed["run"], failed["exit_code"]) == ("failed", None, 3)
    assert "dataset.root=data" in well["overrides"] and well["seconds"] > 0  # type: ignore[operator]
    rows = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    assert [row["dataset.root"] for row in rows] == ["data", "nowhere"]
    assert [row["state"] for row in rows] == ["done", "failed"]
    assert float(rows[0]["miou"]) == well["miou"] and rows[1]["error"] == failed["error"]


def test_a_bug_in_a_job_stops_no_other_and_leaves_its_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    stop_at(monkeypatch, "on_train_batch_end", 1, lambda: Stop("unforeseen"))
    assert start("optim.lr=0.01,0.02") == 1
    out, err = capsys.readouterr()
    assert err.startswith("effunet: job 0: a bug of effunet, sorry: Stop: unforeseen (runs/sweep-")
    assert err.endswith("/job-0-traceback.txt shows where)\n") and err.count("\n") == 1
    assert [row[1:3] for row in table(out)] == [
        ["runs/folder-phi-1", "0.01"],
        ["runs/folder-phi-2", "0.02"],
    ]
    assert table(out)[0][0] == "failed"
    (trace,) = home.glob("runs/sweep-*/job-0-traceback.txt")
    assert "tiny_training.Stop" in trace.read_text()


def test_ctrl_c_ends_the_whole_sweep_behind_a_table_of_what_is_done(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    stop_at(monkeypatch, "on_train_batch_end", 2, KeyboardInterrupt)
    assert start("optim.lr=0.01,0.02,0.03") == 130
    out, err = capsys.readouterr()
    done, stopped, never = table(out)
    assert done[1] == "runs/folder-phi-1" and stopped[:2] == ["stopped", "runs/folder-phi-2"]
    assert never == ["not", "started", "-", "0.03"]
    assert err == "effunet: stopped\n"
    assert [outcome["exit_code"] for outcome in outcomes(home)] == [0, 130]


def test_a_job_that_was_killed_has_no_outcome_and_is_said_to_be_killed(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    planned = [["seed=1"], ["seed=2"], ["seed=3"]]

    def launch() -> None:
        home.joinpath("swept").mkdir()
        Outcome(0, planned[0], "done", "runs/a", 0.5).write(home / "swept")
        Outcome(1, planned[1]).write(home / "swept")
        raise RuntimeError("a worker of the launcher is gone")

    assert sweep(home / "swept", planned, launch) == 5
    rows = table(capsys.readouterr().out)
    assert rows[0] == ["0.5000", "runs/a", "1"]
    assert rows[1:] == [["killed", "-", "2"], ["not", "started", "-", "3"]]
    assert json.loads(Path("swept/job-1.json").read_text())["state"] == "killed"


def test_a_fault_of_the_launcher_itself_is_raised(home: Path):
    def launch() -> None:
        raise RuntimeError("no such partition")

    with pytest.raises(RuntimeError, match="no such partition"):
        sweep(home / "swept", [["seed=1"]], launch)


def test_a_folder_with_another_sweep_in_it_is_refused(home: Path):
    Outcome(0, []).write(home)
    with pytest.raises(UsageError, match="holds another sweep"):
        sweep(home, [], lambda: None)


def test_a_folder_may_have_any_name(home: Path):
    assert start("hydra.sweep.dir='it\\'s a=b'", "max_steps=1") == 0
    assert (home / "it's a=b" / "table.csv").is_file()


def test_a_job_can_be_sent_to_another_process(home: Path):
    job = Job(run_of, home, home, ("train.py",), (), "here/1")
    assert pickle.loads(pickle.dumps(job)) == job


def test_of_two_runs_that_saw_the_same_free_number_each_gets_a_folder(home: Path):
    config = Config()
    seen = run_folder.choose(config)
    assert [run_folder.make(seen, config).name for _ in range(3)] == [
        "synthetic-b0-1",
        "synthetic-b0-2",
        "synthetic-b0-3",
    ]
    config.name = "mine"
    seen = run_folder.choose(config)
    assert run_folder.make(seen, config).name == "mine"
    with pytest.raises(UsageError, match="name=mine"):
        run_folder.make(seen, config)


@pytest.mark.parametrize("option", ["--cfg=job", "--info", "--run"])
def test_a_sweep_that_is_told_to_do_something_else_is_refused(
    option: str, home: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["train", "-m", option, "seed=1,2"]) == 2
    assert capsys.readouterr().err.startswith(f"effunet: {option}: does not go with -m")
    assert not (home / "runs").exists()


def _swept(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, REPOSITORY / "train.py", "-m", *WORDS, "dataset.root=data", *words],
        env=_environment(), capture_output=True, text=True, timeout=500,
    )  # fmt: skip


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}


@pytest.mark.long
@pytest.mark.skipif(
    not (find_spec("hydra_plugins") and find_spec("hydra_plugins.hydra_joblib_launcher")),
    reason="needs the extra: pip install 'effunet[joblib]'",
)
def test_jobs_side_by_side_report_as_those_one_after_another(home: Path):
    words = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "max_steps=1")
    done = _swept(*words, "dataset.root=data,nowhere,./data", "optim.lr=0.01")
    assert done.returncode == 3, done.stderr
    first, middle, last = table(done.stdout)
    assert middle[0] == "failed"
    assert {first[1], last[1]} == {"runs/folder-phi-1", "runs/folder-phi-2"}
    assert [outcome["state"] for outcome in outcomes(home)] == ["done", "failed", "done"]


@pytest.mark.long
@pytest.mark.slow  # in test_programs.py one such job fails and the next goes on
def test_jobs_on_several_devices_follow_one_another_within_one_sweep(home: Path):
    done = _swept("devices=2", "accelerator=cpu", "max_steps=1", "optim.lr=0.01,0.02")
    assert done.returncode == 0, done.stderr
    assert len(list(home.glob("runs/sweep-*"))) == 1
    assert {path.name for path in home.glob("runs/folder-*")} == {"folder-phi-1", "folder-phi-2"}
    assert [outcome["state"] for outcome in outcomes(home)] == ["done", "done"]
