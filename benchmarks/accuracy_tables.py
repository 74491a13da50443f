"""The JSONs of benchmarks/accuracy.py -> docs/results.md, README.md and their chart."""

import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from accuracy_chart import RARE, draw
from accuracy_rows import SHOWN, TABLES, Row

HOUSE = Path(__file__).resolve().parents[1]
RESULTS = HOUSE / "docs" / "results"
PAGES = (HOUSE / "docs" / "results.md", HOUSE / "README.md")
CHART = HOUSE / "docs" / "accuracy.png"
BLOCK = re.compile(r"(<!-- (\w+) of ([\w-]+) -->\n).*?(<!-- end -->)", re.S)
"""What a page holds of a table's rows: `table of equal`, `commands of equal`."""

Result = dict[str, Any]
Found = Mapping[str, Sequence[Result]]
"""Measured runs by the name of their row, in the order of the seeds."""


def write() -> None:
    """Bring the chart, every table and every list of commands in the pages up to date."""
    found = results()
    if any(row.name in found for row in SHOWN):
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


def filled(page: str, found: Found) -> str:
    """Fill the blocks of a page."""
    parts = {"table": table, "commands": commands}

    def text(match: re.Match[str]) -> str:
        opening, part, group, closing = match.groups()
        lines = parts[part](TABLES[group], found)
        return "\n".join([opening, *lines, "", closing])

    return BLOCK.sub(text, page)


def table(rows: Sequence[Row], found: Found) -> list[str]:
    """Per cent mIoU of each seed, the mean difference to the first row, IoU of rare classes."""
    measured = [row for row in rows if row.name in found]
    ways = list(dict.fromkeys(way for row in measured for way in row.test))
    tests = [f"test{' ' if way else ''}{f'`{way}`' if way else ''}" for way in ways]
    columns = ["", "val mIoU", *(["against the first"] if len(rows) > 1 else []), *RARE, *tests]
    lines = [_line(columns), _line("---" for _ in columns)]
    for row in measured:
        runs = found[row.name]
        cells = [row.title, ", ".join(f"{100 * run['val']['miou']:.1f}" for run in runs)]
        if len(rows) > 1:
            cells.append("" if row is rows[0] else _difference(found.get(rows[0].name, []), runs))
        cells += [_mean(run["val"]["classes"][name] for run in runs) for name in RARE]
        for way in ways:
            known = [run["test"][way]["miou"] for run in runs if way in run["test"]]
            cells.append(", ".join(f"{100 * miou:.1f}" for miou in known))
        lines.append(_line(cells))
    return lines


def commands(rows: Sequence[Row], found: Found) -> list[str]:
    """What anyone types to get the rows, and how long it took."""
    lines = ["```sh"]
    for row in rows:
        if row.name in found:
            minutes = [run["seconds"] / 60 for run in found[row.name] if run["seconds"]]
            took = f", {statistics.mean(minutes):.0f} minutes a run" if minutes else ""
            lines += [f"# {row.title}{took}", row.command(), *row.evaluations()]
    return [*lines, "```"]


def _difference(first: Sequence[Result], runs: Sequence[Result]) -> str:
    """The mean over the seeds that both rows have, in points."""
    base = {run["seed"]: run["val"]["miou"] for run in first}
    both = [run["val"]["miou"] - base[run["seed"]] for run in runs if run["seed"] in base]
    return f"{100 * statistics.mean(both):+.1f}".replace("-0.0", "+0.0") if both else ""


def _mean(shares: Iterable[float | None]) -> str:
    """Per cent; of a class that no image shows there is none."""
    known = [share for share in shares if share is not None]
    return f"{100 * statistics.mean(known):.0f}" if known else ""


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
