"""Trainings as real programs: killed, told to stop, on several processes, compiled."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dataset_trees import plain_folder
from tiny_training import STEPS, WORDS, state

from effunet.cli import main
from effunet.data.catalog import open_dataset
from effunet.evaluation.evaluate import evaluate
from effunet.segmenter import Segmenter
from effunet.training.output.checkpoint import AtomicCheckpointIO

ROOT = Path(__file__).resolve().parents[2]
LAST = Path("checkpoints") / "last.ckpt"
NO_END = "max_steps=100000"

pytestmark = pytest.mark.long


def start(home: Path, *words: str, processes: int = 0) -> subprocess.Popen[str]:
    """A training in a folder with data/; by torchrun where `processes` are asked for."""
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "-m", "effunet"]
    program = [*torchrun, "train"] if processes else [str(ROOT / "train.py")]
    told, said = (*WORDS, "dataset.root=data", "accelerator=cpu"), {w.split("=")[0] for w in words}
    return subprocess.Popen(
        [sys.executable, *program, *(w for w in told if w.split("=")[0] not in said), *words],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str], timeout: float = 240) -> tuple[int, str, str]:
    """Exit code and words of a program; one that does not end is killed with all it has started."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, out, err


def until(there: Path, process: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 120
    while not there.exists():
        assert process.poll() is None and time.monotonic() < limit, process.communicate()
        time.sleep(0.005)


def nobody_left(group: int) -> bool:
    """Whether a session that was started has no process any more, within a second."""
    for _ in range(20):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with data/ and the uninterrupted runs/whole."""
    home = tmp_path_factory.mktemp("home")
    plain_folder(home / "data")
    code, _, err = ended(start(home, "name=whole", f"max_steps={STEPS}"))
    assert code == 0, err
    yield home


@pytest.fixture
def work(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "data", tmp_path / "data")
    return tmp_path


def test_kill_9_at_three_moments_costs_nothing_but_time(home: Path, work: Path):
    words = ("name=cut", f"max_steps={STEPS}", "save_every=1")
    process = start(work, *words)
    until(work / "runs" / "cut" / "config.yaml", process)
    for delay in (0.0, 0.4, 0.2):
        time.sleep(delay)
        process.kill()
        ended(process)
        process = start(work, *words, "resume=runs/cut")
        until(work / "runs" / "cut" / LAST, process)
    code, _, err = ended(process)
    assert code == 0, err
    assert main(["train", "resume=runs/cut"]) == 0
    assert state(work / "runs" / "cut") == state(home / "runs" / "whole")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_training_with_its_code_and_the_line_that_goes_on(
    sent: signal.Signals, code: int, work: Path
):
    process = start(work, "name=cut", NO_END)
    until(work / "runs" / "cut" / LAST, process)
    process.send_signal(sent)
    found, out, err = ended(process, 60)
    assert found == code, err
    assert out.rstrip().splitlines()[-1].endswith("go on with  python train.py resume=runs/cut")
    assert "ending behind this step" in err and "Traceback" not in err
    assert main(["info", "runs/cut"]) == 0
    AtomicCheckpointIO().load_checkpoint(work / "runs" / "cut" / LAST)


@pytest.mark.parametrize("each", [False, True])
def test_sigterm_to_a_group_or_to_each_process_leaves_the_workers_to_finish_the_step(
    each: bool, work: Path
):
    process = start(work, "name=cut", NO_END, "num_workers=2")
    until(work / "runs" / "cut" / LAST, process)
    if each:
        listed = ["pgrep", "-P", str(process.pid)]
        workers = subprocess.run(listed, capture_output=True, text=True).stdout.split()
        assert len(workers) >= 2
        for worker in workers:
            os.kill(int(worker), signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
    else:
        os.killpg(process.pid, signal.SIGTERM)
    code, out, err = ended(process, 60)
    assert code == 143, err
    assert err.count("ending behind this step") == 1 and out.count("stopped behind step") == 1
    assert nobody_left(process.pid)


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_of_torchrun_count_every_image_once_and_write_one_run(
    processes: int, tmp_path: Path
):
    plain_folder(tmp_path / "data", {"train": 7, "val": 5})
    words = ("max_steps=4", "ema=0.9", "encoder.freeze=0.5", "accumulate=2", "loss.weighting=enet")
    code, out, err = ended(start(tmp_path, *words, processes=processes))
    assert code == 0, err
    assert out.count("run       runs/") == 1 and out.count("class weights (enet)") == 1
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["folder-phi-1", "latest"]
    run = tmp_path / "runs" / "folder-phi-1"
    facts = evaluate(Segmenter.load(run), open_dataset(tmp_path / "data", "val")).to_plain()
    assert json.loads((run / "metrics.json").read_text()) == facts
    assert facts["images"] == 5
    checkpoint = AtomicCheckpointIO().load_checkpoint(run / LAST)
    assert checkpoint["global_step"] == 4


def test_sigterm_to_the_first_of_two_processes_ends_both_and_the_run_goes_on_bit_for_bit(
    work: Path,
):
    words = ("devices=2", "batch_size=1", "dataset.crop=[32,64]", "save_every=1", "num_workers=0")
    words = (*words, "val_every=5")  # of two steps an epoch
    assert ended(start(work, *words, "name=whole", "max_steps=20"))[0] == 0
    process = start(work, *words, "name=cut", "max_steps=20")
    until(work / "runs" / "cut" / LAST, process)
    process.send_signal(signal.SIGTERM)
    sent = time.monotonic()
    code, out, err = ended(process, 60)
    assert code == 143, err
    assert time.monotonic() - sent < 10 and nobody_left(process.pid)
    assert out.count("stopped behind step") == 1 and "Traceback" not in err
    assert [path.name for path in (work / "runs" / "cut" / "checkpoints").iterdir()] == [LAST.name]
    step = AtomicCheckpointIO().load_checkpoint(work / "runs" / "cut" / LAST)["global_step"]
    assert 0 < step < 20
    code, _, err = ended(start(work, *words, "resume=runs/cut"))
    assert code == 0, err
    assert state(work / "runs" / "cut") == state(work / "runs" / "whole")


def test_sigterm_to_torchrun_ends_its_processes_behind_a_whole_checkpoint(work: Path):
    process = start(work, "name=cut", NO_END, processes=2)
    until(work / "runs" / "cut" / LAST, process)
    process.send_signal(signal.SIGTERM)
    _, out, err = ended(process, 60)
    assert out.count("stopped behind step") == 1, err
    assert nobody_left(process.pid)
    AtomicCheckpointIO().load_checkpoint(work / "runs" / "cut" / LAST)


@pytest.mark.parametrize("index", [0, 1])
def test_a_fault_of_one_process_ends_the_other_with_its_code_and_leaves_no_orphan(
    index: int, work: Path
):
    image = work / "data" / "val" / "images" / f"val_00{index}.png"  # which process `index` reads
    image.write_bytes(image.read_bytes()[:60])
    words = ("devices=2", "batch_size=1", "dataset.crop=[32,64]", "dataset.check=none")
    process = start(work, *words, "name=bad", NO_END)
    code, _, err = ended(process, 120)
    assert code == 3, err
    assert f"effunet: data/val/images/val_00{index}.png" in err and "a bug of" not in err
    assert nobody_left(process.pid)


def test_a_job_at_fault_on_several_devices_stops_no_other(work: Path):
    shutil.copytree(work / "data", work / "bad")
    image = work / "bad" / "val" / "images" / "val_000.png"
    image.write_bytes(image.read_bytes()[:60])
    words = ("devices=2", "batch_size=1", "dataset.crop=[32,64]", "dataset.check=none")
    process = start(work, "-m", *words, "dataset.root=bad,data", "max_steps=2")
    code, _, err = ended(process, 200)
    assert code == 3, err
    (table,) = work.glob("runs/sweep-*/table.csv")
    assert [row.split(",")[1] for row in table.read_text().splitlines()[1:]] == ["failed", "done"]
    assert nobody_left(process.pid)


@pytest.mark.slow  # four minutes, most of them the compiler's own
def test_a_compiled_training_computes_the_same_and_its_file_needs_no_compiler(work: Path):
    for name in ("plain", "compiled"):
        compiled = str(name == "compiled").lower()
        # Large enough that no batch norm sees two values alone, which would blow rounding up.
        shape = ("dataset.crop=[128,128]", "max_steps=2", "optim.name=sgd")
        words = (*shape, f"compile={compiled}", f"name={name}")
        code, _, err = ended(start(work, *words), 500)
        assert code == 0, err
    plain, compiled = (
        AtomicCheckpointIO().load_checkpoint(work / "runs" / name / LAST)["state_dict"]
        for name in ("plain", "compiled")
    )
    assert plain.keys() == compiled.keys()
    for name, weight in plain.items():
        # Rounding differs, and some sums end near zero: by the scale of the whole tensor.
        difference = (compiled[name].double() - weight.double()).abs().max()
        assert difference <= 1e-3 * weight.abs().max() + 1e-5, name
    assert Segmenter.load(work / "runs" / "compiled").metadata["scores"]["miou"] > 0
