"""Accuracy against size: what is read, who is on the front, and the command."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_segmenter import saved

from effunet.cli import main
from effunet.pictures.against import OURS, Panel, Point, chart
from effunet.scaling.against import Entry, front


def entry(miou: float, parameters: int) -> Entry:
    return Entry("x", "d", "val", 1, miou, None, parameters, 1, (8, 8))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=12))
def test_none_of_the_front_is_beaten_and_all_others_are(points: list[tuple[int, int]]) -> None:
    entries = [entry(miou / 10, cost) for miou, cost in points]
    found = front(entries, "parameters")
    for one in entries:
        beaten = any(
            (other.miou >= one.miou and other.parameters < one.parameters)
            or (other.miou > one.miou and other.parameters <= one.parameters)
            for other in entries
        )
        assert beaten == (
            (one.miou, one.parameters) not in [(it.miou, it.parameters) for it in found]
        )


def test_what_lacks_a_cost_is_none_of_its_front() -> None:
    assert front([entry(0.5, 3)], "latency_s") == []


def evaluated(folder: Path, miou: float = 0.5, **facts: Any) -> Path:
    """A folder with a segmenter and a finished evaluation of it."""
    folder.mkdir()
    saved(folder)
    text = {"miou": miou, "dataset": "camvid", "split": "val", "images": 3, **facts}
    (folder / "metrics.json").write_text(json.dumps(text))
    return folder


def test_finished_evaluations_become_a_table_and_a_chart_and_others_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = evaluated(tmp_path / "good", 0.75, intervals={"miou": [0.7, 0.8]})
    bad = evaluated(tmp_path / "bad", 0.25)
    (tmp_path / "begun").mkdir()
    cut = evaluated(tmp_path / "cut")
    (cut / "metrics.json").write_text('{"miou": 0.')
    (tmp_path / "latest").symlink_to(good)
    folders = [str(tmp_path / name) for name in ("bad", "begun", "cut", "good", "latest")]
    assert main(["compare", *folders, "--out", str(tmp_path / "chart.png")]) == 0
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows if row and row[0] in ("good", "bad", "latest")] == [
        "good",
        "bad",
    ]
    assert "75.0" in out and "70.0 to 80.0" in out and bad.name in out
    assert err.count("left out") == 2 and "begun" in err and "cut" in err
    with Image.open(tmp_path / "chart.png") as picture:
        assert picture.size[0] > 800


def test_the_latency_that_benchmark_wrote_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = evaluated(tmp_path / "one")
    work = {"mask": {"latency_s": {"median": 0.0123}}}
    model = {"path": str(folder / "segmenter.safetensors"), "works": work}
    (tmp_path / "bench.json").write_text(json.dumps({"sizes": [{"models": [model]}]}))
    words = ["compare", str(folder), "--latency", str(tmp_path / "bench.json"), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["entries"][0]["latency_s"] == 0.0123


def test_multiply_adds_are_counted_at_one_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = evaluated(tmp_path / "one")
    found: list[int] = []
    for size in ("64", "128"):
        assert main(["compare", str(folder), "--size", size, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["entries"][0]["macs"])
    # But for squeeze-and-excitation, which works on one pixel whatever the size.
    assert found[1] == pytest.approx(4 * found[0], rel=0.01)


def test_evaluations_of_different_images_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [evaluated(tmp_path / split, split=split) for split in ("val", "test")]
    assert main(["compare", *map(str, folders)]) == 3
    err = capsys.readouterr().err
    assert "camvid test, camvid val" in err and err.count("\n") == 1


def test_nothing_finished_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path)]) == 3
    assert "nothing to compare" in capsys.readouterr().err


def test_the_chart_shows_its_points_where_they_belong() -> None:
    points = [Point("small", 1, 50), Point("large", 100, 80)]
    data = chart([Panel("M parameters", points, points)], "mIoU, %")
    picture = np.array(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    blue = np.array([int(OURS[i : i + 2], 16) for i in (1, 3, 5)])
    rows, columns = np.nonzero((np.abs(picture - blue) < 8).all(-1))
    low, high = columns < picture.shape[1] // 2, columns >= picture.shape[1] // 2
    assert rows[low].mean() > rows[high].mean()  # what costs less lies left, and lower here


def test_the_chart_of_the_article_says_8_4_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scale", "chart", "--out", str(tmp_path / "imagenet.png")]) == 0
    assert "8.4 times" in capsys.readouterr().out
    with Image.open(tmp_path / "imagenet.png") as picture:
        assert picture.format == "PNG"


def test_published_ones_without_a_chart_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path), "--published"]) == 2
    assert "name its file, --out" in capsys.readouterr().err
