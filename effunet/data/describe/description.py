"""dataset.yaml -> Description: what a dataset is, and where its files lie below a root folder.

    name: streets                       # shown and stored; default: the folder's name
    title, source, licence: ...         # facts for people, none needed
    classes:                            # in index order; a bare name means its own index
      - {name: road, color: [128, 64, 128], values: [7]}       # integers in the mask files
      - {name: car, color: [0, 0, 142], values: [[0, 0, 142]]} # or colours
    ignore: [0, 255]                    # raw values that are never counted
    rest: error                         # any other value: error (default), or ignore
    channels: 3                         # 3: RGB (default), 1: grey
    splits: [train, val, test]          # or {train: training, val: validation}
    layouts:                            # the first one of which an image exists is used
      - images: "{split}/images/*"      # default: this one, then images/{split}/*
        masks: "{split}/masks/*"
    root_env: STREETS                   # a variable that may name the root folder

Patterns are relative to the root. `{split}` is the folder name of the split, `*` any text inside
one name, `**` any number of folders (none too); a `*` that ends a pattern stands for a name without
its extension, which may be that of any known image format. An image and a mask are a pair when
their stars matched the same texts in the same order.

Instead of `layouts` and `root_env` a dataset may be made by a generator: `generator: street`,
`size: [height, width]`, and `splits: {train: {seed: 1, images: 4096}, ...}`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from effunet.errors import DataError
from effunet.labels import LabelMap
from effunet.plain import is_whole, read_table, read_text

FILE_NAME = "dataset.yaml"
SPLITS = ("train", "val", "test")
GENERATORS = ("street",)

_LABELS = ("classes", "ignore", "rest")
_FACTS = ("name", "title", "source", "licence", "channels", "splits")
_FILES = ("layouts", "root_env")
_GENERATED = ("generator", "size")


@dataclass(frozen=True)
class Layout:
    """Where images and their masks lie below the root: two patterns with the same stars."""

    images: str
    masks: str


LAYOUTS = (
    Layout("{split}/images/*", "{split}/masks/*"),
    Layout("images/{split}/*", "masks/{split}/*"),
)
"""Where a folder without `layouts` is looked through, in this order."""


@dataclass(frozen=True)
class Files:
    """Images and masks in folders; splits gives the folder name of each split."""

    layouts: tuple[Layout, ...] = LAYOUTS
    splits: Mapping[str, str] = field(default_factory=lambda: {split: split for split in SPLITS})
    root_env: str | None = None


@dataclass(frozen=True)
class Drawn:
    """How many images of a generator make a split, and from which seed."""

    seed: int
    images: int


@dataclass(frozen=True)
class Generated:
    """Images drawn on demand by a generator, in one size (height, width)."""

    generator: str
    size: tuple[int, int]
    splits: Mapping[str, Drawn]


@dataclass(frozen=True)
class Description:
    """All that is known of a dataset before one of its files is opened.

    where names the file that says so, for messages; notices are lines to show the user: what was
    taken for granted where no file says it.
    """

    name: str
    labels: LabelMap
    origin: Files | Generated
    channels: int = 3
    title: str = ""
    source: str = ""
    licence: str = ""
    where: str = FILE_NAME
    notices: tuple[str, ...] = ()


def description_file(name: str) -> Path | None:
    """The dataset.yaml of a name: in the working directory, the checkout, or the package."""
    # A name is one plain word; what has a separator or a dot in front is a path and no name.
    if not re.fullmatch(r"\w[\w.-]*", name):
        return None
    return next((f for shelf in _shelves() if (f := shelf / name / FILE_NAME).is_file()), None)


def known_names() -> list[str]:
    """Every name that description_file would find."""
    return sorted({f.parent.name for shelf in _shelves() for f in shelf.glob(f"*/{FILE_NAME}")})


def _shelves() -> tuple[Path, ...]:
    package = Path(__file__).resolve().parents[2]
    return Path("data"), package.parent / "data", package / "descriptions"


def read_description(file: Path) -> Description:
    """Read and check a whole dataset.yaml.

    Raises:
        DataError: one line with the file, the key, the value and the mend.
    """
    where = str(file)
    try:
        plain = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"{where} cannot be read: {fault}") from None
    except (yaml.YAMLError, RecursionError) as fault:
        place = " ".join(str(fault).split())
        raise DataError(f"{where} is not valid YAML: {place}") from None
    table = read_table(plain, _FACTS + _LABELS + _FILES + _GENERATED, where)
    labels = LabelMap.from_plain({k: table[k] for k in _LABELS if k in table}, where)
    channels = table.get("channels", 3)
    if not is_whole(channels, 1) or channels not in (1, 3):
        raise DataError(f"{where}: channels must be 3 (RGB) or 1 (grey), got {channels!r}")
    return Description(
        name=read_text(table, "name", where) or file.absolute().parent.name,
        labels=labels,
        origin=(_read_generated if "generator" in table else _read_files)(table, where),
        channels=channels,
        title=read_text(table, "title", where),
        source=read_text(table, "source", where),
        licence=read_text(table, "licence", where),
        where=where,
    )


def _read_files(table: dict[str, Any], where: str) -> Files:
    if "size" in table:
        raise DataError(f"{where}: size belongs to a generator; files keep their own size")
    layouts = LAYOUTS
    if "layouts" in table:
        listed = table["layouts"]
        if not isinstance(listed, list) or not listed:
            raise DataError(f"{where}: layouts must be a list of {{images: ..., masks: ...}}")
        layouts = tuple(_read_layout(v, f"{where}: layouts[{i}]") for i, v in enumerate(listed))
    splits = table.get("splits", list(SPLITS))
    if isinstance(splits, list) and all(isinstance(split, str) for split in splits):
        splits = {split: split for split in cast(list[str], splits)}
    if not isinstance(splits, dict) or not splits:
        raise DataError(
            f"{where}: splits must be [train, val] or {{train: FOLDER}}, not {splits!r}"
        )
    for split, folder in cast(dict[Any, Any], splits).items():
        if not isinstance(split, str) or not isinstance(folder, str):
            raise DataError(f"{where}: splits: {split!r}: {folder!r} must be text: quote it")
        if folder.startswith("/") or ".." in folder.split("/") or "*" in folder:
            raise DataError(f"{where}: splits: {split} must be a folder below the root: {folder!r}")
    return Files(layouts, cast(dict[str, str], splits), read_text(table, "root_env", where) or None)


def _read_layout(plain: Any, where: str) -> Layout:
    table = read_table(plain, ("images", "masks"), where)
    images, masks = read_text(table, "images", where), read_text(table, "masks", where)
    for key, pattern in (("images", images), ("masks", masks)):
        if "*" not in pattern:
            raise DataError(f'{where}: {key} must be a pattern such as "{{split}}/{key}/*"')
        parts = pattern.split("/")
        if pattern.startswith("/") or ".." in parts:
            raise DataError(f"{where}: {key} must lie below the root folder, got {pattern!r}")
        if any("**" in part and part != "**" for part in parts) or parts[-1] == "**":
            raise DataError(f"{where}: {key}: ** stands alone between two /, got {pattern!r}")
    stars = [re.findall(r"\*+", pattern) for pattern in (images, masks)]
    if stars[0] != stars[1]:
        raise DataError(
            f"{where}: images and masks pair by their stars, so both need the same ones in the "
            f"same order, got {images!r} and {masks!r}"
        )
    return Layout(images, masks)


def _read_generated(table: dict[str, Any], where: str) -> Generated:
    for key in _FILES:
        if key in table:
            raise DataError(f"{where}: {key} is for images in files; remove it or remove generator")
    if table["generator"] not in GENERATORS:
        raise DataError(f"{where}: generator must be street, got {table['generator']!r}")
    if table.get("channels", 3) != 3:
        raise DataError(f"{where}: the street is drawn in colour: leave channels out")
    size = table.get("size")
    if not isinstance(size, list) or len(size) != 2 or not all(is_whole(v, 1) for v in size):
        raise DataError(f"{where}: size must be [height, width] in pixels, got {size!r}")
    splits = table.get("splits")
    if not isinstance(splits, dict) or not splits:
        raise DataError(f"{where}: splits must be {{train: {{seed: 1, images: 4096}}, ...}}")
    drawn: dict[str, Drawn] = {}
    for split, plain in cast(dict[str, Any], splits).items():
        entry = read_table(plain, ("seed", "images"), f"{where}: splits: {split}")
        seed, images = entry.get("seed"), entry.get("images")
        if not is_whole(seed, 0) or not is_whole(images, 1):
            raise DataError(f"{where}: splits: {split} needs seed: 0 or more and images: 1 or more")
        drawn[split] = Drawn(seed, images)
    return Generated(table["generator"], (size[0], size[1]), drawn)
