"""`effunet compare`: folders -> one table and chart of accuracy against size."""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from effunet import artifact
from effunet.commands.outputs import prepare_file
from effunet.commands.terminal import console, count, shown
from effunet.errors import DataError, UsageError

if TYPE_CHECKING:
    from effunet.pictures.against import Panel
    from effunet.scaling.against import Entry

COSTS = {
    "parameters": ("M parameters", 1e6),
    "macs": ("G MACs", 1e9),
    "latency_s": ("ms to a mask", 1e-3),
}
"""Name with its unit, and what the unit is."""


def run(arguments: Namespace) -> int:
    """Read what is there, and print and draw it."""
    from effunet.scaling.against import AXES, front

    if arguments.published and arguments.out is None:
        raise UsageError("--published is for the chart: name its file, --out sizes.png")
    if arguments.out is not None:
        prepare_file(arguments.out)
    entries = _read(arguments)
    where = sorted({(entry.dataset, entry.split) for entry in entries})
    if len(where) > 1:
        named = ", ".join(f"{dataset} {split}" for dataset, split in where)
        raise DataError(
            f"these were evaluated on different images ({named}): name those of one, or evaluate "
            "all on one with effunet evaluate DIR --data NAME --out OUT"
        )
    entries.sort(key=lambda entry: -entry.miou)
    fronts = {axis: front(entries, axis) for axis in AXES}
    if arguments.json:
        plain = {axis: [entry.name for entry in found] for axis, found in fronts.items()}
        print(json.dumps({"entries": [one.to_plain() for one in entries], "front": plain}))
    else:
        _print(entries, fronts)
    if arguments.out is not None:
        artifact.write(arguments.out, _chart(entries, fronts, published=arguments.published))
        print(f"wrote {shown(arguments.out)}", file=sys.stderr)
    return 0


def _read(arguments: Namespace) -> "list[Entry]":
    from effunet.scaling.against import Unfinished, latencies_of, read

    latencies = latencies_of(arguments.latency) if arguments.latency is not None else {}
    entries: list[Entry] = []
    seen: set[Path] = set()
    for folder in arguments.folders:
        if (place := folder.resolve()) in seen:  # runs/latest is one of runs/*
            continue
        seen.add(place)
        try:
            wanted = arguments.size or (entries[0].size if entries else None)
            entries.append(read(place if folder.is_symlink() else folder, latencies, wanted))
        except Unfinished as fault:
            print(f"effunet: left out: {shown(str(fault))}", file=sys.stderr)
    if not entries:
        raise DataError("no folder holds a finished evaluation: nothing to compare")
    return entries


def _print(entries: "Sequence[Entry]", fronts: "dict[str, list[Entry]]") -> None:
    first, out = entries[0], console()
    height, width = first.size
    out.print(f"{first.dataset} {first.split}, {first.images} images; * none is better for less")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for head in ("mIoU %", "95 %", "params", f"MACs at {height} x {width}", "latency"):
        if head != "latency" or any(entry.latency_s for entry in entries):
            table.add_column(head, justify="right", no_wrap=True)
    for entry in entries:
        stars = {axis: "*" if entry in found else " " for axis, found in fronts.items()}
        low, high = entry.interval or (None, None)
        cells = [
            shown(entry.name),
            f"{100 * entry.miou:.1f}",
            f"{100 * low:.1f} to {100 * high:.1f}" if low and high else "",
            f"{count(entry.parameters)}{stars['parameters']}",
            f"{count(entry.macs)}{stars['macs']}",
            f"{1e3 * entry.latency_s:.1f} ms{stars['latency_s']}" if entry.latency_s else "",
        ]
        table.add_row(*cells[: len(table.columns)])
    out.print(table)


def _chart(
    entries: "Sequence[Entry]", fronts: "dict[str, list[Entry]]", *, published: bool
) -> bytes:
    from effunet.pictures.against import chart
    from effunet.scaling.known import PUBLISHED

    first = entries[0]
    known = PUBLISHED.get((first.dataset, first.split), ()) if published else ()
    if published and not known:
        print(
            f"effunet: no published segmenters are known of {first.dataset} {first.split}",
            file=sys.stderr,
        )
    panels = [_panel(axis, entries, found, known) for axis, found in fronts.items() if found]
    note = f"grey: {'; '.join(dict.fromkeys(one.source for one in known))}" if known else ""
    return chart(panels, f"mIoU on {first.dataset} {first.split}, %", note)


def _panel(
    axis: str, entries: "Sequence[Entry]", found: "Sequence[Entry]", known: Sequence[Any]
) -> "Panel":
    from effunet.pictures.against import Panel, Point

    title, unit = COSTS[axis]

    def point(entry: Any) -> Point:
        interval = getattr(entry, "interval", None)
        return Point(
            entry.name,
            getattr(entry, axis) / unit,
            100 * entry.miou,
            (100 * interval[0], 100 * interval[1]) if interval else None,
        )

    if axis == "macs":
        height, width = entries[0].size
        title = f"{title} at {height} x {width}"
    with_cost = [entry for entry in entries if getattr(entry, axis) is not None]
    others = [one for one in known if getattr(one, axis, None) is not None]
    return Panel(title, [*map(point, with_cost)], [*map(point, found)], [*map(point, others)])
