"""A dataset's name or folder -> one split of it: where it is described, and where its files lie.

A description is data/NAME/dataset.yaml or a folder's own. Nothing is ever written into a user's
folder.
"""

import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from effunet.data.dataset import Dataset
from effunet.data.describe.description import Description, Files, Generated
from effunet.data.describe.layouts import HubTable
from effunet.data.describe.read import read_description
from effunet.data.describe.shelf import description_file, known_names
from effunet.data.describe.splits import Folds
from effunet.data.files.opening import MAX_PIXELS
from effunet.data.sources.folder import FileDataset
from effunet.data.sources.generated import GeneratedDataset
from effunet.data.sources.guess import describe_folder
from effunet.data.sources.listing import Listing
from effunet.data.sources.search import has_images, list_split
from effunet.errors import DataError, UsageError


@dataclass(frozen=True)
class Choice:
    """Which of a dataset's variants and folds; None: as its file says."""

    variant: str | None = None
    fold: int | None = None


def open_dataset(
    name_or_dir: str | Path,
    split: str,
    root: str | Path | None = None,
    *,
    choice: Choice = Choice(),
    paired: bool = True,
    max_pixels: int = MAX_PIXELS,
) -> Dataset:
    """One split of a known dataset, NAME or NAME:VARIANT, or of a folder; `folder` means root.

    The files of a name lie in root, or else where its variable says ($CAMVID, $CITYSCAPES_DATASET),
    or else in data/NAME. A folder without dataset.yaml is looked through for what it holds.
    paired=False leaves files without a partner to the preflight (effunet.data.check).

    Raises:
        DataError: no such dataset, variant, split or files; files without a partner.
    """
    description, places = find_dataset(name_or_dir, root, choice)
    origin = description.origin
    if split not in origin.names:
        raise DataError(
            f"{description.name} has no split {split!r}: {description.where} has "
            f"{', '.join(origin.names)}"
        )
    if isinstance(origin, Generated):
        return GeneratedDataset(description, split, origin)
    place = next((place for place in places if has_images(place, origin)), None)
    table = next((layout for layout in origin.layouts if isinstance(layout, HubTable)), None)
    if place is None and table is not None:
        from effunet.data.sources.huggingface import open_table

        return open_table(description, table, split, places[0])
    place = place or places[0]
    listing = _list(description, origin, place, split)
    faults = listing.faults()
    if paired and faults:
        more = f" (and {len(faults) - 1} more kinds of fault)" if len(faults) > 1 else ""
        raise DataError(f"{description.name}, split {split}: {faults[0]}{more}")
    return FileDataset(description, split, listing, max_pixels, place)


def find_dataset(
    name_or_dir: str | Path,
    root: str | Path | None = None,
    choice: Choice = Choice(),
) -> tuple[Description, list[Path]]:
    """What a dataset is, and the root folders to try in turn."""
    below = Path(root).expanduser() if root is not None else None
    description, places = _found(str(name_or_dir), below, choice.variant)
    if choice.fold is None:
        return description, places
    splits = description.origin.splits
    if not isinstance(splits, Folds) or isinstance(description.origin, Generated):
        raise UsageError(
            f"dataset.fold={choice.fold}: {description.where} has no folds; write "
            "`splits: {by: fold, folds: 5}` there"
        )
    if choice.fold >= splits.folds:
        raise UsageError(f"dataset.fold={choice.fold}: folds are 0 to {splits.folds - 1}")
    origin = replace(description.origin, splits=replace(splits, val=choice.fold))
    return replace(description, origin=origin), places


def _found(name: str, below: Path | None, variant: str | None) -> tuple[Description, list[Path]]:
    if name == "folder":
        if below is None:
            raise UsageError("dataset folder needs a root: dataset.root=DIR, where your images lie")
        return describe_folder(below, variant), [below]
    folder = Path(name).expanduser()
    if variant is None and not folder.is_dir() and ":" in name:
        name, _, variant = name.rpartition(":")
        folder = Path(name).expanduser()
    file = description_file(name)
    if file is None:
        if not folder.is_dir():
            raise DataError(_no_such_dataset(name))
        return describe_folder(folder, variant), [below or folder]
    description = read_description(file, variant)
    if below is not None or isinstance(description.origin, Generated):
        return description, [below] if below else []
    variable = description.origin.root_env
    if variable and os.environ.get(variable):
        return description, [Path(os.environ[variable]).expanduser()]
    checkout = Path(__file__).resolve().parents[2]
    return description, [Path("data") / name, checkout / "data" / name]


def _list(description: Description, origin: Files, place: Path, split: str) -> Listing:
    try:
        return list_split(place, origin, split)
    except DataError as fault:
        variable = f" or set ${origin.root_env}" if origin.root_env else ""
        raise DataError(
            f"{description.name}, split {split}: {fault}; give the folder that holds it "
            f"(dataset.root=DIR, --root DIR){variable}"
        ) from None


def _no_such_dataset(name: str) -> str:
    known = known_names()
    near = difflib.get_close_matches(name, known, n=1)
    mend = f"did you mean {near[0]}?" if near else f"known names are {', '.join(known)}"
    return f"{name!r} is neither a dataset nor a folder; {mend}"
