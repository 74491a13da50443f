"""A training that was stopped at any moment and resumed ends as if nothing had happened."""

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from dataset_trees import plain_folder, stripes, tree_digest, write_png
from tiny_training import STEPS, Stop, do_at, draw_no_curves, state, stop_at, train

from effunet.cli import main
from effunet.data.catalog import open_dataset
from effunet.evaluation.evaluate import evaluate
from effunet.segmenter import Segmenter
from effunet.training import machine
from effunet.training.module import Training
from effunet.training.output.checkpoint import AtomicCheckpointIO

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with data/ and the uninterrupted runs/whole."""
    home = tmp_path_factory.mktemp("home")
    plain_folder(home / "data")
    with contextlib.chdir(home):
        assert train("data", "name=whole") == 0
        yield home


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_no_curves(monkeypatch)


@pytest.fixture
def stopped(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of its own, whose runs/cut has ended behind its first validation."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "data", tmp_path / "data")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, "validated", 1)
        assert train("data", "name=cut") == 1
    return tmp_path


def _is_whole(home: Path, run: Path) -> None:
    assert state(run) == state(home / "runs" / "whole")
    names = [sorted(f.relative_to(r) for f in r.rglob("*")) for r in (run, home / "runs" / "whole")]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("hook", "times", "steps"),
    [
        ("validated", 2, "4"),  # the epoch's last word
        ("on_train_batch_end", 3, "2"),  # in the middle of an epoch
        ("on_train_batch_start", 5, "4"),  # before an epoch's first step
        ("validating", 3, "4"),  # all steps done, the last validation not
    ],
)
def test_a_training_stopped_anywhere_and_resumed_is_the_uninterrupted_one_bit_for_bit(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hook: str,
    times: int,
    steps: str,
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "data", tmp_path / "data")
    with monkeypatch.context() as patch:
        stop_at(patch, hook, times)
        assert train("data", "name=cut") == 1
    assert state(tmp_path / "runs" / "cut")["step"] == steps
    assert main(["train", "resume=runs/cut"]) == 0
    _is_whole(home, tmp_path / "runs" / "cut")


def test_a_write_that_fails_ends_with_5_and_the_run_goes_on_from_the_checkpoint_before(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "data", tmp_path / "data")
    save, sync, seen = AtomicCheckpointIO.save_checkpoint, os.fsync, []

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    def second_fails(self: AtomicCheckpointIO, *arguments: object, **options: object) -> None:
        seen.append(None)
        monkeypatch.setattr(os, "fsync", full if len(seen) == 2 else sync)
        save(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(AtomicCheckpointIO, "save_checkpoint", second_fails)
        assert train("data", "name=cut") == 5
    monkeypatch.setattr(os, "fsync", sync)
    err = capsys.readouterr().err
    assert err.startswith("effunet: runs/cut/checkpoints/last.ckpt: ") and err.count("\n") == 1
    assert "No space left" in err
    # The segmenter and the metrics are one validation ahead of the checkpoint, and catch up.
    assert state(tmp_path / "runs" / "cut")["step"] == "2"
    assert main(["train", "resume=runs/cut"]) == 0
    _is_whole(home, tmp_path / "runs" / "cut")


def test_other_workers_may_resume_and_runs_latest_is_resumed_as_what_it_is(
    home: Path, stopped: Path
):
    (stopped / "runs" / "cut" / ".0123456789abcdef.part").write_text("cut short by a kill")
    assert main(["train", "resume=runs/latest", "num_workers=1"]) == 0
    assert (stopped / "runs" / "latest").readlink() == Path("cut")
    _is_whole(home, stopped / "runs" / "cut")


def _signalled(number: signal.Signals, *words: str) -> int | None:
    """The exit code of a training that a signal ends."""
    try:
        return train("data", *words)
    except SystemExit as stop:
        assert number == signal.SIGTERM
        return stop.code  # type: ignore[return-value]


def _send(number: signal.Signals, times: int = 1) -> Callable[[], None]:
    def send() -> None:
        for _ in range(times):
            os.kill(os.getpid(), number)

    return send


@pytest.mark.parametrize(
    ("number", "hook", "times", "step"),
    [
        (signal.SIGTERM, "on_train_start", 1, "1"),  # while Lightning's own handler is in place
        (signal.SIGINT, "on_train_batch_end", 1, "1"),  # before any validation
        (signal.SIGTERM, "on_train_batch_start", 4, "4"),  # its validation comes when resumed
        (signal.SIGINT, "validating", 1, "2"),  # which is cut short, and done when resumed
        (signal.SIGTERM, "validated", 2, "5"),  # the look at the signal is over: one step more
        (signal.SIGINT, "validating", 3, "6"),  # all steps are done
    ],
)
def test_a_signal_at_any_moment_saves_that_step_and_the_resumed_run_is_the_uninterrupted_one(
    number: signal.Signals,
    hook: str,
    times: int,
    step: str,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "data", tmp_path / "data")
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        do_at(patch, hook, times, _send(number))
        assert _signalled(number, "name=cut") == 128 + number
    out, err = capfd.readouterr()
    line = f"stopped behind step {step}: go on with  python train.py resume=runs/cut\n"
    assert out.endswith(line), out
    assert "ending behind this step; again: at once" in err
    checkpoint = AtomicCheckpointIO().load_checkpoint(tmp_path / "runs/cut/checkpoints/last.ckpt")
    assert checkpoint["global_step"] == int(step)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert main(["train", "resume=runs/cut"]) == 0
    _is_whole(home, tmp_path / "runs" / "cut")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once_and_the_files_are_those_before(
    number: signal.Signals,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "data", tmp_path / "data")
    before = signal.getsignal(signal.SIGINT)  # ignored in a shell's background
    with monkeypatch.context() as patch:
        do_at(patch, "on_train_batch_end", 3, _send(number, 2))
        assert _signalled(number, "name=cut") == 128 + number
    assert signal.getsignal(signal.SIGINT) is before
    assert state(tmp_path / "runs" / "cut")["step"] == "2"
    assert main(["train", "resume=runs/cut"]) == 0
    _is_whole(home, tmp_path / "runs" / "cut")


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_again_and_is_the_same(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "data", tmp_path / "data")
    with monkeypatch.context() as patch:
        stop_at(patch, "on_train_batch_start", 2)
        assert train("data", "name=cut") == 1
    assert sorted(f.name for f in (tmp_path / "runs" / "cut").iterdir()) == ["config.yaml"]
    assert main(["train", "resume=runs/cut"]) == 0
    _is_whole(home, tmp_path / "runs" / "cut")


EVERYTHING = (
    *("accumulate=2", "ema=0.9", "save_every=1", "optim.clip=0.5", "optim.schedule=cosine"),
    *("encoder.freeze=0.34", "encoder.freeze_norms=0.67", "optim.name=sgd"),
)
"""What adds state of its own to a training."""


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The uninterrupted runs/whole of a training with everything."""
    home = tmp_path_factory.mktemp("rich")
    plain_folder(home / "data")
    with contextlib.chdir(home):
        assert train("data", "name=whole", *EVERYTHING) == 0
        yield home


