"""Which of the files that were found belong to a split: by a list of names, or by a hash."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from effunet.data.describe.splits import Folds, Hashed
from effunet.data.sources.patterns import EXTENSIONS, Key
from effunet.errors import DataError

MOST_BYTES = 64 * 2**20
"""Of a list file; that of ImageNet's train split has 40."""


def by_rule(rule: Hashed | Folds, split: str, prefix: int, stars: int) -> Callable[[Key], bool]:
    """Whether a key belongs to the split; prefix texts of a key stand before those of the stars.

    Raises:
        DataError: the group is a star that the pattern does not have.
    """
    if rule.group > stars:
        raise DataError(
            f"splits: group {rule.group}: the pattern of the images has {stars} stars; number them "
            "from 1"
        )

    def text(key: Key) -> str:
        if rule.group == 0:
            return "/".join(key)
        return "/".join((*key[:prefix], key[prefix + rule.group - 1]))

    if isinstance(rule, Folds):
        validates = split == "val"
        return lambda key: (int(share(text(key), rule.seed) * rule.folds) == rule.val) == validates
    edges: dict[str, tuple[float, float]] = {}
    low = 0.0
    for name, part in rule.shares.items():
        edges[name] = (low, low + part)
        low += part
    first, last = edges.get(split, (low, 1.0))
    return lambda key: first <= share(text(key), rule.seed) < last


def share(text: str, seed: int) -> float:
    """A number in 0..1 (below 1) for a text: the same for ever, whatever else there is."""
    digest = hashlib.sha256(f"{seed}:{text}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:6]) / 2**48


def read_list(file: Path) -> list[str]:
    """The lines of a list file, without empty ones and comments.

    Raises:
        DataError: the file is missing, too large or no text.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise DataError(f"{file} is larger than {MOST_BYTES} bytes, so no list of names")
        text = file.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as fault:
        raise DataError(f"the list {file} cannot be read: {fault.strerror or fault}") from None
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def by_list(
    lines: Iterable[str], images: Mapping[Key, Sequence[Path]], root: Path
) -> tuple[set[Key], list[str]]:
    """The keys that the lines name, and the lines that name no image."""
    aliases = Aliases(images, root)
    keys: set[Key] = set()
    unfound: list[str] = []
    for line in lines:
        # The line itself may have spaces; further columns are a mask's path or numbers.
        key = aliases.find(line) or aliases.find(line.split()[0])
        if key is None:
            unfound.append(line)
        else:
            keys.add(key)
    return keys, unfound


class Aliases:
    """What an image may be called: its name, its path below the root, the last part of either."""

    def __init__(self, images: Mapping[Key, Sequence[Path]], root: Path) -> None:
        self._names: dict[str, Key] = {}
        self._paths: dict[str, Key] = {}
        self._last: dict[str, Key | None] = {}
        for key, files in images.items():
            name = "/".join(part for part in key if part)
            self._names[name] = key
            for file in files:
                self._paths[_bare(str(file))] = key
                if file.is_relative_to(root):
                    self._paths[_bare(file.relative_to(root).as_posix())] = key
            for last in {name.rpartition("/")[2], *(_bare(file.name) for file in files)}:
                # A last part that two images share names neither.
                self._last[last] = key if self._last.get(last, key) == key else None

    def find(self, text: str) -> Key | None:
        """The image that is meant; None where there is none, or more than one.

        A path of another place (of the machine that wrote the list) counts where it ends in the
        whole name: b/1 never means a/1.
        """
        bare = _bare(PurePosixPath(text.replace("\\", "/")).as_posix())
        for path in (bare, bare.lstrip("/")):
            found = self._names.get(path) or self._paths.get(path)
            if found is not None:
                return found
        parts = bare.split("/")
        if len(parts) == 1:
            return self._last.get(bare)
        ends = ("/".join(parts[first:]) for first in range(1, len(parts)))
        return next((self._names[end] for end in ends if end in self._names), None)


def _bare(path: str) -> str:
    """Without the ending of a known image format; a name may have dots of its own."""
    stem, dot, ending = path.rpartition(".")
    return stem if dot and f".{ending.lower()}" in EXTENSIONS else path
