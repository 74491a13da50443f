"""Series of files -> the two that belong together as images and masks, and how they are split."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from effunet.data.draft.series import Leaf, Place, Series
from effunet.data.draft.words import SPLITS, read_folder
from effunet.data.sources.patterns import entries
from effunet.data.sources.selection import read_list
from effunet.errors import DataError

PREFERRED = ("labelids", "labeltrainids", "label", "mask")
"""Of several masks of one image, what the name of the first holds."""

LISTED = 0.9
"""The share of a list's first lines that must name an image."""

LINES = 200
"""Lines of a list that are compared."""


@dataclass(frozen=True)
class Match:
    """Images and masks that pair, and the pairs in order."""

    images: Series
    masks: Series
    pairs: tuple[tuple[Place, Path, Path], ...]

    @property
    def alone(self) -> int:
        """Files of either series without a partner."""
        others = len(self.images.files) + len(self.masks.files)
        return others - 2 * len(self.pairs)

    @property
    def splits(self) -> dict[str, str]:
        """The splits that have pairs, and the word for each; empty where no folder tells."""
        words = {place.word for place, _, _ in self.pairs if place.word}
        found = {self.images.splits[word]: word for word in sorted(words)}
        return {split: found[split] for split in SPLITS if split in found}


def best_match(series: Sequence[Series]) -> Match | None:
    """The two series with the most pairs; of equal ones that with the simplest patterns."""
    masks_of: defaultdict[int, list[Series]] = defaultdict(list)
    for one in series:
        if one.role == "mask":
            masks_of[one.stars].append(one)
    best: tuple[tuple[object, ...], Match] | None = None
    for images in series:
        for masks in masks_of[images.stars] if images.role == "image" else ():
            match = _match(images, masks)
            if not match.pairs:
                continue
            rank = (
                -len(match.pairs),
                match.alone,
                _preference(masks.pattern),
                len(images.pattern) + len(masks.pattern),
                images.pattern,
            )
            if best is None or rank < best[0]:
                best = rank, match
    return best[1] if best is not None else None


def _match(images: Series, masks: Series) -> Match:
    both = sorted(images.files.keys() & masks.files.keys())
    found = [(place, images.files[place], masks.files[place]) for place in both]
    if ("{split}" in images.pattern) != ("{split}" in masks.pattern):
        return Match(images, masks, ())
    return Match(images, masks, tuple(pair for pair in found if pair[1] != pair[2]))


def _preference(pattern: str) -> int:
    lower = pattern.lower()
    return next((i for i, word in enumerate(PREFERRED) if word in lower), len(PREFERRED))


def find_lists(root: Path, names: Sequence[str], depth: int = 4) -> dict[str, str]:
    """Files such as ImageSets/Segmentation/train.txt that name the images: split -> path."""
    known = set(names)
    found: dict[str, dict[str, str]] = {}
    todo = [(root, 0)]
    while todo:
        folder, level = todo.pop()
        lists: dict[str, str] = {}
        for entry in entries(folder):
            if entry.is_dir(follow_symlinks=False):
                todo += [(folder / entry.name, level + 1)] if level < depth else []
            elif entry.name.lower().endswith((".txt", ".lst")):
                told = read_folder(entry.name.rpartition(".")[0])
                file = folder / entry.name
                if told.template == "{split}" and _names_images(file, known):
                    lists[told.split] = file.relative_to(root).as_posix()
        if {"train", "val"} <= lists.keys():
            found[str(folder)] = lists
    # Segmentation before Main, where VOC keeps the lists of other tasks.
    ranked = sorted(found, key=lambda folder: ("seg" not in folder.lower(), len(folder), folder))
    lists = found[ranked[0]] if ranked else {}
    return {split: lists[split] for split in SPLITS if split in lists}


def _names_images(file: Path, known: set[str]) -> bool:
    try:
        lines = read_list(file)[:LINES]
    except (DataError, UnicodeDecodeError):
        return False
    hits = sum(_last(line) in known or _last(line.split()[0]) in known for line in lines)
    return bool(lines) and hits >= LISTED * len(lines)


def _last(line: str) -> str:
    return re.sub(r"\.[A-Za-z]{3,4}$", "", line.replace("\\", "/").rpartition("/")[2])


def describe_rest(leaves: Sequence[Leaf], match: Match, root: Path) -> Mapping[str, int]:
    """Images in folders that the match leaves aside, by folder."""
    used = {file for _, *files in match.pairs for file in files}
    counts: Counter[str] = Counter()
    for leaf in leaves:
        left = sum(leaf.path / name not in used for name in leaf.names)
        if left:
            counts[leaf.path.relative_to(root).as_posix()] += left
    return counts
