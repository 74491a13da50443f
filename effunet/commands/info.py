"""`effunet info`: what a segmenter is, from its header alone; starts without torch."""

import json
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from effunet import artifact
from effunet.calibration import Calibration
from effunet.commands.models import named
from effunet.commands.terminal import console, count, shown
from effunet.errors import ModelError
from effunet.model import facts as plain
from effunet.model.decoders.plan import DecoderPlan


def run(arguments: Namespace) -> int:
    """Print the facts of a segmenter file for a person, or all of them as JSON."""
    header = named(arguments.model).header
    facts = header.metadata
    if arguments.json:
        print(json.dumps({"path": str(header.path), "bytes": header.size} | facts, indent=1))
        return 0
    try:
        lines = [*_lines(facts), *_classes(facts)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{header.path} has a damaged description ({error!r}): give one that effunet wrote"
        ) from error
    out = console()
    out.print(Text(f"{shown(header.path)}  {header.size / 1e6:.1f} MB", style="bold"))
    for line in lines:
        out.print(line)
    return 0


def _classes(facts: dict[str, Any]) -> Iterator[Text]:
    """Index, colour, name and, where the training wrote it, IoU of each class."""
    classes = facts["labels"]["classes"]
    scored = (facts["scores"] or {}).get("classes", [])
    ious = {entry["name"]: entry["iou"] for entry in scored}
    width = max(len(shown(entry["name"])) for entry in classes)
    yield _line("classes", str(len(classes)))
    for index, entry in enumerate(classes):
        red, green, blue = entry["color"]
        line = Text(f"{index:>5} ")
        # The block is for eyes, the number for everything else, a pipe among them.
        line.append("\u2588\u2588 ", f"rgb({red:d},{green:d},{blue:d})")
        line.append(f"#{red:02x}{green:02x}{blue:02x} {shown(entry['name']):<{width}}")
        iou = ious.get(entry["name"])
        line.append("" if iou is None else f"  IoU {100 * iou:.1f} %")
        line.rstrip()
        yield line


def _lines(facts: dict[str, Any]) -> Iterator[Text]:
    macs = facts["macs"]
    low, high = facts["value_range"]
    size = facts["training_size"]
    trained = " ".join(
        [
            f"on {facts['dataset']}" if facts["dataset"] else "",
            f"at {size[0]} x {size[1]}" if size else "",
            f"by {facts['library']}",
        ]
    )
    yield from _network(facts["network"])
    yield _line("parameters", count(facts["parameters"]))
    yield _line("MACs", f"{count(macs['value'])} at {macs['height']} x {macs['width']}")
    yield _line("input", f"any size, {facts['channels']} channels, {low}..{high}")
    mean, std = _numbers(facts["mean"]), _numbers(facts["std"])
    yield _line("", f"mean {mean}, std {std}, applied inside")
    yield _line("trained", trained.strip())
    yield _line("scores", _scores(facts["scores"]))
    if (entry := facts.get("calibration")) is not None:
        yield _line("calibration", _calibration(entry, len(facts["labels"]["classes"])))
    if facts["format"] != artifact.FORMAT:
        yield from _export(facts)


def _export(facts: dict[str, Any]) -> Iterator[Text]:
    """What an exported file adds: what it gives, and how it was proved."""
    kept = facts.get("float32_parts")
    also = f", of 8 bits but for {', '.join(kept)}" if kept else ""
    yield _line("exported", f"{facts['precision']}{also}; gives {facts['output']}")
    if (proof := facts.get("proof")) is not None:
        far = proof["largest_difference"]
        differs = "" if far is None else f"differs by {far:.1e} of the answers' range at most, "
        same = 100 * proof["argmax_agreement"]
        yield _line("proof", f"{differs}names the same class on {same:.3f} % of the pixels")
    if (found := facts.get("measured")) is not None:
        before, after = (100 * score for score in found["miou"])
        where = f"{found['images']} images of {found['dataset']} {found['split']}"
        yield _line("measured", f"mIoU {before:.2f} -> {after:.2f} % on {where}")


def _network(network: dict[str, Any]) -> Iterator[Text]:
    """Encoder and decoder of either kind of network; effunet.model.kinds tells them apart."""
    if network.get("kind") == "smp":
        yield _line("encoder", f"{network['encoder']}")
        yield _line("decoder", f"{network['architecture']} of {network['library']}")
        return
    encoder = network["encoder"]
    stages = len(encoder["stages"])
    blocks = sum(stage["repeats"] for stage in encoder["stages"])
    yield _line("encoder", f"EfficientNet {encoder['name']}: {stages} stages, {blocks} blocks")
    skip = {"smp": "stem, reduction 16 as smp's B0"}.get(network["skip"], network["skip"])
    decoder = plain.read(DecoderPlan, DecoderPlan.gathered(network)["decoder"], "decoder").title
    yield _line("decoder", f"{decoder}, finest skip from {skip}")


def _line(name: str, value: str) -> Text:
    return Text(f"{name:<12}{shown(value)}")


def _scores(scores: dict[str, Any] | None) -> str:
    """The shares among the scores in the order in which the training wrote them, and on what."""
    scores = scores or {}
    shares = {k: v for k, v in scores.items() if isinstance(v, float) and 0 <= v <= 1}
    said = ", ".join(f"{key} {100 * value:.1f} %" for key, value in shares.items())
    where = [str(scores[key]) for key in ("dataset", "split") if scores.get(key)]
    return (
        said.replace("miou", "mIoU").replace("_", " ") + (f" on {' '.join(where)}" if where else "")
        or "none known"
    )


def _calibration(entry: Any, classes: int) -> str:
    found = Calibration.from_plain(entry, classes)
    said = f"temperature {found.temperature:.4g}"
    if found.threshold is not None:
        said += f", threshold {found.threshold:.4g}"
    where = [str(entry[key]) for key in ("dataset", "split") if entry.get(key)]
    images = f"{entry['images']} images of " if entry.get("images") else ""
    return said + (f", on {images}{' '.join(where)}" if where else "")


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
