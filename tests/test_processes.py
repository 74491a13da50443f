"""An evaluation on several processes counts every image once, and all of them end as one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_trees import random_image, stripes, write_png
from sharded_evaluation import SIZES, scenes
from tiny_segmenter import saved

from effunet import processes
from effunet.cli import main
from effunet.errors import ResourceError, UsageError

TESTS = Path(__file__).resolve().parent
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2")
PATIENCE = 300
"""Seconds after which a test calls it a hang."""


def environment(**more: str) -> dict[str, str]:
    """One thread each, because another number of threads may sum in another order."""
    path = os.pathsep.join((str(TESTS.parent), str(TESTS)))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def launch(world: int, *words: str) -> list[tuple[int, str, str]]:
    """Start Python `world` times with the variables that any launcher sets; code, out, err."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = [
        subprocess.Popen(
            [sys.executable, *words],
            env=environment(
                RANK=str(place), WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=port
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in range(world)
    ]
    try:
        spoken = [process.communicate(timeout=PATIENCE) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *said) for process, said in zip(started, spoken, strict=True)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmenter, a folder of seven images, and one whose image 5 of 0 to 6 is damaged."""
    home = tmp_path_factory.mktemp("home")
    saved(home)
    for name in ("whole", "damaged"):
        for index, size in enumerate(SIZES):
            write_png(home / name / "val" / "images" / f"{index}.png", random_image(index, size))
            mask = stripes((0, 1, 2, 255), index, size)
            write_png(home / name / "val" / "masks" / f"{index}.png", mask)
        (home / name / "dataset.yaml").write_text(
            "name: made\nsplits: [val]\nignore: [255]\n"
            "layouts: [{images: '{split}/images/*', masks: '{split}/masks/*'}]\n"
            "classes: [{name: sky, values: [0]}, {name: road, values: [1]},"
            " {name: car, values: [2]}]\n"
        )
    cut = home / "damaged" / "val" / "images" / "5.png"
    cut.write_bytes(cut.read_bytes()[:300])
    return home


@pytest.mark.parametrize("world", [pytest.param(2, marks=pytest.mark.long), 3])
def test_any_number_of_processes_counts_the_same_and_each_image_once(world: int, tmp_path: Path):
    alone: dict[str, Any] = json.loads(json.dumps(scenes()))
    assert alone["seven"]["images"] == 7 and alone["one"]["images"] == 1
    assert alone["without"]["images"] == 6 and alone["without"]["errors"]["sizes"]
    assert alone["without"]["unreadable"] == [{"name": "2", "why": "image 2 is damaged"}]
    done = launch(world, str(TESTS / "sharded_evaluation.py"), str(tmp_path))
    assert done == [(0, "", "")] * world
    seen = [json.loads((tmp_path / f"{place}.json").read_text()) for place in range(world)]
    for place, scene in enumerate(seen):
        # The confusion matrix, the mIoU to its last bit, and the numbers of pixels and images.
        assert scene["seven"] == scene["again"] == alone["seven"]
        assert scene["one"] == alone["one"]
        assert scene["without"] == alone["without"]
        assert scene["seven reads"] == list(range(place, 7, world))
        assert scene["one reads"] == [0] * (place == 0)
        assert scene["broken"] == alone["broken"] == "image 1 is damaged"
        assert "another number for other processes" in scene["another"]


def test_torchrun_prints_the_same_json_once(home: Path, capsys: pytest.CaptureFixture[str]):
    words = [str(home / "segmenter.safetensors"), "--data", str(home / "whole"), "--json"]
    assert main(["evaluate", *words]) == 0
    done = subprocess.run(
        [sys.executable, *TORCHRUN, "-m", "effunet", "evaluate", *words],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, capsys.readouterr().out)
    assert done.stderr == ""


def test_a_damaged_image_of_another_process_ends_all_with_one_line_that_names_it(home: Path):
    out = home / "out"
    words = (
        "evaluate",
        str(home / "segmenter.safetensors"),
        "--data",
        str(home / "damaged"),
        "--strict",
    )
    first, second = launch(2, "-m", "effunet", *words, "--out", str(out))
    assert (first[:2], second[:2]) == ((3, ""), (3, ""))
    assert first[2] == ""
    assert second[2].startswith("effunet: ") and second[2].count("\n") == 1
    assert "5.png is damaged" in second[2]
    assert list(out.iterdir()) == []


@pytest.mark.long
def test_torchrun_reports_the_line_and_the_exit_code_of_a_fault_and_ends_with_1(home: Path):
    words = (
        "evaluate",
        str(home / "segmenter.safetensors"),
        "--data",
        str(home / "damaged"),
        "--strict",
    )
    done = subprocess.run(
        [sys.executable, *TORCHRUN, "--nproc-per-node", "3", "-m", "effunet", *words],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("effunet: ") and done.stderr.count("effunet: ") == 1
    assert "5.png is damaged" in done.stderr.splitlines()[0]
    report = done.stderr[done.stderr.index("Root Cause") :]
    assert "exitcode  : 3" in report and "5.png is damaged" in report


@pytest.mark.long
def test_a_process_that_is_killed_ends_the_others(home: Path):
    code = (
        "import os, sys\nfrom effunet import processes\nfrom effunet.cli import guarded\n"
        "def work():\n"
        "    with processes.joined():\n"
        "        if processes.rank() == 1: os._exit(9)\n"
        "    return 0\n"
        "sys.exit(guarded(work))\n"
    )
    done = launch(2, "-c", code)
    assert [code for code, _, _ in done] == [5, 9]
    assert done[0][2].startswith("effunet: another process has ended in the middle of the work")
    assert done[0][2].count("\n") == 1


def test_alone_is_the_first_of_one_and_its_fault_its_own():
    assert (processes.rank(), processes.world(), processes.is_first()) == (0, 1, True)
    assert processes.summed(np.array([3, 4])).tolist() == [3, 4] and processes.alike(7)
    assert processes.device("auto") == "auto"
    with pytest.raises(KeyError) as caught, processes.together() as fault_elsewhere:
        assert not fault_elsewhere()
        raise KeyError("mine")
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE=two"),
        ({"RANK": "-1"}, "RANK=-1"),
        ({"MASTER_PORT": ""}, "MASTER_PORT="),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR is not set"),
    ],
)
def test_half_an_environment_of_a_launcher_is_refused(
    wrong: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
):
    whole = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in {**whole, **wrong}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=says), processes.joined():
        raise AssertionError("joined")


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE"])
def test_one_variable_alone_or_a_world_of_one_starts_no_group(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, "1")
    with processes.joined():
        assert processes.world() == 1


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("effunet.processes.world", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert processes.device("auto") == processes.device("cuda") == "cuda:0"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert processes.device("cpu") == "cpu"
    with pytest.raises(ResourceError, match=r"LOCAL_RANK=1: .* 1 GPU"):
        processes.device("auto")
