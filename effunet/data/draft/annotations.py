"""Files of polygons and run lengths -> the layout that reads them, and their labels with counts."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from effunet.data.draft.layouts import Match, best_match
from effunet.data.draft.series import Series, find_leaves, find_series
from effunet.data.draft.values import Entry
from effunet.data.draft.words import read_folder
from effunet.data.shapes.formats import FORMATS
from effunet.values import default_color

START = 2**16
"""Bytes of a file that show its format."""

MOST_FILES = 2000
"""Files of one image each that are read for their labels, spread evenly."""


@dataclass(frozen=True)
class Annotated:
    """What was found: the patterns, the format, the splits with their words, the labels."""

    images: str
    shapes: str
    format: str
    splits: dict[str, str]
    names: tuple[str, ...]  # of the images
    labels: Counter[str]
    read: int  # annotation files


def find_annotations(root: Path, images: Sequence[Series]) -> Annotated | None:
    """The annotations that fit most images, of whichever format is found first."""
    leaves = find_leaves(root, (".json", ".xml"))
    if not leaves:
        return None
    formats = {leaf.path: sniff(leaf.path / leaf.names[0]) for leaf in leaves}
    single = [leaf for leaf in leaves if _one_each(formats[leaf.path])]
    if single:
        series = find_series(single)
        for one in series:
            one.role = "mask" if one.ending else "other"
        match = best_match([*images, *series])
        if match is not None:
            return _of_each(match, formats)
    files = [leaf.path / name for leaf in leaves for name in leaf.names]
    return _of_all(root, [file for file in files if sniff(file)], images)


def sniff(file: Path) -> str:
    """The format of an annotation file by its first bytes; empty where it is none that we know."""
    try:
        with file.open("rb") as stream:
            text = stream.read(START).decode("utf-8-sig", "replace").lstrip()
    except OSError:
        return ""
    keys = set(re.findall(r'"(\w+)"\s*:', text))
    if re.search(r"<annotations\b", text):
        return "cvat"
    if text.startswith("["):
        return "label_studio" if keys & {"annotations", "completions"} else ""
    if {"imgHeight", "objects"} <= keys:
        return "cityscapes"
    if "shapes" in keys:
        return "labelme"
    return "coco" if {"images", "file_name"} <= keys else ""


def entries_of(labels: Counter[str]) -> list[Entry]:
    """A class for every label, the most frequent first, behind one for what nothing covers."""
    entries = [Entry("background", (0, 0, 0), ("background",), "where no shape is")]
    for label, count in labels.most_common():
        if label != "background":
            color = default_color(len(entries))
            entries.append(Entry(label, color, (label,), f"{count} shapes"))
    return entries


def _one_each(format: str) -> bool:
    return bool(format) and FORMATS[format].one_file_per_image


def _of_each(match: Match, formats: dict[Path, str]) -> Annotated:
    files = [shapes for _, _, shapes in match.pairs]
    format = next(formats[file.parent] for file in files if formats.get(file.parent))
    count = len(files)
    chosen = [files[i * count // MOST_FILES] for i in range(MOST_FILES)]
    chosen = files if count <= MOST_FILES else chosen
    labels: Counter[str] = Counter()
    for file in chosen:
        labels.update(FORMATS[format].read(file).labels())
    names = tuple(place.core for place, _, _ in match.pairs)
    patterns = match.images.pattern, match.masks.pattern
    return Annotated(*patterns, format, match.splits, names, labels, len(chosen))


def _of_all(root: Path, files: Sequence[Path], images: Sequence[Series]) -> Annotated | None:
    """Files of all images of a split, or of the whole dataset."""
    groups: defaultdict[tuple[str, str], dict[str, tuple[str, Path]]] = defaultdict(dict)
    for file in files:
        template, word, split = _template(file.relative_to(root))
        groups[(sniff(file), template)][split] = word, file
    best: tuple[int, Annotated] | None = None
    for (format, template), parts in groups.items():
        read = {split: FORMATS[format].read(file) for split, (_, file) in parts.items()}
        stems = {Path(name).stem for annotations in read.values() for name in annotations.names}
        for series in images:
            if ("" in parts) == ("{split}" in series.pattern) or series.role != "image":
                continue
            hits = [place.core for place in series.files if place.core in stems]
            rank = 10_000 * len(hits) - len(series.pattern)
            if not hits or (best is not None and rank <= best[0]):
                continue
            labels: Counter[str] = Counter()
            for annotations in read.values():
                labels.update(annotations.labels())
            splits = {split: word for split, (word, _) in parts.items() if split}
            found = Annotated(
                series.pattern, template, format, splits, tuple(hits), labels, len(parts)
            )
            best = rank, found
    return best[1] if best is not None else None


def _template(file: Path) -> tuple[str, str, str]:
    """instances_train2017.json -> instances_{split}2017.json, train, train."""
    parts = [*map(read_folder, file.parts[:-1])]
    stem = file.name.removesuffix(file.suffix)
    pieces = re.split(r"([_\-. ])", stem)
    told = [read_folder(piece) for piece in pieces]
    name = "".join(part.template for part in told) + file.suffix
    split = next((part for part in [*told, *parts] if part.split), None)
    folders = "/".join(part.template for part in parts)
    template = f"{folders}/{name}" if folders else name
    return template, split.word if split else "", split.split if split else ""
