"""Accuracy against size: finished evaluations -> one table, and who is beaten by none."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from effunet import artifact
from effunet.errors import DataError, EffunetError
from effunet.model import kinds

Size = tuple[int, int]
AXES = ("parameters", "macs", "latency_s")


@dataclass(frozen=True)
class Entry:
    """One evaluated segmenter."""

    name: str
    dataset: str
    split: str
    images: int
    miou: float  # 0..1
    interval: tuple[float, float] | None  # of the bootstrap over images, 95 %
    parameters: int
    macs: int  # of one image of `size`
    size: Size  # height and width
    latency_s: float | None = None  # to a mask, as `effunet benchmark` measured it

    def to_plain(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


class Unfinished(EffunetError):
    """A folder without a finished evaluation."""


def read(folder: Path, latencies: dict[Path, float], size: Size | None = None) -> Entry:
    """The evaluation in a folder: a run's own, or what `effunet evaluate --out` wrote.

    Args:
        folder: holds metrics.json; and the segmenter, or metrics.json names it.
        latencies: of segmenters' files, in seconds.
        size: height and width of the image whose multiply-adds are counted; None: as stored, which
            is the size that it was trained at.

    Raises:
        Unfinished: it holds none yet, or one that is cut off.
    """
    try:
        facts = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        miou, dataset, split = float(facts["miou"]), str(facts["dataset"]), str(facts["split"])
    except (FileNotFoundError, NotADirectoryError):
        raise Unfinished(
            f"{folder} has no metrics.json: it is no run, or not evaluated yet"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unfinished(f"{folder}/metrics.json is of no finished evaluation: {error!r}") from None
    own = folder / "segmenter.safetensors"
    file = own if own.is_file() else Path(str(facts.get("model", own)))
    try:
        header = artifact.inspect(file)
    except EffunetError as error:
        raise Unfinished(f"{folder}: its segmenter cannot be read: {error}") from error
    known = header.metadata
    macs = known["macs"]
    if size is not None and size != (macs["height"], macs["width"]):
        network = kinds.build(kinds.plan_of(known["network"]))
        macs = {"value": network.macs(*size), "height": size[0], "width": size[1]}
    return Entry(
        name=folder.name,
        dataset=dataset,
        split=split,
        images=int(facts.get("images", 0)),
        miou=miou,
        interval=_interval(facts.get("intervals")),
        parameters=int(known["parameters"]),
        macs=macs["value"],
        size=(macs["height"], macs["width"]),
        latency_s=latencies.get(header.path.resolve()),
    )


def latencies_of(file: Path) -> dict[Path, float]:
    """Seconds to a mask by segmenter file, from what `effunet benchmark --out FILE` wrote.

    Raises:
        DataError: it is none of those, or of several sizes.
    """
    try:
        sizes = json.loads(file.read_text(encoding="utf-8"))["sizes"]
        if len(sizes) != 1:
            raise DataError(f"{file} holds {len(sizes)} sizes of images: measure one")
        return {
            Path(model["path"]).resolve(): float(model["works"]["mask"]["latency_s"]["median"])
            for model in sizes[0]["models"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} is nothing that effunet benchmark --out FILE wrote: {error!r}"
        ) from error


def front(entries: Sequence[Entry], axis: str) -> list[Entry]:
    """Those to which none is better at the same cost or less, from the cheapest on.

    Args:
        entries: of one dataset.
        axis: one of AXES; entries that lack it are none of the front.
    """
    known = [entry for entry in entries if getattr(entry, axis) is not None]
    best, found = -1.0, list[Entry]()
    for entry in sorted(known, key=lambda one: (getattr(one, axis), -one.miou)):
        if entry.miou > best:
            best = entry.miou
            found.append(entry)
    return found


def _interval(found: Any) -> tuple[float, float] | None:
    match found:
        case {"miou": [float(low), float(high)]}:
            return low, high
        case _:
            return None
