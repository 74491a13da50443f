"""A search of the scaling law's constants as a picture: its candidates, and ways to grow."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from effunet.pictures.figures import figure_png, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, GREY = "#2171b5", "#969696"

Line = Mapping[str, Any]


def picture(result: Mapping[str, Any]) -> bytes:
    """Draw what `effunet scale search` found as a PNG.

    Left the candidates, the best one on top: the mean with its interval, and each seed as a small
    dot. Right, where phi was raised, mIoU against multiply-adds for each way to grow.
    """
    groups: Mapping[str, Sequence[Line]] = result["groups"]
    (_, first), *ways = groups.items()
    score = f"mIoU on {result['dataset']} {result['split']}, %"
    panels = 2 if ways else 1
    height = max(4.0, 1.6 + 0.34 * len(first))
    figure = new_figure(6.8 * panels, height)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _candidates(axes[0], first)
    axes[0].set(xlabel=score, title="step one: candidates at phi 1")
    if ways:
        _ways(axes[1], dict(ways))
        axes[1].set(xlabel="multiply-adds of a training crop, M", ylabel=score)
        axes[1].set_title("ways to grow")
    seeds = len(result["seeds"])
    figure.supxlabel(
        f"{result['length']} of {result['batch_size']} crops each; x: multiply-adds, times the "
        f"baseline's; small dots: {seeds} seed{'s' * (seeds > 1)}; bars: 95 % of the mean",
        fontsize=8,
        color=GREY,
    )
    return figure_png(figure)


def _candidates(axes: "Axes", lines: Sequence[Line]) -> None:
    base, *others = lines
    scored = sorted((line for line in others if line["runs"]), key=lambda line: line["miou"])
    for height, line in enumerate(scored):
        _seeds(axes, [(100 * score, height) for score in line["runs"].values()], OURS)
        axes.errorbar(
            100 * line["miou"],
            height,
            xerr=100 * line["half_interval"] if line["half_interval"] else None,
            fmt="o",
            color=OURS,
            capsize=3,
        )
    names = [
        f"alpha {line['alpha']:g}  beta {line['beta']:g}  gamma {line['gamma']:g}"
        f"  (x {line['times_baseline']:.2f})"
        for line in scored
    ]
    axes.set_yticks(range(len(scored)), names, fontsize=8)
    if base["runs"]:
        axes.axvline(100 * base["miou"], color=GREY, linestyle="--", label="baseline, phi 0")
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    _tidy(axes)


def _ways(axes: "Axes", ways: Mapping[str, Sequence[Line]]) -> None:
    for number, (name, lines) in enumerate(ways.items()):
        scored = sorted((line for line in lines if line["runs"]), key=lambda line: line["macs"])
        color = f"C{number}"
        for line in scored:
            _seeds(axes, [(line["macs"] / 1e6, 100 * s) for s in line["runs"].values()], color)
        axes.plot(
            [line["macs"] / 1e6 for line in scored],
            [100 * line["miou"] for line in scored],
            marker="o",
            color=color,
            label=name,
        )
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    _tidy(axes)


def _seeds(axes: "Axes", points: Sequence[tuple[float, float]], color: str) -> None:
    axes.scatter(*zip(*points, strict=True), s=26, color=color, alpha=0.45, linewidths=0)


def _tidy(axes: "Axes") -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
