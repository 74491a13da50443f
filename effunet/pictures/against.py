"""Accuracy against cost: points with names, a front, and others in grey."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from effunet.pictures.figures import figure_png, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, OTHERS = "#2171b5", "#969696"


@dataclass(frozen=True)
class Point:
    """One named point."""

    name: str
    cost: float
    accuracy: float  # per cent
    interval: tuple[float, float] | None = None  # likewise


@dataclass(frozen=True)
class Panel:
    """One axis of cost, logarithmic."""

    cost: str  # what it is, with its unit
    points: Sequence[Point]
    front: Sequence[Point] = ()  # joined by a line, from the cheapest on
    others: Sequence[Point] = ()  # in grey


def chart(panels: Sequence[Panel], accuracy: str, note: str = "") -> bytes:
    """Draw the panels side by side as a PNG.

    Args:
        panels: one and more, with the same accuracy upwards.
        accuracy: what it is, with its unit.
        note: a line below, such as the sources of what is grey.
    """
    figure = new_figure(6.4 * len(panels), 4.8)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel)
        axes.set(xlabel=panel.cost, ylabel=accuracy)
    if note:
        figure.supxlabel(note, fontsize=8, color=OTHERS)
    return figure_png(figure)


def _draw(axes: "Axes", panel: Panel) -> None:
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    for points, color, size in ((panel.others, OTHERS, 16), (panel.points, OURS, 30)):
        if points:
            axes.scatter(
                [point.cost for point in points],
                [point.accuracy for point in points],
                s=size,
                color=color,
                zorder=3,
            )
        for point in points:
            if point.interval is not None:
                axes.plot([point.cost] * 2, point.interval, color=color, linewidth=1, zorder=2)
            axes.annotate(
                point.name,
                (point.cost, point.accuracy),
                xytext=(5, -9),
                textcoords="offset points",
                fontsize=8,
                color=color,
            )
    if len(panel.front) > 1:
        costs, heights = zip(*((one.cost, one.accuracy) for one in panel.front), strict=True)
        axes.plot(
            costs, heights, color=OURS, linewidth=1, alpha=0.6, label="none is better for less"
        )
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    every = [point.cost for point in (*panel.points, *panel.others)]
    axes.set_xscale("log")
    axes.set_xlim(min(every) / 1.6, max(every) * 2.2)  # room for the last name
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(_none())
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _none() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()
