"""The facts of a metrics.json as a table for a person: a line a class, and all other numbers."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from effunet.evaluation.words import SCORES, value

Facts = Mapping[str, Any]
"""The contents of a metrics.json, as `Report.to_plain` gives them."""


def table_of(facts: Facts, *, plain: bool = False) -> Table:
    """A line a class, and the means; plain: without rules and colours, for a file or a pipe."""
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    counted = f"mIoU over {facts['counted']} of {len(facts['classes'])} classes"
    table.add_column("class", counted, no_wrap=True)
    table.add_column("IoU", percent(facts["miou"], none="n/a"), justify="right")
    whole = facts.get("intervals")
    if whole is not None:
        table.add_column(f"{whole['level']:.0%} interval", range_of(whole["miou"]), justify="right")
    # The mean over the classes that have an accuracy: those that the truth holds.
    table.add_column("accuracy", percent(facts["mean_accuracy"]), justify="right")
    bounded = facts.get("boundary_iou") is not None
    if bounded:
        table.add_column("boundary IoU", percent(facts["boundary_iou"]), justify="right")
    table.add_column("pixels", f"{facts['pixels']:,}", justify="right")
    for entry in facts["classes"]:
        cells = [Text(entry["name"]), percent(entry["iou"])]
        if whole is not None:
            cells.append(range_of(entry["interval"]))
        cells.append(percent(entry["accuracy"]))
        if bounded:
            cells.append(percent(entry["boundary_iou"]))
        table.add_row(*cells, f"{entry['pixels']:,}")
    return table


def number_lines(facts: Facts) -> list[str]:
    """The numbers beside the mIoU, each under its full name, with its interval."""
    intervals = facts.get("intervals") or {}
    return [
        f"{score.name}: {percent(found)}{_behind(intervals.get(score.key))}"
        for score in SCORES
        if score.key != "miou" and (found := value(facts, score.key)) is not None
    ]


def part_lines(facts: Facts) -> list[str]:
    """A line for each dataset of a mixture, by that dataset's own rules."""
    return [
        f"{part['dataset']}: mIoU {percent(part['miou'], none='n/a')} over {part['counted']} "
        f"of {len(part['classes'])} classes, {part['images']} images"
        for part in facts.get("parts", ())
    ]


def percent(share: float | None, none: str = "-") -> str:
    """A share as '61.3 %', and '-' for what has no value."""
    return none if share is None else f"{100 * share:.1f} %"


def range_of(pair: list[float] | None) -> str:
    """An interval as '59.0 to 69.0', in percent, and '-' for none."""
    return "-" if pair is None else f"{100 * pair[0]:.1f} to {100 * pair[1]:.1f}"


def _behind(pair: list[float] | None) -> str:
    return "" if pair is None else f" ({range_of(pair)})"
