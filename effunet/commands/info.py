"""`effunet info`: what a segmenter is, from its header alone; starts without torch."""

import json
from argparse import Namespace
from typing import Any

from rich.text import Text

from effunet import artifact
from effunet.commands.terminal import console, count, shown


def run(arguments: Namespace) -> int:
    """Print the facts of a segmenter file for a person, or all of them as JSON."""
    header = artifact.inspect(arguments.model)
    facts = header.metadata
    if arguments.json:
        print(json.dumps({"path": str(header.path), "bytes": header.size} | facts, indent=1))
        return 0
    out = console()
    out.print(Text(f"{shown(header.path)}  {header.size / 1e6:.1f} MB", style="bold"))
    for name, value in _lines(facts):
        out.print(f"{name:<12}{shown(value)}")
    out.print(f"{'classes':<12}{len(facts['labels']['classes'])}")
    ious = {entry.get("name"): entry.get("iou") for entry in _scored(facts)}
    width = max(len(entry["name"]) for entry in facts["labels"]["classes"])
    for index, entry in enumerate(facts["labels"]["classes"]):
        red, green, blue = entry["color"]
        line = Text(f"{index:>5} ")
        line.append("██" if out.is_terminal else f"#{red:02x}{green:02x}{blue:02x}")
        if out.is_terminal:
            line.stylize(f"rgb({red},{green},{blue})", 6)
        line.append(f" {shown(entry['name']):<{width}}")
        iou = ious.get(entry["name"])
        line.append(f"  IoU {100 * iou:.1f} %" if isinstance(iou, int | float) else "")
        out.print(line)
    return 0


def _lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    network, macs = facts["network"], facts["macs"]
    encoder = network["encoder"]
    stages = len(encoder["stages"])
    blocks = sum(stage["repeats"] for stage in encoder["stages"])
    low, high = facts["value_range"]
    size = facts["training_size"]
    trained = " ".join(
        [
            f"on {facts['dataset']}" if facts["dataset"] else "",
            f"at {size[0]} x {size[1]}" if size else "",
            f"by {facts['library']}",
        ]
    )
    widths = "-".join(map(str, network["widths"]))
    return [
        ("encoder", f"EfficientNet {encoder['name']}: {stages} stages, {blocks} blocks"),
        ("decoder", f"{network['decoder']} {widths}, finest skip from {network['skip']}"),
        ("parameters", f"{count(facts['parameters'])}"),
        ("MACs", f"{count(macs['value'])} at {macs['height']} x {macs['width']}"),
        ("input", f"any size, {facts['channels']} channels, {low}..{high}"),
        ("", f"mean {_numbers(facts['mean'])}, std {_numbers(facts['std'])}, applied inside"),
        ("trained", trained.strip()),
        ("scores", _scores(facts["scores"])),
    ]


def _scores(scores: dict[str, Any] | None) -> str:
    """The shares among the scores, in the order in which the training wrote them."""
    shares = {k: v for k, v in (scores or {}).items() if isinstance(v, float) and 0 <= v <= 1}
    said = ", ".join(f"{key} {100 * value:.1f} %" for key, value in shares.items())
    return said.replace("miou", "mIoU").replace("_", " ") or "none known"


def _scored(facts: dict[str, Any]) -> list[dict[str, Any]]:
    return (facts["scores"] or {}).get("classes", [])


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
