"""dataset.yaml -> Description, strictly: every slip is named with its file, key and mend.

    name: streets                       # shown and stored; default: the folder's name
    title, source, licence: ...         # facts for people, none needed
    classes:                            # in index order; a bare name means its own index
      - {name: road, color: [128, 64, 128], values: [7]}       # integers in the mask files
      - {name: car, color: [0, 0, 142], values: [[0, 0, 142]]} # or colours
      - {name: sign, values: [19, 20, traffic light]}          # or labels of annotations
      - {name: van, values: [9], category: vehicle}            # a group of classes: all, or none
    ignore: [0, 255]                    # raw values that are never counted
    rest: error                         # any other value: error (default), ignore, or nearest
    channels: 3                         # 3: RGB (default), 1: grey, any other: bands
    value_range: [0, 10000]             # raw pixel values that become 0..255; or one pair a channel
    mean, std: [0.1, ...]               # of each channel, in 0..1 of the above
    layouts: ...                        # effunet/data/describe/layouts.py
    splits: ...                         # effunet/data/describe/splits.py
    roots: [north, south]               # folders below the root that are looked through alike
    root_env: STREETS                   # a variable that may name the root folder
    variants:                           # named changes, each of whole keys: NAME:coarse
      coarse: {classes: [...]}
    maps:                               # our classes -> those of another dataset, or ignore
      cityscapes: {Car: car, SignSymbol: ignore}
    instance_sizes: {car: 12794.02}     # average pixels of an instance, if a layout has instances
    facts: {images: {train: 2975}, size: [1024, 2048]}         # as published

Instead of layouts, roots and root_env a dataset may be made by a generator: `generator: street`,
`size: [height, width]`, and `splits: {train: {seed: 1, images: 4096}, ...}`.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from effunet.data.describe.description import (
    GENERATORS,
    IGNORED,
    Description,
    Drawn,
    Facts,
    Files,
    Generated,
)
from effunet.data.describe.layouts import LAYOUTS, Masks, Shapes, read_layouts
from effunet.data.describe.splits import SPLITS, read_splits
from effunet.data.files.pixels import Pixels
from effunet.errors import DataError
from effunet.labels import LabelMap
from effunet.plain import is_whole, read_table, read_text

MOST_CHANNELS = 1024

_LABELS = ("classes", "ignore", "rest")
_FACTS = ("name", "title", "source", "licence", "splits", "variants", "maps", "facts")
_PIXELS = ("channels", "value_range", "mean", "std")
_FILES = ("layouts", "roots", "root_env", "instance_sizes")
_GENERATED = ("generator", "size")
_VARIED = (*_LABELS, *_PIXELS, *_FILES, "title", "source", "licence", "splits", "maps", "facts")


class _Loader(yaml.SafeLoader):
    """Safe, and refuses a key that stands twice: YAML's own rule, where PyYAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Make a table; raises YAMLError for a key that stands twice."""
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for place, key in enumerate(keys):
            if isinstance(key, str) and key in keys[:place]:
                line = node.start_mark.line + 1
                raise yaml.YAMLError(f"the key {key!r} stands twice in the table of line {line}")
        return super().construct_mapping(node, deep)


def read_description(file: Path, variant: str | None = None) -> Description:
    """Read and check a whole dataset.yaml, with the changes of one of its variants.

    Raises:
        DataError: one line with the file, the key, the value and the mend.
    """
    where = str(file)
    try:
        plain = _Loader(file.read_text(encoding="utf-8")).get_single_data()
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"{where} cannot be read: {fault}") from None
    except (yaml.YAMLError, RecursionError) as fault:
        place = " ".join(str(fault).split())
        raise DataError(f"{where} is not valid YAML: {place}") from None
    table = read_table(plain, _FACTS + _LABELS + _PIXELS + _FILES + _GENERATED, where)
    variants = _read_variants(table, where)
    name = read_text(table, "name", where) or file.absolute().parent.name
    if variant is not None:
        table |= _chosen(variants, variant, name, where)
        name = f"{name}:{variant}"
    labels = LabelMap.from_plain({k: table[k] for k in _LABELS if k in table}, where)
    drawn = "generator" in table
    origin = _read_generated(table, where) if drawn else _read_files(table, labels, where)
    return Description(
        name=name,
        labels=labels,
        origin=origin,
        pixels=_read_pixels(table, where),
        title=read_text(table, "title", where),
        source=read_text(table, "source", where),
        licence=read_text(table, "licence", where),
        where=where,
        variants=tuple(variants),
        maps=_read_maps(table.get("maps", {}), labels, where),
        facts=_read_facts(table.get("facts", {}), where),
        instance_sizes=_read_sizes(table.get("instance_sizes", {}), origin, labels, where),
    )


