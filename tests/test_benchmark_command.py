"""`effunet benchmark` on real processes: what it measures, what it refuses, what it leaves."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_segmenter import saved, tiny_segmenter

from effunet.cli import main
from effunet.commands.benchmark.machine import usable_cores
from effunet.commands.benchmark.rows import Row
from effunet.commands.benchmark.spread import speeds, spread

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 300
"""Seconds after which a test calls it a hang."""

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="cores and /proc")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, and one whose weights are no numbers."""
    home = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(("one", "two")):
        (home / name).mkdir()
        saved(home / name, seed=seed, training_size=[40, 56])
    broken = tiny_segmenter()
    torch.nn.init.constant_(broken.network.head.weight, torch.nan)
    broken.save(home / "nan.safetensors")
    return home


def program(home: Path, *words: str, before: str = "", after: str = "") -> list[str]:
    """Words that run a benchmark in `home` as a program does, with code around it."""
    code = (
        f"import os, sys\nfrom effunet.cli import main\nos.chdir({str(home)!r})\n{before}\n"
        f"code = main(['benchmark', *{words!r}])\n{after}\nsys.exit(code)\n"
    )
    return [sys.executable, "-c", code]


@pytest.fixture(scope="module")
def done(home: Path) -> subprocess.CompletedProcess[str]:
    """Two models at two sizes, one thread; the parent has no torch at its end."""
    words = ("one", "two/segmenter.safetensors", "--size", "40x56", "33", "--rounds", "3")
    words += ("--threads", "1", "--json", "--out", "new/costs.json", "--device", "cpu")
    return subprocess.run(
        program(home, *words, after="assert 'torch' not in sys.modules"),
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def models(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [model for size in result["sizes"] for model in size["models"]]


def test_the_json_names_the_machine_and_is_the_same_in_the_file(result: dict[str, Any], home: Path):
    assert result == json.loads((home / "new" / "costs.json").read_text())
    assert [path.name for path in (home / "new").iterdir()] == ["costs.json"]
    assert (result["threads"], result["batch"], result["warm_up_rounds"]) == (1, 1, 3)
    hardware = result["hardware"]
    assert hardware["cpu"] and hardware["system"] and hardware["instructions"]
    assert hardware["torch"] == torch.__version__
    assert (hardware["device"], hardware["device_name"]) == ("cpu", "cpu")
    sizes = [(size["height"], size["width"], size["rounds"]) for size in result["sizes"]]
    assert sizes == [(40, 56, 3), (33, 33, 3)]
    assert [model["name"] for model in models(result)] == ["one", "two"] * 2


def test_sizes_multiply_adds_and_parameters_are_those_of_file_and_network(
    result: dict[str, Any], home: Path
):
    network = tiny_segmenter().network
    parameters = sum(weight.numel() for weight in network.parameters())
    for size in result["sizes"]:
        for model in size["models"]:
            file = home / model["name"] / "segmenter.safetensors"
            assert model["bytes"] == file.stat().st_size
            assert model["path"] in (f"{model['name']}/{file.name}", str(file))
            assert model["macs"] == network.macs(size["height"], size["width"])
            assert (model["parameters"], model["precision"]) == (parameters, "float32")


def test_numbers_follow_from_the_times_of_the_rounds(result: dict[str, Any]):
    for first, second in (size["models"] for size in result["sizes"]):
        assert list(first["works"]) == list(second["works"]) == ["mask", "network"]
        for work, facts in second["works"].items():
            times = facts["rounds_s"]
            assert len(times) == 3 and min(times) > 0
            assert facts["latency_s"] == vars(spread(times))
            assert facts["images_per_second"] == 1 / spread(times).median
            ratios = speeds(first["works"][work]["rounds_s"], times)
            assert facts["speed"] == vars(spread(ratios))
            assert first["works"][work]["speed"] is None


@linux
def test_a_model_has_its_own_process_pinned_to_the_cores_that_are_told(result: dict[str, Any]):
    cores = usable_cores()[:1]
    assert result["hardware"]["cores"] == cores and result["hardware"]["pinned"]
    for model in models(result):
        assert (model["threads"], model["cores"]) == (1, cores)
        memory = model["memory"]
        assert memory["of"] == "process"
        assert 0 < memory["loaded_bytes"] <= memory["peak_bytes"]
        assert memory["above_bytes"] == memory["peak_bytes"] - memory["loaded_bytes"]


def test_people_read_a_table_of_the_size_that_it_was_trained_at(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(home)
    assert main(["benchmark", "one", "--rounds", "2", "--threads", "1", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "40 x 56 pixels: 2 rounds behind 3 to warm up" in out
    assert re.search(r"^segmenter +what +median ms +5 % +95 % +least +images/s *$", out, re.M)
    assert re.search(r"^one +image to mask +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ ", out, re.M)
    assert re.search(r"^ +network alone +[\d.]+ ", out, re.M)
    assert "speed" not in out  # of one model there is nothing to compare


def test_a_batch_is_the_networks_alone(home: Path, capsys: pytest.CaptureFixture[str]):
    words = ["--size", "32", "--batch", "3", "--rounds", "1", "--threads", "1", "--json"]
    assert main(["benchmark", str(home / "one"), *words, "--device", "cpu"]) == 0
    (model,) = models(json.loads(capsys.readouterr().out))
    ((name, facts),) = model["works"].items()
    assert name == "network"
    assert facts["images_per_second"] == 3 / facts["latency_s"]["median"]
    assert model["macs"] == tiny_segmenter().network.macs(32, 32)  # of one image


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nowhere"], 4, "no segmenter at nowhere"),
        (["one", "nowhere"], 4, "no segmenter at nowhere"),
        (["one", "--size", "0"], 2, "1 to 65536 pixels, got '0'"),
        (["one", "--size", "512x-1"], 2, "a size like 512 or 1024x2048, got '512x-1'"),
        (["one", "--size", "9999999"], 2, "1 to 65536 pixels"),
        (["--size", "512", "one"], 2, "a size like .* got 'one'"),
        (["one", "--batch", "0"], 2, "from 1 to 1024, got '0'"),
        (["one", "--threads", "1000"], 2, r"--threads 1000: this process may use \d+ cores"),
        (["one", "--rounds", "2", "--seconds", "3"], 2, "not allowed with"),
        (["one", "--seconds", "nan"], 2, "seconds up to 3600, got 'nan'"),
        (["one", "--out", "one"], 2, "--out one is a folder"),
        (["one", "--out", "one/segmenter.safetensors"], 2, "is a MODEL"),
        (["one", "--size", "65536", "--batch", "1024", "--device", "cpu"], 5, "at the least.*free"),
        (["nan.safetensors", "--device", "cpu"], 4, "not all finite"),
        pytest.param(
            ["one", "--device", "cuda"], 5, "no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
        ),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_with_its_exit_code(
    words: list[str],
    code: int,
    says: str,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(home)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))  # or it may say that it is busy
    if "--threads" not in words:
        words = [*words, "--threads", "1"]
    try:
        found = main(["benchmark", *words])
    except SystemExit as stop:  # argparse's own way
        found = stop.code
    out, err = capsys.readouterr()
    assert (found, out) == (code, "")
    assert err.startswith("effunet: ") and err.count("\n") == 1
    assert re.search(says, err), err


@linux
def test_a_process_that_is_killed_ends_the_others_and_is_named(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    processes: list[int] = []
    facts, turn = Row.facts, Row.round

    def noted(row: Row) -> dict[str, Any]:
        found = facts(row)
        processes.append(found["process"])
        return found

    def killing(row: Row) -> dict[str, Any]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(processes[1], signal.SIGKILL)
        return turn(row)

    monkeypatch.setattr(Row, "facts", noted)
    monkeypatch.setattr(Row, "round", killing)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    paths = [str(home / name) for name in ("one", "two")]
    assert main(["benchmark", *paths, "--threads", "1", "--device", "cpu"]) == 5
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert f"the process of {paths[1]} at 40 x 56 was ended from outside" in err
    for process in processes:
        assert not Path(f"/proc/{process}").exists()


@linux
def test_ctrl_c_ends_all_processes_and_130(home: Path):
    # A shell's background jobs, and so their tests, hear nothing of Ctrl-C.
    hearing = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)"
    words = ("one", "two", "--rounds", "100000", "--threads", "1", "--device", "cpu")
    words = program(home, *words, before=hearing)
    # Of its own group, as a terminal would make it: all of them get the signal.
    started = subprocess.Popen(
        words, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + PATIENCE
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
        while len(rows := children.read_text().split()) < 2:
            assert time.monotonic() < deadline and started.poll() is None
            time.sleep(0.05)
        # A row hears nothing of the signal once it has started; measured by its own libraries.
        while not all("libtorch" in Path(f"/proc/{row}/maps").read_text() for row in rows):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(started.pid, signal.SIGINT)
        _, err = started.communicate(timeout=PATIENCE)
    finally:
        started.kill()
    assert started.returncode == 130
    assert err.splitlines()[-1] == "effunet: stopped" and "Traceback" not in err
    for row in rows:
        assert not Path(f"/proc/{row}").exists()
