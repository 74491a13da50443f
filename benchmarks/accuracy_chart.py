"""The JSONs of benchmarks/accuracy.py -> README.md's chart: test mIoU beside published ones."""

from pathlib import Path
from typing import Any, NamedTuple

from accuracy_rows import PUBLISHED, SHOWN, TABLES, Row
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

RARE = ("Pole", "SignSymbol", "Fence", "Pedestrian", "Bicyclist")
OURS, OTHERS, SHADES = "#2171b5", "#bdbdbd", ("#c6dbef", "#6baed6", "#2171b5", "#08306b")


class Bar(NamedTuple):
    """One number of the chart."""

    title: str
    miou: float  # per cent, on the test split
    color: str


def bars(found: dict[str, list[dict[str, Any]]]) -> list[Bar]:
    """Give what is measured, first seeds, and what is published, from the lowest to the highest."""
    ours = [Bar(_title(row), 100 * _test(row, found)["miou"], OURS) for row in _shown(found)]
    return sorted(
        [*ours, *(Bar(title, miou, OTHERS) for title, miou in PUBLISHED)], key=lambda bar: bar.miou
    )


def draw(found: dict[str, list[dict[str, Any]]], file: Path) -> None:
    """Draw the mIoU of all, and the rare classes of those that are measured."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    whole, rare = figure.subplots(1, 2, width_ratios=(1, 1))
    titles, heights, colors = zip(*bars(found), strict=True)
    drawn = whole.barh(titles, heights, color=colors)
    whole.bar_label(drawn, fmt="%.1f", padding=3)
    whole.set(title="mIoU on CamVid's test images (grey: published)", xlabel="%", xlim=(0, 85))
    shown = _shown(found)
    width = 0.84 / len(shown)
    for place, (row, shade) in enumerate(zip(shown, SHADES, strict=False)):
        left = [index + (place - (len(shown) - 1) / 2) * width for index in range(len(RARE))]
        iou = [100 * _test(row, found)["classes"][name] for name in RARE]
        drawn = rare.bar(left, iou, width, label=_title(row), color=shade)
        rare.bar_label(drawn, fmt="%.0f", padding=1, fontsize=8)
    rare.set_xticks(range(len(RARE)), RARE)
    rare.set(title="IoU of the rare classes on the same images", ylabel="%", ylim=(0, 90))
    rare.legend(frameon=False, fontsize=9, loc="upper left")
    for axes in (whole, rare):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=100, metadata={"Software": None})


def _shown(found: dict[str, list[dict[str, Any]]]) -> list[Row]:
    return [row for row in SHOWN if row.name in found]


def _title(row: Row) -> str:
    return row.title.replace("`", "") + (", 1000 steps" if row in TABLES["equal"] else "")


def _test(row: Row, found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """What the first seed of a row reached on the test images, without test-time augmentation."""
    scores: dict[str, Any] = found[row.name][0]["test"][""]
    return scores
