"""The first line of README, whole: what a newcomer is promised is there, without a network."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]

NO_NETWORK = """
import socket
def refuse(self, address, *_):
    if self.family != socket.AF_UNIX:
        raise AssertionError(f"the network was reached: {address}")
socket.socket.connect = refuse
"""


def run(*words: str | Path, cwd: Path, path: Path, cores: bool) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{REPOSITORY}"}
    if cores:  # as a newcomer has it
        environment.pop("OMP_NUM_THREADS", None)
    else:  # beside other tests, threads that wait for each other take many times as long
        environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=1500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "network was reached" not in done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "least"),
    [
        pytest.param([], 0.60, id="whole", marks=pytest.mark.slow),
        pytest.param(["max_steps=100"], 0.08, id="begun"),
    ],
)
def test_the_default_training_learns_on_scenes_never_trained_on_and_its_last_words_run(
    words: list[str], least: float, tmp_path: Path
):
    guard, work = tmp_path / "guard", tmp_path / "work"
    guard.mkdir()
    work.mkdir()
    (guard / "sitecustomize.py").write_text(NO_NETWORK)

    given = partial(run, cwd=work, path=guard, cores=not words)
    said = given(REPOSITORY / "train.py", *words)
    metrics = json.loads((work / "runs" / "latest" / "metrics.json").read_text())
    assert metrics["miou"] >= least
    assert metrics["dataset"] == "synthetic" and metrics["split"] == "val"
    assert metrics["counted"] == len(metrics["classes"]) == 11
    for name in ("predictions.png", "curves.png"):
        with Image.open(work / "runs" / "latest" / name) as picture:
            assert picture.width >= 600
    assert "mIoU over 11 of 11 classes" in said

    # The two commands that it ends with are typed as they stand.
    commands = [line.split() for line in said.splitlines() if line.startswith("  effunet ")]
    assert [command[1] for command in commands] == ["evaluate", "predict"]
    evaluated = given("-m", *commands[0], "--json")
    assert json.loads(evaluated)["confusion"] == metrics["confusion"]
    picture = REPOSITORY / "docs" / "predictions.jpg"
    predict = [str(picture) if word == "IMAGE_OR_FOLDER" else word for word in commands[1]]
    given("-m", *predict)
    assert (work / "out" / "predictions.png").is_file()
    assert (work / "out" / "predictions_overlay.png").is_file()