def _read_variants(table: dict[str, Any], where: str) -> dict[str, dict[str, Any]]:
    plain = table.get("variants", {})
    if not isinstance(plain, dict):
        raise DataError(f"{where}: variants must be {{NAME: {{key: value}}}}, got {plain!r}")
    variants = cast("dict[Any, Any]", plain)
    return {
        str(name): read_table(changes, _VARIED, f"{where}: variants: {name}")
        for name, changes in variants.items()
    }


def _chosen(
    variants: Mapping[str, dict[str, Any]], variant: str, name: str, where: str
) -> dict[str, Any]:
    if variant in variants:
        return variants[variant]
    near = difflib.get_close_matches(variant, variants, n=1)
    known = f"has {', '.join(variants)}" if variants else "has none"
    mend = f"did you mean {near[0]}?" if near else f"{where} {known}"
    raise DataError(f"{name} has no variant {variant!r}; {mend}")


def _read_pixels(table: dict[str, Any], where: str) -> Pixels:
    channels = table.get("channels", 3)
    if not is_whole(channels, 1, MOST_CHANNELS):
        raise DataError(
            f"{where}: channels must be 3 (RGB), 1 (grey) or a number of bands, got {channels!r}"
        )
    plain = table.get("value_range", [])
    if isinstance(plain, list) and len(plain) == 2 and all(map(_is_number, plain)):
        plain = [plain]
    ranges = cast("list[Any]", plain) if isinstance(plain, list) else [plain]
    for pair in ranges:
        ordered = isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair))
        if not ordered or not pair[0] < pair[1]:
            raise DataError(f"{where}: value_range must be [low, high], or one a channel: {pair!r}")
    if len(ranges) not in (0, 1, channels):
        raise DataError(f"{where}: value_range has {len(ranges)} pairs for {channels} channels")
    mean, std = (_numbers(table.get(key, []), channels, key, where) for key in ("mean", "std"))
    if bool(mean) != bool(std) or any(deviation <= 0 for deviation in std):
        raise DataError(f"{where}: mean and std come together, std above 0: effunet data stats")
    return Pixels(channels, tuple((float(low), float(high)) for low, high in ranges), mean, std)


def _numbers(plain: Any, channels: int, key: str, where: str) -> tuple[float, ...]:
    if not isinstance(plain, list) or not all(map(_is_number, plain)):
        raise DataError(f"{where}: {key} must be a list of numbers, got {plain!r}")
    if len(plain) not in (0, channels):
        raise DataError(f"{where}: {key} has {len(plain)} numbers for {channels} channels")
    return tuple(float(value) for value in cast("list[float]", plain))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def _read_files(table: dict[str, Any], labels: LabelMap, where: str) -> Files:
    if "size" in table:
        raise DataError(f"{where}: size belongs to a generator; files keep their own size")
    layouts = read_layouts(table["layouts"], where) if "layouts" in table else LAYOUTS
    drawn = [layout for layout in layouts if isinstance(layout, Shapes)]
    for layout in drawn:
        if layout.unpainted not in ("", IGNORED, *labels.names):
            raise DataError(
                f"{where}: unpainted must be a class or {IGNORED}, got {layout.unpainted!r}"
            )
    if labels.knows_texts and not drawn:
        texts = [v for c in labels.classes for v in c.values if isinstance(v, str)]
        raise DataError(
            f'{where}: values: "{texts[0]}" is a label of annotations, and no layout has shapes: '
            "write the integer or colour of the mask files"
        )
    splits = read_splits(table.get("splits", list(SPLITS)), where)
    roots = table.get("roots", [])
    if not isinstance(roots, list) or not all(isinstance(v, str) and v for v in roots):
        raise DataError(f"{where}: roots must be a list of folders, got {roots!r}")
    roots = tuple(cast("list[str]", roots))
    if len({Path(root).name for root in roots}) < len(roots):
        raise DataError(f"{where}: two roots have one last name, which starts the images' names")
    return Files(layouts, splits, roots, read_text(table, "root_env", where) or None)


