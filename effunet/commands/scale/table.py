"""`effunet scale table`: what the networks cost, for a person or as JSON."""

import json
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from effunet.commands.terminal import console, count


def run(arguments: Namespace) -> int:
    """Print both tables, or one JSON object."""
    from effunet.scaling.costs import Shape
    from effunet.scaling.table import rows

    shape = Shape(arguments.decoder, arguments.classes, arguments.size)
    found = [row.to_plain() for row in rows(shape)]
    if arguments.json:
        facts = {"decoder": shape.decoder, "classes": shape.classes, "size": shape.size}
        print(json.dumps({**facts, "networks": found}))
        return 0
    out = console()
    out.print(_encoders(found))
    where = "each network's own resolution" if shape.size is None else _by(shape.size)
    out.print(f"Segmenters: decoder {shape.decoder}, {shape.classes} classes, {where}")
    out.print(_segmenters(found))
    for line in NOTES:
        out.print(line)
    return 0


NOTES = (
    "published: Tan and Le 2019, Table 2; its FLOPS are multiply-adds, of the ImageNet classifier "
    "at the network's own resolution.",
    "implied phi: where the law (depth 1.2^phi, width 1.1^phi, resolution 1.15^phi) has a released "
    "variant's depth / width / resolution: near one number, and not on it; b1 is no wider than b0.",
    "kept: what a training step keeps of one image for the way back, in float32, in plain steps as "
    "on a GPU; on a CPU effunet keeps less.",
)


def _encoders(found: Sequence[dict[str, Any]]) -> Table:
    table = _table(
        *("network", "depth x", "width x", "res", "implied phi", "stem", "widths", "repeats"),
        *("params", "published", "MACs", "published", "top-1 %"),
    )
    for row in found:
        known, phi = row["published"], row["implied_phi"]
        table.add_row(
            row["name"],
            f"{row['depth']:.2f}",
            f"{row['width']:.2f}",
            str(row["resolution"]),
            "/".join(f"{phi[axis]:.1f}" for axis in phi) if phi else "",
            str(row["stem"]),
            " ".join(map(str, row["widths"])),
            " ".join(map(str, row["repeats"])),
            count(row["classifier"]["parameters"]),
            count(round(known["parameters"])) if known else "",
            _work(row["classifier"]["macs"]),
            _work(known["macs"]) if known else "",
            f"{known['top1']:.1f}" if known else "",
        )
    return table


def _segmenters(found: Sequence[dict[str, Any]]) -> Table:
    table = _table("network", "params", "MACs", "kept of an image")
    for row in found:
        cost = row["segmenter"]
        kept = f"{cost['activation_bytes'] / 1e6:.0f} MB"
        table.add_row(row["name"], count(cost["parameters"]), _work(cost["macs"]), kept)
    return table


def _table(*heads: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        left = head in ("network", "widths", "repeats")
        table.add_column(head, justify="left" if left else "right", no_wrap=True)
    return table


def _work(macs: float) -> str:
    return f"{macs / 1e9:.2f} G"


def _by(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"
