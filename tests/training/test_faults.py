"""What goes wrong in the middle of a training: memory, nothing to count, no progress any more."""

from pathlib import Path
from typing import Any

import pytest
import torch
from dataset_trees import plain_folder, stripes, write_png
from tiny_training import draw_no_curves, state, train

from effunet.data.loading.sampling import TrainBatches
from effunet.labels import IGNORE
from effunet.model.encoder import EfficientNet
from effunet.segmenter import Segmenter
from effunet.training.course import Milestones
from effunet.training.module import Training
from effunet.training.output import record


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw_no_curves(monkeypatch)
    plain_folder(tmp_path / "data")
    return tmp_path


# Memory


def test_a_training_step_without_memory_ends_with_5_and_three_overrides(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(self: Training, batch: Any, number: int) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Training, "training_step", full)
    assert train("data", "name=one") == 5
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "memory is full" in err
    words = ("batch_size=1 accumulate=2", "encoder.checkpointing=true", "smaller than [32, 32]")
    assert all(word in err for word in words)


def test_a_validation_without_memory_is_done_on_the_cpu_with_the_same_result_and_one_notice(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert train("data", "name=whole") == 0
    original, calls = Training.validation_step, []

    def full(self: Training, batch: Any, number: int) -> None:
        calls.append(number)
        if len(calls) in (3, 4):  # both images of the second validation
            raise torch.OutOfMemoryError("CUDA out of memory")
        original(self, batch, number)

    def no_picture(segmenter: Segmenter, image: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Training, "validation_step", full)
    monkeypatch.setattr(record, "predict_mask", no_picture)
    capsys.readouterr()
    assert train("data", "name=full") == 0
    out = capsys.readouterr().out
    assert out.count("notice    the device's memory is too small to validate 32 x 48 pixels") == 1
    full_run, whole = (state(home / "runs" / name, pictures=False) for name in ("full", "whole"))
    assert full_run == whole


def test_an_error_of_a_validation_that_is_not_memory_is_not_hidden(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    original = EfficientNet.features

    def broken(self: EfficientNet, image: torch.Tensor) -> Any:
        if not self.training:
            raise RuntimeError("another fault")
        return original(self, image)

    monkeypatch.setattr(EfficientNet, "features", broken)
    assert train("data", "name=one") == 1


# Nothing to count


def test_a_validation_split_that_is_all_ignored_ends_with_3_and_one_line(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    for mask in (home / "data" / "val" / "masks").iterdir():
        write_png(mask, stripes((IGNORE,)))
    assert train("data", "name=one") == 3
    assert "in all 2 masks read every pixel is ignored" in capsys.readouterr().err
    assert not (home / "runs").exists()
    assert train("data", "name=one", "dataset.check=none") == 3
    err = capsys.readouterr().err
    assert "split val: nothing to count, mIoU n/a: all pixels of its 2 images are ignored" in err
    assert err.count("\n") == 1


# The end, and what is due before


def test_without_progress_a_training_ends_early_says_so_and_is_finished(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    # At so small a rate the second validation is the first one again.
    words = ("patience=1", "optim.lr=1e-12", "encoder.freeze_norms=1", "name=one")
    assert train("data", *words, "max_steps=20") == 0
    out = capsys.readouterr().out
    assert "ended early behind step" in out and "brought no better miou (patience=1)" in out
    rows = (home / "runs" / "one" / "metrics.csv").read_text().splitlines()
    assert 3 <= len(rows) < 11
    capsys.readouterr()
    assert train("data", *words, "max_steps=20", "resume=runs/one") == 0
    assert "runs/one is already finished, behind step" in capsys.readouterr().out


def test_accumulated_batches_are_those_of_the_stream_and_each_draws_for_itself(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[int, list[int], float]] = []
    original = Training.training_step

    def noted(self: Training, batch: Any, number: int) -> torch.Tensor:
        state = torch.get_rng_state()
        seen.append((self.global_step, batch["index"].tolist(), torch.rand(1).item()))
        torch.set_rng_state(state)
        return original(self, batch, number)

    monkeypatch.setattr(Training, "training_step", noted)
    assert train("data", "name=one", "accumulate=3", "max_steps=2", "val_every=3") == 0
    assert [step for step, _, _ in seen] == [0, 0, 0, 1, 1, 1]
    stream = iter(TrainBatches(4, 2, seed=0))
    assert [indices for _, indices, _ in seen] == [
        [draw.image for draw in next(stream)] for _ in seen
    ]
    assert len({draw for _, _, draw in seen}) == len(seen)
    csv = (home / "runs" / "one" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in csv[1:]] == [["3.0", "2"]]  # 6 batches of 2 an epoch


def test_a_validation_is_due_every_so_many_steps_and_behind_the_last_one():
    milestones = Milestones(total=7, validate_every=3, save_every=2)
    assert [step for step in range(8) if milestones.validates(step)] == [3, 6, 7]
    assert [step for step in range(1, 8) if milestones.saves(step)] == [2, 4, 6]