def _read_generated(table: dict[str, Any], where: str) -> Generated:
    for key in _FILES:
        if key in table:
            raise DataError(f"{where}: {key} is for images in files; remove it or remove generator")
    if table["generator"] not in GENERATORS:
        raise DataError(f"{where}: generator must be street, got {table['generator']!r}")
    if any(key in table for key in _PIXELS):
        own = next(key for key in _PIXELS if key in table)
        raise DataError(f"{where}: the street is drawn in colour: leave {own} out")
    size = _read_size(table.get("size"), where)
    splits = table.get("splits")
    if not isinstance(splits, dict) or not splits:
        raise DataError(f"{where}: splits must be {{train: {{seed: 1, images: 4096}}, ...}}")
    drawn: dict[str, Drawn] = {}
    for split, plain in cast("dict[str, Any]", splits).items():
        entry = read_table(plain, ("seed", "images"), f"{where}: splits: {split}")
        seed, images = entry.get("seed"), entry.get("images")
        if not is_whole(seed, 0) or not is_whole(images, 1):
            raise DataError(f"{where}: splits: {split} needs seed: 0 or more and images: 1 or more")
        drawn[split] = Drawn(seed, images)
    return Generated(table["generator"], size, drawn)


def _read_size(size: Any, where: str) -> tuple[int, int]:
    if not isinstance(size, list) or len(size) != 2 or not all(is_whole(v, 1) for v in size):
        raise DataError(f"{where}: size must be [height, width] in pixels, got {size!r}")
    return size[0], size[1]


def _read_maps(plain: Any, labels: LabelMap, where: str) -> dict[str, dict[str, str]]:
    if not isinstance(plain, dict):
        raise DataError(f"{where}: maps must be {{DATASET: {{class: class}}}}, got {plain!r}")
    maps: dict[str, dict[str, str]] = {}
    for target, entries in cast("dict[Any, Any]", plain).items():
        table = read_table(entries, labels.names, f"{where}: maps: {target}")
        maps[str(target)] = {
            name: read_text(table, name, f"{where}: maps: {target}") for name in table
        }
    return maps


def _read_sizes(
    plain: Any, origin: Files | Generated, labels: LabelMap, where: str
) -> dict[str, float]:
    sizes = read_table(plain, labels.names, f"{where}: instance_sizes")
    for name, size in sizes.items():
        if not _is_number(size) or size <= 0:
            raise DataError(
                f"{where}: instance_sizes: {name} must be the average pixels of an instance, "
                f"got {size!r}"
            )
    layouts = origin.layouts if isinstance(origin, Files) else ()
    named = any(isinstance(layout, Masks) and layout.instances for layout in layouts)
    if named != bool(sizes):
        has = "a layout has instances" if named else "there are instance_sizes"
        lacks = "no instance_sizes" if named else "no layout with instances"
        raise DataError(f"{where}: {has}, and {lacks}: write both or neither")
    return {name: float(size) for name, size in sizes.items()}


def _read_facts(plain: Any, where: str) -> Facts:
    table = read_table(plain, ("images", "size"), f"{where}: facts")
    images = table.get("images", {})
    if not isinstance(images, dict) or not all(is_whole(count, 0) for count in images.values()):
        raise DataError(f"{where}: facts: images must be {{split: number}}, got {images!r}")
    size = _read_size(table["size"], f"{where}: facts") if "size" in table else None
    return Facts({str(k): v for k, v in cast("dict[Any, int]", images).items()}, size)
