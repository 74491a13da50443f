"""A folder -> series of files: those that lie and are named alike, with what each series shows."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from effunet.data.draft.glance import looks_like
from effunet.data.draft.words import Folder, Role, read_folder, read_stem
from effunet.data.sources.patterns import EXTENSIONS, entries
from effunet.errors import ResourceError

MOST_FILES = 3_000_000
"""Files of a folder that is still looked through."""

GLANCES = 3
"""Files of a series that are opened where its names say nothing."""


class Place(NamedTuple):
    """Which image a file belongs to: its split's word, the texts of the stars, its name."""

    word: str
    stars: tuple[str, ...]
    core: str


@dataclass
class Series:
    """Files of one pattern: folders as templates, then what stands round the star of the name."""

    folders: tuple[str, ...]
    prefix: str
    suffix: str
    ending: str  # of the file, with its dot; empty: whatever image format
    role: Role | None
    files: dict[Place, Path] = field(default_factory=dict[Place, Path])
    splits: dict[str, str] = field(default_factory=dict[str, str])  # word -> train, val, test

    @property
    def pattern(self) -> str:
        """As dataset.yaml writes it."""
        # Only a star at the very end stands for any ending.
        return "/".join((*self.folders, f"{self.prefix}*{self.suffix}{self.ending}"))

    @property
    def stars(self) -> int:
        """How many of its folders are stars."""
        return sum(folder in ("*", "**") for folder in self.folders)


@dataclass(frozen=True)
class Leaf:
    """A folder that holds files, and its path from the root as its words were read."""

    parts: tuple[Folder, ...]
    path: Path
    names: tuple[str, ...]

    @property
    def role(self) -> Role | None:
        """What the innermost telling word says, and 'other' where any folder says that."""
        told: list[Role] = [part.role for part in self.parts if part.role is not None]
        if "other" in told:
            return "other"
        return told[-1] if told else None


def find_leaves(root: Path, endings: Sequence[str] = EXTENSIONS) -> list[Leaf]:
    """Every folder below root with files of such endings; links to folders are not followed."""
    leaves: list[Leaf] = []
    left = MOST_FILES
    todo: list[tuple[Path, tuple[Folder, ...]]] = [(root, ())]
    while todo:
        folder, parts = todo.pop()
        names: list[str] = []
        for entry in entries(folder):
            if entry.is_dir(follow_symlinks=False):
                todo.append((folder / entry.name, (*parts, read_folder(entry.name))))
            elif entry.name.lower().endswith(tuple(endings)):
                names.append(entry.name)
        left -= len(names)
        if left < 0:
            raise ResourceError(
                f"{root} holds more than {MOST_FILES} images: name a folder further down"
            )
        if names:
            leaves.append(Leaf(parts, folder, tuple(names)))
    return sorted(leaves, key=lambda leaf: leaf.path)


def find_series(leaves: Sequence[Leaf]) -> list[Series]:
    """All ways to take the files as series: by their folders, by their names and by both."""
    found: list[Series] = []
    for group in _alike(leaves):
        found += _series(group, _templates(group))
    for group, templates in _of_any_depth(leaves):
        found += _series(group, templates)
    for series in found:
        if series.role is None:
            series.role = _seen(list(series.files.values()))
    return found


def _alike(leaves: Sequence[Leaf]) -> Iterator[list[Leaf]]:
    """Leaves whose paths differ in splits and in names that say nothing alone."""
    groups: defaultdict[tuple[object, ...], list[Leaf]] = defaultdict(list)
    for leaf in leaves:
        role = leaf.role or _seen([leaf.path / name for name in leaf.names])
        shape = tuple(part.template if _tells(part) else "*" for part in leaf.parts)
        groups[(role, *shape)].append(leaf)
    yield from groups.values()


def _templates(group: Sequence[Leaf]) -> tuple[str, ...]:
    """The folders' pattern: a name that is the same in all leaves is no star."""
    columns = zip(*(leaf.parts for leaf in group), strict=True)
    return tuple(
        templates.pop() if len(templates) == 1 else "*"
        for templates in ({part.template for part in column} for column in columns)
    )


def _of_any_depth(leaves: Sequence[Leaf]) -> Iterator[tuple[list[Leaf], tuple[str, ...]]]:
    """Leaves of several depths below folders that tell: a ** stands for all that is between."""
    groups: defaultdict[tuple[object, ...], list[Leaf]] = defaultdict(list)
    for leaf in leaves:
        telling = [place for place, part in enumerate(leaf.parts) if _tells(part)]
        if telling:
            head = leaf.parts[: telling[-1] + 1]
            groups[(leaf.role, *(part.template for part in head))].append(leaf)
    for (_, *head), group in groups.items():
        if len({len(leaf.parts) for leaf in group}) > 1:
            yield group, (*map(str, head), "**")


def _series(group: Sequence[Leaf], folders: tuple[str, ...]) -> Iterator[Series]:
    made: dict[tuple[str, str, str], Series] = {}

    def put(leaf: Leaf, name: str, key: tuple[str, str, str], core: str, role: Role | None) -> None:
        series = made.setdefault(key, Series(folders, *key, role))
        word = "/".join(dict.fromkeys(part.word for part in leaf.parts if part.word))
        series.splits |= {part.word: part.split for part in leaf.parts if part.word}
        series.files[Place(word, _stars(leaf, folders), core)] = leaf.path / name

    for leaf in group:
        for name in leaf.names:
            stem, dot, ending = name.rpartition(".")
            ending = dot + ending
            said = read_stem(stem)
            # The whole name, in this format or in any; then without the word that tells.
            put(leaf, name, ("", "", ending), stem, leaf.role if said is None else None)
            put(leaf, name, ("", "", ""), stem, leaf.role)
            if said is not None:
                key = (said.prefix, said.suffix, ending if said.suffix else "")
                put(leaf, name, key, said.core, said.role)
                if leaf.role is None and said.role == "mask":
                    continue
            if leaf.role is None:
                # Beside masks that are named as such, what has no word is an image.
                put(leaf, name, ("", "", f"{ending}\0plain"), stem, None)
    for key, series in made.items():
        series.ending = key[2].removesuffix("\0plain")
        yield series


def _stars(leaf: Leaf, folders: tuple[str, ...]) -> tuple[str, ...]:
    if folders and folders[-1] == "**":
        rest = leaf.path.parts[len(leaf.path.parts) - len(leaf.parts) + len(folders) - 1 :]
        return ("/".join(rest),)
    names = leaf.path.parts[len(leaf.path.parts) - len(leaf.parts) :]
    return tuple(name for name, folder in zip(names, folders, strict=True) if folder == "*")


def _tells(part: Folder) -> bool:
    return part.role is not None or bool(part.word)


def _seen(files: Sequence[Path]) -> Role:
    """What most of a few files look like."""
    chosen = [files[place * len(files) // GLANCES] for place in range(min(GLANCES, len(files)))]
    seen: list[Role] = [looks_like(file) for file in chosen]
    return max(seen, key=seen.count)
