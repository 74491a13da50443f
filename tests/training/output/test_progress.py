"""What a training tells between two validations, where there is no terminal."""

import re
from pathlib import Path

import pytest
from dataset_trees import plain_folder
from tiny_training import STEPS, draw_no_curves, train

from effunet.training.output import progress


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw_no_curves(monkeypatch)
    return plain_folder(tmp_path / "data")


@pytest.mark.parametrize(("quiet", "told"), [(0.0, list(range(1, STEPS + 1))), (3600.0, [])])
def test_a_long_silence_is_broken_by_a_line_with_step_loss_and_pace(
    quiet: float,
    told: list[int],
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(progress, "QUIET", quiet)
    assert train(data, "val_every=10") == 0
    lines = re.findall(
        rf"^step +(\d+)/{STEPS}  train loss \d\.\d{{4}}  [\d.]+ images/s$",
        capsys.readouterr().out,
        re.M,
    )
    assert [int(step) for step in lines] == told
