"""The `layouts` of a dataset.yaml: where images and their truth lie below the root.

    - {images: "{split}/images/*", masks: "{split}/masks/*"}      # masks of pixels
    - {images: "{split}/*_image.jpg", masks: "{split}/*_label.png", skip: "*_inst_label.png"}
    - {images: "{split}/*_rgb.png", masks: "{split}/*_ids.png", instances: "{split}/*_things.png"}
    - {images: "{split}/*", shapes: "{split}/*.json", format: labelme}
    - {images: "train2017/*", shapes: "annotations/instances_{split}.json", format: coco}
    - {manifest: "{split}.csv", columns: {image: path, mask: label}}
    - {huggingface: org/name, revision: REV, image: image, mask: annotation}

`{split}` is the folder name of the split, `*` any text inside one name, `**` any number of folders
(none too); a `*` that ends a pattern of images or masks stands for a name without its extension,
which may be that of any known image format. An image and a mask are a pair when their stars matched
the same texts in the same order. Shapes without a star lie in one file for all images, which are
found by the file names that it gives. Files whose name matches `skip` are left out. `instances`
are read for the instance-level IoU alone (effunet/metrics/instances.py), and need instance_sizes.

Of shapes: `paint` says which of two lies above (file: the later one, area: the smaller one,
classes: the one of the higher index); `crowd` what becomes of COCO's crowds (ignore, paint, skip);
`unpainted` the class, or ignore, of what no shape covers.
"""

import re
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from effunet.data.shapes.paint import Crowd, Order
from effunet.errors import DataError
from effunet.plain import read_table, read_text

FORMATS = ("coco", "labelme", "cvat", "label_studio", "cityscapes")
PAINT, CROWD = get_args(Order), get_args(Crowd)
COLUMNS = ("image", "mask", "split", "weight")


@dataclass(frozen=True)
class Masks:
    """Images and files of pixel masks: two patterns with the same stars."""

    images: str
    masks: str
    skip: str = ""  # file names that are neither, though they match
    instances: str = ""  # files that tell apart what is of one class; the same stars


@dataclass(frozen=True)
class Shapes:
    """Images and annotations: one file an image (the same stars), or one for all (no star)."""

    images: str
    shapes: str
    format: str
    paint: Order | None = None  # None: what the format says
    crowd: Crowd = "ignore"
    unpainted: str = ""  # empty: the class background, if there is one, else ignore

    @property
    def single(self) -> bool:
        """Whether one file holds the annotations of all images."""
        return "*" not in self.shapes


@dataclass(frozen=True)
class Manifest:
    """A CSV or JSONL file with a row for each image; columns maps our words to its own."""

    manifest: str
    columns: dict[str, str] = field(default_factory=lambda: {name: name for name in COLUMNS})


@dataclass(frozen=True)
class HubTable:
    """A dataset of the library `datasets`: a hub name, or a folder of save_to_disk."""

    source: str
    revision: str = ""
    image: str = "image"
    mask: str = "annotation"


Layout = Masks | Shapes | Manifest | HubTable

LAYOUTS: tuple[Layout, ...] = (
    Masks("{split}/images/*", "{split}/masks/*"),
    Masks("images/{split}/*", "masks/{split}/*"),
)
"""Where a folder without `layouts` is looked through, in this order."""


def read_layouts(plain: Any, where: str) -> tuple[Layout, ...]:
    """Read the key; raises DataError, which names where."""
    if not isinstance(plain, list) or not plain:
        raise DataError(f"{where}: layouts must be a list of {{images: ..., masks: ...}}")
    return tuple(_read(entry, f"{where}: layouts[{i}]") for i, entry in enumerate(plain))


def _read(plain: Any, where: str) -> Layout:
    keys: set[Any] = set(plain) if isinstance(plain, dict) else set()
    if "manifest" in keys:
        return _read_manifest(plain, where)
    if "huggingface" in keys:
        table = read_table(plain, ("huggingface", "revision", "image", "mask"), where)
        text = {key: read_text(table, key, where) for key in table}
        return HubTable(
            text["huggingface"],
            text.get("revision", ""),
            text.get("image", HubTable.image),
            text.get("mask", HubTable.mask),
        )
    if "shapes" in keys:
        return _read_shapes(plain, where)
    table = read_table(plain, ("images", "masks", "skip", "instances"), where)
    images, masks = (_pattern(table, key, where) for key in ("images", "masks"))
    _check_stars("masks", images, masks, where)
    skip = read_text(table, "skip", where)
    if "/" in skip:
        raise DataError(f'{where}: skip is a file name such as "*_inst.png", got {skip!r}')
    instances = _pattern(table, "instances", where) if "instances" in table else ""
    if instances:
        _check_stars("instances", images, instances, where)
    return Masks(images, masks, skip, instances)


def _read_shapes(plain: Any, where: str) -> Shapes:
    table = read_table(plain, ("images", "shapes", "format", "paint", "crowd", "unpainted"), where)
    text = {key: read_text(table, key, where) for key in table}
    images = _pattern(table, "images", where)
    shapes = _pattern(table, "shapes", where, starless=True)
    if "*" in shapes:
        _check_stars("shapes", images, shapes, where)
    for key, allowed in (("format", FORMATS), ("paint", PAINT), ("crowd", CROWD)):
        if key in text and text[key] not in allowed:
            raise DataError(f"{where}: {key} must be {' or '.join(allowed)}, got {text[key]!r}")
    if "format" not in text:
        raise DataError(f"{where}: shapes need their format: {', '.join(FORMATS)}")
    return Shapes(
        images,
        shapes,
        text["format"],
        cast("Order | None", text.get("paint")),
        cast("Crowd", text.get("crowd", "ignore")),
        text.get("unpainted", ""),
    )


def _read_manifest(plain: Any, where: str) -> Manifest:
    table = read_table(plain, ("manifest", "columns"), where)
    file = read_text(table, "manifest", where)
    if not file.lower().endswith((".csv", ".tsv", ".jsonl")):
        raise DataError(f"{where}: manifest must be a .csv, .tsv or .jsonl file, got {file!r}")
    _check_below("manifest", file, where)
    columns = read_table(table.get("columns", {}), COLUMNS, f"{where}: columns")
    own = {key: read_text(columns, key, f"{where}: columns") for key in columns}
    return Manifest(file, {name: own.get(name, name) for name in COLUMNS})


def _pattern(table: dict[str, Any], key: str, where: str, starless: bool = False) -> str:
    pattern = read_text(table, key, where)
    if not pattern or ("*" not in pattern and not starless):
        raise DataError(f'{where}: {key} must be a pattern such as "{{split}}/{key}/*"')
    _check_below(key, pattern, where)
    parts = pattern.split("/")
    if any("**" in part and part != "**" for part in parts) or parts[-1] == "**":
        raise DataError(f"{where}: {key}: ** stands alone between two /, got {pattern!r}")
    return pattern


def _check_below(key: str, path: str, where: str) -> None:
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise DataError(f"{where}: {key} must lie below the root folder, got {path!r}")


def _check_stars(key: str, images: str, other: str, where: str) -> None:
    if re.findall(r"\*+", images) != re.findall(r"\*+", other):
        raise DataError(
            f"{where}: images and {key} pair by their stars, so both need the same ones in the "
            f"same order, got {images!r} and {other!r}"
        )
