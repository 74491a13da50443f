"""A root folder and a layout's patterns -> pairs of image and mask, and every file without partner.

Nothing is opened here but folders. Patterns are explained in effunet/data/describe/description.py.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from effunet.data.describe.description import Layout
from effunet.errors import DataError, ResourceError

EXTENSIONS = (
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp",
    ".ppm", ".pgm", ".pbm", ".gif", ".jp2", ".avif",
)  # fmt: skip
"""What a pattern's last `*` may end in, in any case."""

Key = tuple[str, ...]
"""The texts that the stars of a pattern matched."""


@dataclass(frozen=True)
class Pair:
    """An image, the mask that belongs to it, and the name that both share."""

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class Listing:
    """What lies in the folders of one split, sorted by name."""

    pairs: tuple[Pair, ...]
    images_without_mask: tuple[Path, ...] = ()
    masks_without_image: tuple[Path, ...] = ()
    twins: tuple[tuple[Path, ...], ...] = ()
    """Files of one kind that a name cannot tell apart: a.jpg and a.png, or a.png and A.png."""
    masks_wanted: str = ""
    images_wanted: str = ""

    def faults(self) -> list[str]:
        """One line for every kind of fault; twins first, since they leave others alone."""
        lines: list[str] = []
        if self.twins:
            same = [" = ".join(str(file) for file in twin) for twin in self.twins]
            lines.append(
                f"{_several(len(self.twins), 'name')} shared by several files: {shorten(same)}; "
                "keep one of each, or rename (letter case and extension do not make a name)"
            )
        if self.images_without_mask:
            lines.append(
                f"{_several(len(self.images_without_mask), 'image')} without a mask: "
                f"{shorten(self.images_without_mask)}; add {self.masks_wanted}, or remove the image"
            )
        if self.masks_without_image:
            lines.append(
                f"{_several(len(self.masks_without_image), 'mask')} without an image: "
                f"{shorten(self.masks_without_image)}; add {self.images_wanted}, or remove the mask"
            )
        return lines


def list_split(root: Path, layouts: Sequence[Layout], folder: str) -> Listing:
    """Pairs of the split in folder, by the first layout of which an image exists.

    Raises:
        DataError: no layout finds an image; names everything that was looked for.
    """
    wanted: list[str] = []
    for layout in layouts:
        images_pattern = layout.images.replace("{split}", folder)
        masks_pattern = layout.masks.replace("{split}", folder)
        images = _matches(root, images_pattern)
        if images:
            return _pair(root, images, _matches(root, masks_pattern), images_pattern, masks_pattern)
        wanted.append(str(root / images_pattern))
    raise DataError(f"no images found; looked for {' and '.join(wanted)}{_what_is_there(root)}")


def has_images(root: Path, layouts: Sequence[Layout], folders: Sequence[str]) -> bool:
    """Whether any split has an image there; stops at the first one."""
    patterns = (layout.images.replace("{split}", f) for layout in layouts for f in folders)
    return any(next(_files(root, pattern), None) is not None for pattern in patterns)


def _pair(
    root: Path, images: dict[Key, list[Path]], masks: dict[Key, list[Path]], *patterns: str
) -> Listing:
    images_pattern, masks_pattern = patterns
    both = sorted(images.keys() & masks.keys())
    return Listing(
        pairs=tuple(Pair(_name(key), images[key][0], masks[key][0]) for key in both),
        images_without_mask=tuple(images[key][0] for key in sorted(images.keys() - masks.keys())),
        masks_without_image=tuple(masks[key][0] for key in sorted(masks.keys() - images.keys())),
        twins=(*_twins(images), *_twins(masks)),
        images_wanted=str(root / images_pattern),
        masks_wanted=str(root / masks_pattern),
    )


def _name(key: Key) -> str:
    """What people and output files call the pair: the matched texts, folders before files."""
    return "/".join(part for part in key if part)


def _twins(files: dict[Key, list[Path]]) -> list[tuple[Path, ...]]:
    alike: defaultdict[Key, list[Path]] = defaultdict(list)
    for key, found in files.items():
        alike[tuple(part.casefold() for part in key)].extend(found)
    return [tuple(found) for found in alike.values() if len(found) > 1]


def _matches(root: Path, pattern: str) -> dict[Key, list[Path]]:
    matches: defaultdict[Key, list[Path]] = defaultdict(list)
    for key, file in _files(root, pattern):
        # A Mac writes an accent as a letter of its own; the name is the same one.
        matches[tuple(unicodedata.normalize("NFC", part) for part in key)].append(file)
    return dict(matches)


def _files(root: Path, pattern: str) -> Iterator[tuple[Key, Path]]:
    """Every file that the pattern matches, with the texts of its stars."""
    return _descend(root, [part for part in pattern.split("/") if part], ())


def _descend(folder: Path, parts: list[str], key: Key) -> Iterator[tuple[Key, Path]]:
    part, rest = parts[0], parts[1:]
    if part == "**":
        for inner in _folders(folder, frozenset()):
            yield from _descend(inner, rest, (*key, _text_between(folder, inner)))
    elif rest and "*" not in part:
        yield from _descend(folder / part, rest, key)
    elif rest:
        for entry in _entries(folder):
            if (match := _regex(part).fullmatch(entry.name)) and _is_folder(entry):
                yield from _descend(folder / entry.name, rest, (*key, *match.groups()))
    else:
        for entry in _entries(folder):
            # A link to nowhere counts as a file, so that reading it reports it.
            if (match := _regex(part, last=True).fullmatch(entry.name)) and not _is_folder(entry):
                yield (*key, *match.groups()), folder / entry.name


def _folders(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """The folder and all below it, through links too, but never round a loop of links."""
    real = os.path.realpath(folder)
    if real in above:
        return
    yield folder
    for entry in _entries(folder):
        if _is_folder(entry):
            yield from _folders(folder / entry.name, above | {real})


def _text_between(folder: Path, inner: Path) -> str:
    return "" if inner == folder else inner.relative_to(folder).as_posix()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The folder's entries by name; without hidden ones, such as the ._NAME.png of a Mac."""
    try:
        with os.scandir(folder) as entries:
            seen = [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        raise ResourceError(f"{folder} may not be read: give yourself permission to it") from None
    return sorted(seen, key=lambda entry: entry.name)


@cache
def _regex(part: str, last: bool = False) -> re.Pattern[str]:
    """One component of a pattern; a `*` at its very end leaves the extension of an image out."""
    text = re.escape(part).replace(r"\*", "(.*)")
    if last and part.endswith("*"):
        endings = "|".join(re.escape(extension) for extension in EXTENSIONS)
        text += rf"(?i:{endings})"
    return re.compile(text, re.DOTALL)


def _what_is_there(root: Path) -> str:
    if not root.exists():
        return f"; there is no folder {root}"
    if not root.is_dir():
        return f"; {root} is a file, not a folder"
    names = [entry.name for entry in _entries(root)]
    return f"; {root} holds {shorten(names) if names else 'nothing'}"


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def shorten(things: Sequence[object], most: int = 10) -> str:
    """The first ten for a message, and how many more."""
    shown = ", ".join(str(thing) for thing in things[:most])
    return shown if len(things) <= most else f"{shown} and {len(things) - most} more"