@pytest.mark.parametrize(
    ("hook", "times", "step"),
    [
        ("on_train_batch_end", 1, None),  # in the middle of the first step: nothing saved yet
        ("on_train_batch_end", 5, "2"),  # in the middle of the third, behind the thaw
        ("on_train_batch_start", 9, "4"),  # between two steps
        ("validating", 4, "3"),  # of every step, an epoch's batches being one step's
    ],
)
def test_average_accumulation_freezing_and_momentum_are_resumed_bit_for_bit(
    hook: str,
    times: int,
    step: str | None,
    rich: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(rich / "data", tmp_path / "data")
    with monkeypatch.context() as patch:
        stop_at(patch, hook, times)
        assert train("data", "name=cut", *EVERYTHING) == 1
    if step is not None:
        file = tmp_path / "runs/cut/checkpoints/last.ckpt"
        assert str(AtomicCheckpointIO().load_checkpoint(file)["global_step"]) == step
    assert main(["train", "resume=runs/cut"]) == 0
    _is_whole(rich, tmp_path / "runs" / "cut")


def test_an_exception_within_a_validation_leaves_weights_and_average_in_their_places(
    rich: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(rich / "data", tmp_path / "data")
    original, calls = Training.validation_step, []

    def fails(self: Training, batch: Any, number: int) -> None:
        calls.append(number)
        if len(calls) == 6:  # of two a validation: the last image of the third
            raise Stop
        original(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "validation_step", fails)
        assert train("data", "name=cut", *EVERYTHING) == 1
    assert main(["train", "resume=runs/cut"]) == 0
    _is_whole(rich, tmp_path / "runs" / "cut")


def test_the_segmenter_kept_is_the_average_and_scores_what_was_printed(rich: Path):
    run = rich / "runs" / "whole"
    checkpoint = AtomicCheckpointIO().load_checkpoint(run / "checkpoints" / "last.ckpt")
    metrics = yaml.safe_load((run / "metrics.json").read_text())
    segmenter = Segmenter.load(run)
    assert evaluate(segmenter, open_dataset(rich / "data", "val")).to_plain() == metrics
    average = checkpoint["effunet"]["ema"]
    name = "head.weight"
    assert not torch.equal(average[name], checkpoint["state_dict"][f"network.{name}"])


def test_a_finished_run_says_so_and_is_not_touched(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(home)
    before = tree_digest(home)
    assert main(["train", "resume=runs/whole"]) == 0
    assert (
        f"runs/whole is already finished, behind step {STEPS} of {STEPS}" in capsys.readouterr().out
    )
    assert tree_digest(home) == before


# What cannot be resumed


def _refused(
    capsys: pytest.CaptureFixture[str], home: Path, code: int, says: str, folder: str = "runs/cut"
) -> None:
    before = tree_digest(home)
    capsys.readouterr()
    assert main(["train", f"resume={folder}"]) == code
    err = capsys.readouterr().err
    assert err.startswith("effunet: ") and err.count("\n") == 1 and err.isascii()
    assert says in err, err
    assert tree_digest(home) == before


def test_a_folder_that_is_no_run_is_refused(stopped: Path, capsys: pytest.CaptureFixture[str]):
    run = stopped / "runs" / "cut"
    _refused(capsys, stopped, 2, "resume=nowhere: no nowhere/config.yaml", "nowhere")
    _refused(capsys, stopped, 2, "resume=data: no data/config.yaml", "data")
    config = (run / "config.yaml").read_text()
    for text in ("a: [", "- a list", "encoder: {nam: b0}", "\0"):
        (run / "config.yaml").write_text(text)
        _refused(capsys, stopped, 2, "runs/cut/config.yaml: ")
    (run / "config.yaml").write_bytes(b"\xff\xfe\xff")
    _refused(capsys, stopped, 2, "runs/cut/config.yaml: ")
    (run / "config.yaml").write_text(config)
    (run / "segmenter.safetensors").rename(stopped / "kept")
    _refused(capsys, stopped, 4, "no segmenter.safetensors in the folder runs/cut")
    (stopped / "kept").rename(run / "segmenter.safetensors")
    AtomicCheckpointIO().save_checkpoint(
        {"state_dict": {}, "global_step": 2}, run / "checkpoints" / "last.ckpt"
    )
    _refused(capsys, stopped, 4, "runs/cut/checkpoints/last.ckpt: no checkpoint of this program")
    (run / "checkpoints" / "last.ckpt").write_bytes(b"damaged")
    _refused(capsys, stopped, 4, "runs/cut/checkpoints/last.ckpt: no readable checkpoint")


def test_a_network_or_a_dataset_that_has_changed_since_is_refused(
    stopped: Path, capsys: pytest.CaptureFixture[str]
):
    file = stopped / "runs" / "cut" / "config.yaml"
    config = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**config, "decoder": {"widths": [16, 8, 4]}}))
    _refused(capsys, stopped, 4, "config.yaml describes another network than the run has")
    file.write_text(yaml.safe_dump(config))
    write_png(stopped / "data" / "train" / "masks" / "train_000.png", stripes((0, 1, 2, 3)))
    _refused(capsys, stopped, 4, "class_3")


