"""A folder of images and masks without dataset.yaml -> a Description, and a line that says so.

Only what can be read from the masks without doubt is taken: two values 0 and 1 or 0 and 255, or
consecutive indices with 255 for ignore. Everything else asks for a dataset.yaml, and says which.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from effunet.data.describe.description import FILE_NAME, Description, Files
from effunet.data.describe.read import read_description
from effunet.data.describe.splits import SPLITS
from effunet.data.files.masks import read_palette, read_raw_mask
from effunet.data.sources.search import list_split
from effunet.errors import DataError
from effunet.labels import IGNORE, LabelClass, LabelMap
from effunet.values import Color, RawValue, default_color, show_value

MASKS_LOOKED_AT = 500
"""So many masks, spread evenly, say which values there are; the preflight reads the others."""


def describe_folder(folder: Path, variant: str | None = None) -> Description:
    """The folder's own dataset.yaml, or what its {train,val,test}/{images,masks} let infer.

    Raises:
        DataError: no images, or masks that may mean several things; says what to write where.
    """
    file = folder / FILE_NAME
    if file.is_file():
        return read_description(file, variant)
    if variant is not None:
        raise DataError(f"{folder} has no {FILE_NAME}, and so no variant {variant!r}")
    masks = _masks(folder)
    looked_at = [masks[i * len(masks) // MASKS_LOOKED_AT] for i in range(MASKS_LOOKED_AT)]
    if len(masks) <= MASKS_LOOKED_AT:
        looked_at = masks
    values = _values(looked_at, file)
    labels, said = _labels(values, looked_at, file)
    notice = (
        f"no {FILE_NAME} in {folder}: from the values of {len(looked_at)} masks ({len(masks)} in "
        f"all) took {said}; write {file} to say it otherwise"
    )
    name = folder.resolve().name or "folder"
    return Description(name, labels, Files(), where=str(file), notices=(notice,))


def _masks(folder: Path) -> list[Path]:
    """All masks of all splits, in the first layout that finds any."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}: give a folder with {{train,val}}/{{images,masks}}")
    found: list[Path] = []
    faults: list[str] = []
    for split in SPLITS:
        try:
            listing = list_split(folder, Files(), split)
        except DataError as fault:
            faults.append(str(fault))
        else:
            found += (pair.mask for pair in listing.pairs)
            # Images without masks say more than a split that is not there.
            faults = listing.faults() + faults
    if not found:
        raise DataError(f"{faults[0]}; or describe the folder in {folder / FILE_NAME}")
    return found


def _values(masks: Sequence[Path], file: Path) -> list[int]:
    """Every integer that the masks hold."""
    seen: set[int] = set()
    broken: DataError | None = None
    for mask in masks:
        try:
            raw = read_raw_mask(mask)
        except DataError as fault:
            broken = broken or fault  # the check tells it with all others
            continue
        if raw.ndim == 3:
            colors = np.unique(raw.reshape(-1, 3), axis=0)[:8].tolist()
            raise DataError(
                f"{mask} is a mask of mode RGB (it holds {', '.join(map(str, colors))}): write "
                f"{file} with `classes: [{{name: ..., values: [{colors[0]}]}}, ...]`, all classes"
            )
        # Counting is ten times faster than the sorting of np.unique.
        fits = raw.dtype.name in ("uint8", "uint16")
        values = np.flatnonzero(np.bincount(raw.reshape(-1))) if fits else np.unique(raw)
        seen.update(values.tolist())
    if not seen and broken is not None:
        raise broken
    return sorted(seen)


def _labels(values: list[int], masks: Sequence[Path], file: Path) -> tuple[LabelMap, str]:
    if values in ([0, 1], [0, 255]):
        on = values[1]
        ground = LabelClass("background", (0, 0, 0), (0,))
        labels = LabelMap((ground, LabelClass("foreground", (255, 255, 255), (on,))))
        return labels, f"two classes, background = 0 and foreground = {on}"
    indices = [value for value in values if value != IGNORE]
    count = indices[-1] + 1 if indices else 0
    # Half of the indices may be absent from the masks looked at; more, and they are no indices.
    if len(indices) < 2 or count > min(IGNORE, 2 * len(indices)):
        shown = ", ".join(map(str, values[:20])) + (", ..." if len(values) > 20 else "")
        entries = ", ".join(f"{{name: ..., values: [{value}]}}" for value in values[:3])
        raise DataError(
            f"the masks below {file.parent} hold the values {shown}, which are no plain class "
            f"indices 0, 1, 2, ...: write {file} with `classes: [{entries}, ...]`, all classes"
        )
    colors = _colors(masks[0], count)
    classes = [LabelClass(f"class_{i}", color, (i,)) for i, color in enumerate(colors)]
    ignore: tuple[RawValue, ...] = (IGNORE,)
    said = f"{count} classes class_0 to class_{count - 1}, with 255 ignored"
    absent = sorted(set(range(count)) - set(indices))
    if absent:
        said += f" (absent there: {', '.join(map(show_value, absent))})"
    return LabelMap(tuple(classes), ignore), said


def _colors(mask: Path, count: int) -> list[Color]:
    """The palette of the mask file where it has one of that many colours, else our own."""
    palette = read_palette(mask)
    if len(palette) < count:
        return [default_color(index + 1) for index in range(count)]
    return palette[:count]
