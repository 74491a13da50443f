"""`effunet data check`: every pair is read once -> a report, or JSON; exit code 3 on faults.

What was found is remembered outside the data folder: a second call, or a training, reads nothing
again while no file has changed.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from effunet.commands.data.splits import Opened, open_splits
from effunet.commands.terminal import console, count, progress, shown
from effunet.data.check.findings import Finding
from effunet.data.check.judge import Readable
from effunet.data.check.measures import sizes_of
from effunet.data.check.preflight import Examination, examine
from effunet.data.check.survey import Survey
from effunet.data.dataset import Dataset
from effunet.errors import DataError

SHOWN = 10
"""Findings of one kind that are printed; --json has all of them."""

LEVELS = {"fault": "red", "warning": "yellow", "note": "cyan"}


def run(arguments: Namespace) -> int:
    """Check, print, and return 0 where nothing is at fault."""
    opened = open_splits(arguments.dataset, arguments.root, arguments.split)
    name = opened.description.name
    with progress(f"{name}: reading") as tell:
        found = examine(*opened.splits, everything=True, crop=arguments.crop, progress=tell)
    findings = sorted(
        [*found.findings, *opened.missing],
        key=lambda finding: list(LEVELS).index(finding.level),
    )
    if arguments.json:
        json.dump(_plain(opened, found, findings), sys.stdout, indent=1)
        print()
    else:
        _print(console(), opened, found, findings)
    bad = ("fault", "warning") if arguments.strict else ("fault",)
    if any(finding.level in bad for finding in findings):
        raise DataError(
            f"{name}: {_tally(findings)}; mend what is listed on standard output and check again"
        )
    return 0


def _print(out: Console, opened: Opened, found: Examination, findings: Sequence[Finding]) -> None:
    description = opened.description
    title = f" ({description.title})" if description.title else ""
    out.print(shown(f"{description.name}{title}, described in {description.where}") + "\n")
    out.print(_table(opened.splits, found.surveys, plain=not out.is_terminal))
    for (level, kind), group in groupby(findings, key=lambda f: (f.level, f.kind)):
        _print_group(out, level, kind, list(group))
    made = [dataset.split for dataset in opened.splits if not isinstance(dataset, Readable)]
    read = sum(survey.pairs for _, survey in found.surveys)
    how = f"every image and mask of {read} pairs was read"
    if all(survey.remembered for _, survey in found.surveys):
        how += " before, and no file has changed since"
    how = f"{', '.join(made)} made on demand: no files to read" if made else how
    out.print(f"\n{_tally(findings)}; {how}")


def _print_group(out: Console, level: str, kind: str, group: list[Finding]) -> None:
    """Findings of one kind; a mend that all share comes once, at the end."""
    many = f" ({len(group)})" if len(group) > 1 else ""
    out.print()
    out.print(Text(f"{level}: {kind.replace('_', ' ')}{many}", style=f"bold {LEVELS[level]}"))
    for place, finding in enumerate(group[:SHOWN]):
        out.print(f"  {shown(finding.what)}")
        last = place == min(len(group), SHOWN) - 1
        if finding.mend and (last or group[place + 1].mend != finding.mend):
            out.print(f"    -> {shown(finding.mend)}")
    if len(group) > SHOWN:
        out.print(f"  and {len(group) - SHOWN} more: --json lists them")


def _table(
    splits: Sequence[Dataset], surveys: Sequence[tuple[Dataset, Survey]], *, plain: bool
) -> Table:
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False)
    for name in ("split", "pairs", "height x width", "classes", "labelled px", "ignored"):
        table.add_column(name, justify="left" if name == "split" else "right", no_wrap=True)
    known = {dataset.split: survey for dataset, survey in surveys}
    for dataset in splits:
        survey = known.get(dataset.split)
        facts = _row(dataset, survey) if survey is not None else ("", "", "", "")
        table.add_row(Text(shown(dataset.split)), str(len(dataset)), *facts)
    return table


def _row(dataset: Dataset, survey: Survey) -> tuple[str, str, str, str]:
    sizes, labelled = sizes_of(survey), int(survey.pixels.sum())
    size = ""
    if sizes is not None:
        size = f"{sizes.least[0]} x {sizes.least[1]}"
        if sizes.distinct > 1:
            size = f"{size} to {sizes.most[0]} x {sizes.most[1]}"
    classes = f"{int((survey.pixels > 0).sum())} of {len(dataset.labels)}"
    share = survey.ignored / max(1, labelled + survey.ignored)
    return size, classes, count(labelled), f"{share:.1%}"


def _tally(findings: Sequence[Finding]) -> str:
    counts = {level: sum(f.level == level for f in findings) for level in ("fault", "warning")}
    return " and ".join(
        f"{number or 'no'} {level}{'' if number == 1 else 's'}" for level, number in counts.items()
    )


def _plain(opened: Opened, found: Examination, findings: Sequence[Finding]) -> dict[str, Any]:
    splits: dict[str, Any] = {dataset.split: {"pairs": len(dataset)} for dataset in opened.splits}
    for dataset, survey in found.surveys:
        sizes = sizes_of(survey)
        pixels, images = survey.pixels.tolist(), survey.images_with.tolist()
        entries = zip(dataset.labels.names, pixels, images, strict=True)
        splits[dataset.split] |= {
            "read_images": survey.read_images,
            "read_masks": survey.read_masks,
            "smallest": sizes and list(sizes.least),
            "largest": sizes and list(sizes.most),
            "ignored": survey.ignored,
            "classes": [{"name": n, "pixels": p, "images": i} for n, p, i in entries],
        }
    return {
        "dataset": opened.description.name,
        "described_in": opened.description.where,
        "splits": splits,
        "findings": [finding.to_plain() for finding in findings],
    }
