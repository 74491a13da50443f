"""The chart of README.md: test mIoU beside published numbers, and the classes that starve."""

from pathlib import Path
from typing import Any

from accuracy_rows import CHART, PUBLISHED, ROWS
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

RARE = ("Pole", "SignSymbol", "Fence", "Pedestrian", "Bicyclist")
OURS, OTHERS = ("#9ecae1", "#4292c6", "#084594"), "#bdbdbd"
Result = dict[str, Any]


def draw(found: dict[str, list[Result]], file: Path) -> None:
    """Draw the rows of CHART that are measured on the test split, the first seed of each."""
    titles = {row.name: row.title for row in ROWS}
    shown = {titles[name]: found[name][0]["test"][""] for name in CHART if name in found}
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    whole, rare = figure.subplots(1, 2, width_ratios=(3, 2))
    bars = [(title, 100 * scores["miou"], OURS[1]) for title, scores in shown.items()]
    bars += [(title, miou, OTHERS) for title, miou in PUBLISHED]
    bars.sort(key=lambda bar: bar[1])
    drawn = whole.barh(*zip(*[bar[:2] for bar in bars], strict=True), color=[b[2] for b in bars])
    whole.bar_label(drawn, fmt="%.1f", padding=3)
    whole.set_title("CamVid, test mIoU in % (grey: published)")
    whole.set_xlim(0, 90)
    names = list(shown)
    compared = list(dict.fromkeys([names[0], *names[-2:]]))
    width = 0.8 / len(compared)
    for place, title in enumerate(compared):
        left = [index + (place - (len(compared) - 1) / 2) * width for index in range(len(RARE))]
        iou = [100 * shown[title]["classes"][name] for name in RARE]
        drawn = rare.bar(left, iou, width, label=title, color=OURS[place])
        rare.bar_label(drawn, fmt="%.0f", padding=1, fontsize=8)
    rare.set_xticks(range(len(RARE)), RARE)
    rare.set_title("test IoU of the rare classes in %")
    rare.legend(frameon=False, fontsize=8)
    for axes in (whole, rare):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=100, metadata={"Software": None})
