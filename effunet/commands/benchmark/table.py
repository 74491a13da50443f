"""The result of a benchmark as tables for a person, a block a size."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from effunet.commands.terminal import count, shown

Facts = Mapping[str, Any]

WORKS = {
    "mask": "image to mask",
    "network": "network alone",
}
CAPTIONS = {
    "mask": "image to mask: a uint8 image in memory to its mask, as effunet predict computes it",
    "network": "network alone: raw images to logits",
}


def print_size(out: Console, result: Facts) -> None:
    """Print the size that was measured last; above the first one, on what machine."""
    sizes = result["sizes"]
    if len(sizes) == 1:
        for line in _head(result):
            out.print(line)
    block, plain = sizes[-1], not out.is_terminal
    batch = f", batches of {result['batch']}" if result["batch"] > 1 else ""
    out.print(
        f"\n{block['height']} x {block['width']} pixels{batch}: {block['rounds']} rounds "
        f"behind {result['warm_up_rounds']} to warm up\n"
    )
    out.print(_times(block, plain=plain))
    out.print()
    out.print(_costs(block, plain=plain))


def print_captions(out: Console, result: Facts) -> None:
    """Print what the numbers are."""
    models = result["sizes"][0]["models"]
    out.print()
    for work in models[0]["works"]:
        out.print(CAPTIONS[work])
    if len(models) > 1:
        out.print(
            f"speed: the time of {shown(models[0]['name'])} divided by the segmenter's own in the "
            "same round, median (least to most); above 1 is faster"
        )
    whose = "the GPU" if models[0]["memory"]["of"] == "gpu" else "the process, libraries included"
    out.print(f"peak: memory of {whose}; above: the part of it that is not yet there when loaded")


def _head(result: Facts) -> list[str]:
    hardware = result["hardware"]
    used, cores = len(hardware["cores"]), hardware["machine_cores"]
    pinned = "pinned" if hardware["pinned"] else "not pinned"
    gpu = [hardware["device_name"]] if hardware["device"] == "cuda" else []
    cpu = f"{hardware['cpu']} ({hardware['instructions']}), {used} of {cores} cores, {pinned}"
    software = f"{result['library']}, torch {hardware['torch']}, Python {hardware['python']}"
    return [shown(", ".join([*gpu, cpu])), shown(f"{software}, {hardware['system']}")]


def _times(block: Facts, *, plain: bool) -> Table:
    """Latency and throughput: a line a work of a model."""
    several = len(block["models"]) > 1
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("segmenter", no_wrap=True)
    table.add_column("what", no_wrap=True)
    for name in ("median ms", "5 %", "95 %", "least", "images/s"):
        table.add_column(name, justify="right", no_wrap=True)
    if several:
        table.add_column("speed", no_wrap=True)
    for model in block["models"]:
        name = shown(model["name"])
        for work, facts in model["works"].items():
            latency = facts["latency_s"]
            cells = [milliseconds(latency[key]) for key in ("median", "p05", "p95", "least")] + [
                three_digits(facts["images_per_second"])
            ]
            if several:
                cells.append(_speed(facts["speed"]))
            table.add_row(Text(name), WORKS[work], *cells)
            name = ""
    return table


def _costs(block: Facts, *, plain: bool) -> Table:
    """What a model is and takes: a line a model."""
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("segmenter", no_wrap=True)
    for name in ("peak MB", "loaded MB", "above MB", "GMACs", "parameters", "file MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("precision", no_wrap=True)
    for model in block["models"]:
        memory = model["memory"]
        table.add_row(
            Text(shown(model["name"])),
            *(megabytes(memory[f"{key}_bytes"]) for key in ("peak", "loaded", "above")),
            f"{model['macs'] / 1e9:.3g}",
            count(model["parameters"]),
            f"{model['bytes'] / 1e6:.1f}",
            model["precision"],
        )
    return table


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds."""
    return three_digits(1000 * seconds)


def three_digits(number: float) -> str:
    """With three digits or more: 1.23, 12.3, 123, 1234; below 1 with two decimals."""
    return f"{number:.{max(0, 3 - len(str(int(number))))}f}"


def megabytes(size: int | None) -> str:
    """Bytes as megabytes, and '-' for what the system does not tell."""
    return "-" if size is None else f"{size / 1e6:.0f}"


def _speed(facts: Facts | None) -> str:
    if facts is None:
        return "1"
    return f"{facts['median']:.2f} ({facts['least']:.2f} to {facts['most']:.2f})"
