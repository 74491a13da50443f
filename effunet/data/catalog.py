"""A dataset's name or folder -> one split of it: where it is described, and where its files lie.

A description is data/NAME/dataset.yaml or a folder's own. Nothing is ever written into a user's
folder.
"""

import difflib
import os
from collections.abc import Sequence
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
from effunet.data.sources.mixture import Mapped, Mixture, table_of
from effunet.data.sources.search import has_images, list_split
from effunet.errors import DataError, EffunetError, UsageError
from effunet.labels import LabelMap


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
    return open_split(description, places, split, paired=paired, max_pixels=max_pixels)


def open_split(
    description: Description,
    places: list[Path],
    split: str,
    *,
    paired: bool = True,
    max_pixels: int = MAX_PIXELS,
) -> Dataset:
    """One split of what find_dataset has found; raises as open_dataset does."""
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


def open_mixture(
    parts: Sequence[str],
    split: str,
    root: str | Path | None = None,
    *,
    target: str | None = None,
    shares: Sequence[float] | None = None,
    paired: bool = True,
) -> Mixture:
    """One split of several datasets, all in the classes of target (None: of the first part).

    parts are NAME or NAME:VARIANT; below root each has a folder of its name. shares say how many of
    the samples of a training come from each part; None: as it has images.

    Raises:
        DataError: as for open_dataset, or classes without a counterpart in the target.
        UsageError: no parts, or parts and shares that do not go together.
    """
    if len(set(parts)) < max(1, len(parts)):
        raise UsageError(
            "dataset mixture needs its parts: dataset.parts=[cityscapes,idd], each of them once"
        )
    goal = target or parts[0]
    labels = find_dataset(goal, root=".")[0].labels  # whose own files may be elsewhere, or nowhere
    opened: list[Dataset] = []
    for part in parts:
        below = Path(root) / part.partition(":")[0] if root is not None else None
        description, places = find_dataset(part, below)
        dataset = open_split(description, places, split, paired=paired)
        opened.append(_mapped(dataset, description, goal, labels))
    return Mixture(opened, shares)


def in_classes_of(
    name_or_dir: str | Path,
    dataset: Dataset,
    names: Sequence[str],
    root: str | Path | None = None,
) -> Dataset:
    """The dataset in other classes, if its description has a map to a dataset that has just these.

    Without such a map it is returned as it is.
    """
    if tuple(names) == dataset.labels.names:
        return dataset
    description, _ = find_dataset(name_or_dir, root)
    for goal in description.maps:
        try:
            labels = find_dataset(goal, root=".")[0].labels
        except EffunetError:
            continue  # a target that is not described here
        if labels.names == tuple(names):
            return _mapped(dataset, description, goal, labels)
    return dataset


def find_dataset(
    name_or_dir: str | Path,
    root: str | Path | None = None,
    choice: Choice = Choice(),
) -> tuple[Description, list[Path]]:
    """What a dataset is, and the root folders to try in turn."""
    below = _expanded(root) if root is not None else None
    description, places = _found(str(name_or_dir), below, choice.variant)
    if choice.fold is None:
        return description, places
    splits = description.origin.splits
    if not isinstance(splits, Folds) or isinstance(description.origin, Generated):
        raise UsageError(
            f"fold {choice.fold}: {description.where} has no folds; write "
            "`splits: {by: fold, folds: 5}` there"
        )
    if not 0 <= choice.fold < splits.folds:
        raise UsageError(f"fold {choice.fold}: folds are 0 to {splits.folds - 1}")
    origin = replace(description.origin, splits=replace(splits, val=choice.fold))
    return replace(description, origin=origin), places


def _expanded(path: str | Path) -> Path:
    """The path with ~ as a home folder, where there is such a user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DataError(f"{path}: there is no such user: write the folder itself") from None


def _is_folder(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:  # a name that no folder can have
        return False


def _found(name: str, below: Path | None, variant: str | None) -> tuple[Description, list[Path]]:
    if name == "folder":
        if below is None:
            raise UsageError("dataset folder needs a root: dataset.root=DIR, where your images lie")
        return describe_folder(below, variant), [below]
    folder = _expanded(name)
    if variant is None and not _is_folder(folder) and ":" in name:
        name, _, variant = name.rpartition(":")
        folder = _expanded(name)
    file = description_file(name)
    if file is None:
        if not _is_folder(folder):
            raise DataError(_no_such_dataset(name))
        return describe_folder(folder, variant), [below or folder]
    description = read_description(file, variant)
    if below is not None or isinstance(description.origin, Generated):
        return description, [below] if below else []
    variable = description.origin.root_env
    if variable and os.environ.get(variable):
        return description, [_expanded(os.environ[variable])]
    checkout = Path(__file__).resolve().parents[2]
    return description, [Path("data") / name, checkout / "data" / name]


def _mapped(dataset: Dataset, description: Description, goal: str, labels: LabelMap) -> Dataset:
    """The dataset in the classes of labels, which are those of the dataset that goal names."""
    if dataset.labels.names == labels.names:
        return dataset
    maps = description.maps.get(goal, {})
    table = table_of(dataset.labels, maps, labels, (description.name, goal, description.where))
    return Mapped(dataset, labels, table)


def _list(description: Description, origin: Files, place: Path, split: str) -> Listing:
    try:
        return list_split(place, origin, split)
    except DataError as fault:
        if not str(fault).startswith("no images found"):
            raise DataError(f"{description.name}, split {split}: {fault}") from None
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
