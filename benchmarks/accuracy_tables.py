"""The JSONs of benchmarks/accuracy.py -> docs/results.md, README.md and their chart."""

import json
import re
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from accuracy_chart import RARE, draw
from accuracy_rows import TABLES, Row

HOUSE = Path(__file__).resolve().parents[1]
RESULTS = HOUSE / "docs" / "results"
PAGES = (HOUSE / "docs" / "results.md", HOUSE / "README.md")
CHART = HOUSE / "docs" / "accuracy.png"
BLOCK = re.compile(r"(<!-- (\w+) of ([\w-]+) -->\n).*?(<!-- end -->)", re.S)
"""What a page holds of a table's rows: `table of equal`, `commands of equal`."""

Result = dict[str, Any]


def write() -> None:
    """Bring the chart, every table and every list of commands in the pages up to date."""
    found = results()
    draw(found, CHART)
    for page in PAGES:
        page.write_text(filled(page.read_text(), found))


def results() -> dict[str, list[Result]]:
    """Read what has been measured, by row, in the order of the seeds."""
    found: dict[str, list[Result]] = {}
    for file in sorted(RESULTS.glob("*.json")):
        result = json.loads(file.read_text())
        found.setdefault(result["row"], []).append(result)
    return found


def filled(page: str, found: dict[str, list[Result]]) -> str:
    """Fill the blocks of a page."""
    parts = {"table": table, "commands": commands}

    def text(match: re.Match[str]) -> str:
        opening, part, group, closing = match.groups()
        rows = [row for row in TABLES[group] if row.name in found]
        lines = parts[part](rows, found)
        return "\n".join([opening, *lines, "", closing])

    return BLOCK.sub(text, page)


def table(rows: list[Row], found: dict[str, list[Result]]) -> list[str]:
    """Per cent mIoU of each seed, the mean difference to the first row, IoU of rare classes."""
    ways = list(dict.fromkeys(way for row in rows for way in row.test))
    tests = [f"test{' ' if way else ''}{f'`{way}`' if way else ''}" for way in ways]
    columns = ["", "val mIoU", *(["against the first"] if len(rows) > 1 else []), *RARE, *tests]
    lines = [_line(columns), _line("---" for _ in columns)]
    for row in rows:
        runs = found[row.name]
        cells = [row.title, ", ".join(f"{100 * run['val']['miou']:.1f}" for run in runs)]
        if len(rows) > 1:
            cells.append("" if row is rows[0] else _difference(found[rows[0].name], runs))
        for name in RARE:
            cells.append(f"{100 * statistics.mean(_iou(run, name) for run in runs):.0f}")
        for way in ways:
            measured = [run["test"][way]["miou"] for run in runs if way in run["test"]]
            cells.append(", ".join(f"{100 * miou:.1f}" for miou in measured))
        lines.append(_line(cells))
    return lines


def commands(rows: list[Row], found: dict[str, list[Result]]) -> list[str]:
    """What anyone types to get the rows, and how long it took."""
    lines = ["```sh"]
    for row in rows:
        minutes = [run["seconds"] / 60 for run in found[row.name] if run["seconds"]]
        took = f", {statistics.mean(minutes):.0f} minutes a run" if minutes else ""
        lines += [f"# {row.title}{took}", row.command()]
    return [*lines, "```"]


def _difference(first: list[Result], runs: list[Result]) -> str:
    """The mean over the seeds that both rows have, in points."""
    base = {run["seed"]: run["val"]["miou"] for run in first}
    both = [run["val"]["miou"] - base[run["seed"]] for run in runs if run["seed"] in base]
    return f"{100 * statistics.mean(both):+.1f}".replace("-0.0", "+0.0") if both else ""


def _iou(run: Result, name: str) -> float:
    return run["val"]["classes"][name]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
