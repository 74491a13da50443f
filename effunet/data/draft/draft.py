"""A folder of images and their truth -> the text of its first dataset.yaml, and lines to tell."""

from collections.abc import Sequence
from pathlib import Path

from effunet.data.draft.annotations import Annotated, entries_of, find_annotations
from effunet.data.draft.channels import read_channels
from effunet.data.draft.known import known_as
from effunet.data.draft.layouts import Match, best_match, describe_rest, find_lists
from effunet.data.draft.names import find_names
from effunet.data.draft.series import Leaf, Place, Series, find_leaves, find_series
from effunet.data.draft.values import Progress, classes_of, read_values
from effunet.data.draft.writing import Draft, text_of
from effunet.data.sources.listing import several, shorten
from effunet.errors import DataError

GROUPS = 10
"""Folders of images at least, of which whole ones are dealt to the splits."""


def draft_folder(folder: Path, progress: Progress | None = None) -> tuple[str, list[str]]:
    """Look through the folder; nothing in it is changed.

    Raises:
        DataError: no images and truth that pair, or masks whose values are no classes.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}: give the folder of the images and masks")
    leaves = find_leaves(folder)
    series = find_series(leaves)
    match = best_match(series)
    if match is not None:
        return _of_masks(folder, match, leaves, progress)
    annotated = find_annotations(folder, series)
    if annotated is None:
        raise DataError(_nothing(folder, series))
    return _of_annotations(folder, annotated, series)


def _of_masks(
    folder: Path, match: Match, leaves: Sequence[Leaf], progress: Progress | None
) -> tuple[str, list[str]]:
    found = read_values([mask for _, _, mask in match.pairs], progress)
    names, named_by = find_names(folder, found.values)
    classes, ignore = classes_of(found, names)
    splits, images, masks = _settled(match.splits, match.images.pattern, match.masks.pattern)
    lists = None if splits else find_lists(folder, [place.core for place, _, _ in match.pairs])
    channels, value_range = read_channels([image for _, image, _ in match.pairs])
    folders = [place.stars[0] for place, _, _ in match.pairs if place.stars]
    grouped = len(set(folders)) >= GROUPS
    draft = Draft(
        name=_name(folder),
        layout={"images": images, "masks": masks},
        splits=splits,
        lists=lists,
        names=folders if grouped else [_key(place) for place, _, _ in match.pairs],
        grouped=grouped,
        classes=classes,
        ignore=ignore,
        channels=channels,
        value_range=value_range,
        counted=f"the values of {found.read} of {found.masks} masks",
        named_by=named_by,
    )
    told = [f"{len(match.pairs)} pairs: {images} and {masks}"]
    if known := known_as(folder, found.values):
        told.append(f"this is laid out as {known}, which is described: dataset={known} reads it")
    if match.alone:
        told.append(f"{match.alone} files of these have no partner: effunet data check lists them")
    rest = describe_rest(leaves, match, folder)
    if rest:
        where = [f"{place} ({count})" for place, count in rest.items()]
        told.append(f"left aside: {shorten(where, 5)}")
    return text_of(draft), told


def _of_annotations(
    folder: Path, annotated: Annotated, series: Sequence[Series]
) -> tuple[str, list[str]]:
    splits, images, shapes = _settled(annotated.splits, annotated.images, annotated.shapes)
    seen = next(one for one in series if one.pattern == annotated.images)
    channels, value_range = read_channels(list(seen.files.values()))
    draft = Draft(
        name=_name(folder),
        layout={"images": images, "shapes": shapes, "format": annotated.format},
        splits=splits,
        names=annotated.names,
        classes=entries_of(annotated.labels),
        channels=channels,
        value_range=value_range,
        counted=f"the labels of {annotated.read} annotation files ({annotated.format})",
    )
    images = several(len(annotated.names), "image")
    return text_of(draft), [f"{images} with annotations of {annotated.format}: {shapes}"]


def _settled(splits: dict[str, str], *patterns: str) -> tuple[dict[str, str] | None, str, str]:
    """The splits and the patterns; where all is one split, its word stays in the patterns."""
    images, truth = patterns
    if len(splits) > 1:
        return splits, images, truth
    word = next(iter(splits.values()), "")
    return None, images.replace("{split}", word), truth.replace("{split}", word)


def _key(place: Place) -> str:
    return "/".join((*place.stars, place.core))


def _name(folder: Path) -> str:
    return folder.resolve().name or "folder"


def _nothing(folder: Path, series: Sequence[Series]) -> str:
    """What there is, where no two of it belong together."""
    seen = [f"{one.pattern} ({len(one.files)}, {one.role})" for one in series if not one.ending]
    there = f"there is {shorten(seen, 5)}" if seen else "there is no image in it"
    return (
        f"{folder}: no images and masks of the same names, and no annotations that we know; "
        f"{there}. Give both the same names in two folders such as images and masks, or write "
        "dataset.yaml by hand (docs/data_check.md)"
    )
