"""Curves of a training: the same from rows and from their CSV, from whatever there is."""

from pathlib import Path

import pytest
from PIL import Image

from effunet.pictures.curves import curves

ROWS = [
    {"epoch": 1, "train_loss": 2.0, "val_loss": None, "miou": 0.1, "lr": 1e-3},
    {"epoch": 2, "train_loss": 1.0, "val_loss": 1.5, "miou": 0.3, "lr": 5e-4},
]


def test_curves_of_rows_and_of_their_csv_are_the_same_picture(tmp_path: Path) -> None:
    lines = [",".join(ROWS[0])]
    lines += [",".join("" if v is None else str(v) for v in row.values()) for row in ROWS]
    (tmp_path / "metrics.csv").write_text("\n".join(lines) + "\n")
    curves(ROWS, tmp_path / "a.png")
    curves(tmp_path / "metrics.csv", tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (1200, 360)


@pytest.mark.parametrize("rows", [[], ROWS[:1], [{"epoch": 1.5, "miou": 0.2}]])
def test_curves_are_drawn_from_whatever_there_is(
    tmp_path: Path, rows: list[dict[str, float]]
) -> None:
    curves(rows, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_drawing_touches_no_global_state_of_matplotlib(tmp_path: Path) -> None:
    import sys

    before = "matplotlib.pyplot" in sys.modules
    curves(ROWS, tmp_path / "a.png")
    assert ("matplotlib.pyplot" in sys.modules) == before
