"""A checkpoint file is whole or not there, and reading one runs no code."""

import itertools
import os
import pickle
import random
import select
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from effunet.errors import ModelError, ResourceError
from effunet.training.output.checkpoint import AtomicCheckpointIO

CHECKPOINT = {"state_dict": {"weight": torch.arange(6.0)}, "global_step": 3}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, file)
    return file


def test_what_was_saved_is_read_back(file: Path):
    loaded = AtomicCheckpointIO().load_checkpoint(file)
    assert loaded["global_step"] == 3
    assert torch.equal(loaded["state_dict"]["weight"], CHECKPOINT["state_dict"]["weight"])
    assert [path.name for path in file.parent.iterdir()] == ["last.ckpt"]


def _raising(error: BaseException) -> Callable[..., None]:
    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


@pytest.mark.parametrize(
    ("place", "error", "seen"),
    [
        ("os.fsync", OSError(28, "No space left on device"), ResourceError),
        ("torch.save", RuntimeError("unexpected pos 64 vs 0"), ResourceError),
        ("pathlib.Path.open", PermissionError(13, "Permission denied"), ResourceError),
        ("pathlib.Path.replace", OSError(30, "Read-only file system"), ResourceError),
        ("torch.save", KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_write_that_fails_keeps_the_checkpoint_before_and_leaves_nothing_else(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    error: BaseException,
    seen: type[BaseException],
):
    before = file.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(seen) as fault:
        patch.setattr(place, _raising(error))
        AtomicCheckpointIO().save_checkpoint({**CHECKPOINT, "global_step": 4}, file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["last.ckpt"]
    if seen is ResourceError:
        assert str(file) in str(fault.value) and str(error) in str(fault.value)


def test_the_new_file_reaches_the_disk_before_it_takes_the_old_ones_name(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    order: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(handle: int) -> None:
        order.append("sync")
        sync(handle)

    def noted_replace(self: Path, target: Path) -> Path:
        assert self.parent == target.parent  # a move between file systems is a copy
        order.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, file)
    assert order == ["sync", "replace", "sync"]


def test_too_little_space_is_told_before_a_byte_is_written(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    before, written = file.read_bytes(), []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=2_000_000))
    monkeypatch.setattr(torch, "save", lambda *_: written.append(None))
    large = {**CHECKPOINT, "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(10**6)}}}]}
    with pytest.raises(ResourceError, match=r"it takes 4 MB and 2 MB are free.* is unharmed"):
        AtomicCheckpointIO().save_checkpoint(large, file)
    assert file.read_bytes() == before and not written


def _in_child(work: Callable[[], None]) -> int:
    """Start a child of this process that does nothing but the work; returns its number."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            work()
            os._exit(0)
        os._exit(1)
    return child


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_in_the_middle_of_a_save_leaves_a_whole_checkpoint_twenty_times(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    # The usual cluster: a temporary folder on another file system than that of the run.
    monkeypatch.setenv("TMPDIR", "/dev/shm")
    torch.set_num_threads(1)
    weights = torch.zeros(10**6)

    def save_for_ever(begins: int) -> None:
        for step in itertools.count(4):
            weights.fill_(step)
            os.write(begins, b".")
            AtomicCheckpointIO().save_checkpoint(
                {"state_dict": {"weight": weights}, "global_step": step}, file
            )

    draw, seen, took = random.Random(0), set(), 0.0
    for round in range(20):
        begun, begins = os.pipe()
        child = _in_child(partial(save_for_ever, begins))
        os.close(begins)
        # In its third save, then in its first to fourth, however fast the machine is.
        for _ in range(draw.randint(1, 4) if round else 3):
            since = time.monotonic()
            assert select.select([begun], [], [], 60)[0], "the child does not come to its next save"
            assert os.read(begun, 1) == b"."
            took = time.monotonic() - since if not round else took
        time.sleep(draw.uniform(0, took))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(begun)
        loaded = AtomicCheckpointIO().load_checkpoint(file)
        seen.add(loaded["global_step"])
        if loaded["global_step"] > 3:
            assert (loaded["state_dict"]["weight"] == loaded["global_step"]).all()
        assert {path.name for path in file.parent.iterdir()} <= {"last.ckpt", ".last.ckpt.partial"}
    assert len(seen) > 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_disk_that_fills_up_while_saving_keeps_the_checkpoint_before(file: Path):
    before = file.read_bytes()

    def save() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        with pytest.raises(ResourceError, match="could not be written"):
            AtomicCheckpointIO().save_checkpoint(
                {"state_dict": {"weight": torch.zeros(10**6)}, "global_step": 9}, file
            )

    assert os.waitpid(_in_child(save), 0)[1] == 0
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["last.ckpt"]


class Payload:
    """A pickle that leaves a canary behind when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("write", ["pickle", "torch"])
def test_code_in_a_checkpoint_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forced: bool, write: str
):
    file, canary = tmp_path / "last.ckpt", tmp_path / "canary"
    if write == "pickle":
        file.write_bytes(pickle.dumps({**CHECKPOINT, "more": Payload(canary)}))
    else:
        torch.save({**CHECKPOINT, "more": Payload(canary)}, file)
    if forced:
        # What others set to read old checkpoints must not open ours.
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(ModelError, match=r"last\.ckpt: no readable checkpoint"):
        AtomicCheckpointIO().load_checkpoint(file)
    assert not canary.exists()


def test_anything_else_under_the_name_is_refused(file: Path):
    whole = file.read_bytes()
    for data in (b"", b"text", whole[: len(whole) // 2]):
        file.write_bytes(data)
        with pytest.raises(ModelError, match=r"last\.ckpt: no readable checkpoint"):
            AtomicCheckpointIO().load_checkpoint(file)
    for other in ([1, 2], {"state_dict": {}}, {"global_step": 1}, torch.zeros(2)):
        torch.save(other, file)
        with pytest.raises(ModelError, match=r"last\.ckpt: no training checkpoint"):
            AtomicCheckpointIO().load_checkpoint(file)
    file.unlink()
    with pytest.raises(ModelError, match=r"last\.ckpt: no readable checkpoint"):
        AtomicCheckpointIO().load_checkpoint(file)


def test_removing_a_checkpoint_that_is_not_there_is_no_fault(file: Path):
    for _ in range(2):
        AtomicCheckpointIO().remove_checkpoint(file)
    assert not file.exists()
