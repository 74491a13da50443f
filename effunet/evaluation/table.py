"""A report as a table for a person: a line a class, and the numbers of the whole split."""

from rich import box
from rich.table import Table
from rich.text import Text

from effunet.evaluation.report import Report

SHOWN = {
    "image_miou": "image mIoU (mean of the images' own)",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "class accuracy (mean)",
    "mean_dice": "Dice (mean)",
    "boundary_iou": "boundary IoU (mean)",
    "boundary_f": "boundary F (mean)",
    "ece": "calibration error (ECE)",
}
"""What is said below the table of the numbers beside the mIoU."""


def table_of(report: Report, *, plain: bool = False) -> Table:
    """A line a class, and the means; plain: without rules and colours, for a file or a pipe."""
    facts = report.to_plain()
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    counted = f"mIoU over {facts['counted']} of {len(report.labels)} classes"
    table.add_column("class", counted, no_wrap=True)
    table.add_column("IoU", percent(facts["miou"], none="n/a"), justify="right")
    whole = facts.get("intervals")
    if whole is not None:
        table.add_column(f"{whole['level']:.0%} interval", _range(whole["miou"]), justify="right")
    # The mean over the classes that have an accuracy: those that the truth holds.
    table.add_column("accuracy", percent(facts["mean_accuracy"]), justify="right")
    bounded = facts.get("boundary_iou") is not None
    if bounded:
        table.add_column("boundary IoU", percent(facts["boundary_iou"]), justify="right")
    table.add_column("pixels", f"{report.pixels:,}", justify="right")
    for entry in facts["classes"]:
        cells = [Text(entry["name"]), percent(entry["iou"])]
        if whole is not None:
            cells.append(_range(entry["interval"]))
        cells.append(percent(entry["accuracy"]))
        if bounded:
            cells.append(percent(entry["boundary_iou"]))
        table.add_row(*cells, f"{entry['pixels']:,}")
    return table


def number_lines(report: Report) -> list[str]:
    """The numbers beside the mIoU, each under its full name, with its interval."""
    facts = report.to_plain()
    intervals = facts.get("intervals") or {}
    lines: list[str] = []
    for name, full in SHOWN.items():
        if report.numbers.get(name) is None:
            continue
        value = facts["calibration"]["ece"] if name == "ece" else facts[name]
        spread = _range(intervals.get(name))
        lines.append(f"{full}: {percent(value)}" + (f" ({spread})" if spread != "-" else ""))
    for kind in ("categories",):
        if facts.get(kind):
            lines.append(f"category mIoU: {percent(facts[kind]['miou'])}")
    return lines


def part_lines(report: Report) -> list[str]:
    """A line for each dataset of a mixture, by that dataset's own rules."""
    facts = [part.to_plain() for part in report.parts]
    return [
        f"{part['dataset']}: mIoU {percent(part['miou'], none='n/a')} over {part['counted']} "
        f"of {len(report.labels)} classes, {part['images']} images"
        for part in facts
    ]


def percent(share: float | None, none: str = "-") -> str:
    """A share as '61.3 %', and '-' for what has no value."""
    return none if share is None else f"{100 * share:.1f} %"


def _range(pair: list[float] | None) -> str:
    return "-" if pair is None else f"{100 * pair[0]:.1f} to {100 * pair[1]:.1f}"