# What may change


def test_the_same_words_again_beside_resume_go_on_and_other_ones_are_refused_with_the_difference(
    home: Path, stopped: Path, capsys: pytest.CaptureFixture[str]
):
    before = tree_digest(stopped)
    capsys.readouterr()
    words = ("resume=runs/cut", "optim.lr=0.5", "augment=none", "encoder.phi=-4")
    assert train("data", *words) == 2
    err = capsys.readouterr().err
    assert "augment.preset light -> none; optim.lr 0.001 -> 0.5: leave that out, or" in err
    assert err.count("\n") == 1
    assert train("data", "resume=runs/cut", "decoder.widths=[8,8,8]", "resume_force=true") == 2
    assert "decoder.widths: what was learnt is tied to it" in capsys.readouterr().err
    assert tree_digest(stopped) == before
    assert train("data", "name=cut", "resume=runs/cut", "num_workers=1") == 0
    _is_whole(home, stopped / "runs" / "cut")


def test_a_forced_change_is_printed_kept_in_the_config_and_what_the_run_goes_on_with(
    stopped: Path, capsys: pytest.CaptureFixture[str]
):
    words = ("resume=runs/cut", "optim.lr=0.25", "optim.schedule=constant", "optim.warmup=0")
    assert main(["train", *words, "resume_force=true"]) == 0
    out = capsys.readouterr().out
    assert "notice    resume_force: optim.lr 0.001 -> 0.25\n" in out
    config = yaml.safe_load((stopped / "runs/cut/config.yaml").read_text())
    assert config["optim"]["lr"] == 0.25 and not config["resume_force"] and not config["resume"]
    rows = (stopped / "runs/cut/metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("lr")
    assert [float(row.split(",")[column]) for row in rows[2:]] == [0.25, 0.25]


def test_forced_to_another_score_patience_or_length_a_run_ends_by_the_new_one(
    stopped: Path, capsys: pytest.CaptureFixture[str]
):
    force = ("resume=runs/cut", "resume_force=true")
    assert main(["train", *force, "monitor=val_loss", "max_steps=4"]) == 0
    rows = (stopped / "runs/cut/metrics.csv").read_text().splitlines()
    best = yaml.safe_load((stopped / "runs/cut/metrics.json").read_text())["miou"]
    # The first validation behind the change is the first to be measured by the new score.
    assert best == float(rows[2].split(",")[rows[0].split(",").index("miou")])
    assert main(["train", *force, "max_steps=3"]) == 0  # fewer than are done
    assert "already finished, behind step 4 of 3" in capsys.readouterr().out
    assert main(["train", *force, "accumulate=2"]) == 2
    assert "accumulate: what was learnt is tied to it" in capsys.readouterr().err


def test_another_number_of_processes_is_refused_with_the_way_to_go_on(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(machine, "processes", lambda config: machine.Processes(1, 2))
    _refused(capsys, stopped, 2, "the run had 1 processes and would have 2")


def test_shortened_below_a_step_without_any_validation_a_run_validates_and_ends(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "data", tmp_path / "data")
    with monkeypatch.context() as patch:
        stop_at(patch, "on_train_batch_end", 5)
        assert train("data", "name=cut", "val_every=100", "save_every=1") == 1
    assert main(["train", "resume=runs/cut", "resume_force=true", "max_steps=3"]) == 0
    assert len((tmp_path / "runs/cut/metrics.csv").read_text().splitlines()) == 2


def test_the_same_command_without_a_name_offers_the_run_that_stopped_and_starts_a_new_one(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "data", tmp_path / "data")
    with monkeypatch.context() as patch:
        stop_at(patch, "validated", 1)
        assert train("data") == 1
    capsys.readouterr()
    assert train("data") == 0
    offer = (
        "notice    runs/folder-phi-1 is the same training, stopped at step 2 of 6: this is a new"
    )
    assert offer in (said := capsys.readouterr().out)
    assert "go on with  python train.py resume=runs/folder-phi-1" in said
    assert train("data", "seed=1") == 0  # another training
    assert main(["train", "resume=runs/folder-phi-1"]) == 0
    assert train("data") == 0  # now that both have finished
    assert "is the same training" not in capsys.readouterr().out
