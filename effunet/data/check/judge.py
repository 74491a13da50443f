"""A split's Survey -> findings: what values, classes and sizes say, and the line that mends it."""

from collections.abc import Iterator

import numpy as np

from effunet.data.check.findings import Finding
from effunet.data.check.survey import Survey
from effunet.data.dataset import Dataset
from effunet.data.sources.folder import FileDataset
from effunet.data.sources.huggingface import TableDataset
from effunet.data.sources.listing import shorten
from effunet.labels import IGNORE, LabelMap
from effunet.values import show_value

MANY = 20
"""More unknown values than this are no forgotten classes: something has mixed the values."""

SHARE_MIXED = 0.1
"""Nor are values of which there are more than classes, on fewer of the pixels than this."""


Readable = FileDataset | TableDataset
"""What can be at fault: all that is read and not made."""


def where_of(dataset: Readable) -> str:
    """The file that describes it."""
    return dataset.where if isinstance(dataset, TableDataset) else dataset.description.where


def image_name(dataset: Dataset, index: int) -> str:
    """What a message calls an image: its file, or its place in a table."""
    return str(dataset.image_path(index) or f"{dataset.split}, row {dataset.ids[index]}")


def judge(
    dataset: Readable, survey: Survey, crop: tuple[int, int] | None = None
) -> Iterator[Finding]:
    """What a split's files have shown; crop is the training's, (height, width) in pixels."""
    if survey.read_images < survey.pairs:
        read = (
            f"{survey.pairs} pairs by their headers, {survey.read_masks} masks and "
            f"{survey.read_images} images whole"
        )
        if isinstance(dataset, TableDataset):
            read = f"{survey.read_images} of {survey.pairs} rows"
        yield Finding(
            "sampled",
            f"{_title(dataset)}: {read} were checked",
            "dataset.check=all reads everything, as `effunet data check` does",
            "note",
            dataset.split,
        )
    yield from survey.faults
    if survey.more_faults:
        what = f"{_title(dataset)}: {survey.more_faults} more files are at fault"
        yield Finding("unreadable", what, "mend those above first", split=dataset.split)
    if survey.unknown:
        yield _unknown(dataset, survey)
    if not survey.unknown or dataset.labels.rest != "error":
        yield from _classes(dataset, survey)
    yield from _void_class(dataset, survey)
    if crop is not None:
        yield from _too_small(dataset, survey, crop)


def _unknown(dataset: Readable, survey: Survey) -> Finding:
    values = sorted(survey.unknown, key=lambda value: -survey.unknown[value].pixels)
    counts = [(value, survey.unknown[value]) for value in values[:10]]
    unit = "shapes" if _is_drawn(dataset) else "px"
    told = ", ".join(
        f"{show_value(value)} ({entry.pixels} {unit}{_in_masks(entry.masks)})"
        for value, entry in counts
    )
    more = len(values) - len(counts)
    told += f" and {more} more values" if more else ""
    told += ", and still others" if survey.more_unknown else ""
    index = min(entry.first for entry in survey.unknown.values())
    first = dataset.mask_path(index) or f"{_title(dataset)}, row {dataset.ids[index]}"
    masks = survey.unknown_masks
    others = f"; {masks - 1} more mask{'s' if masks > 2 else ''} hold such values"
    rest, where = dataset.labels.rest, where_of(dataset)
    what = f"{first}: the mask holds {told}, which the label map in {where} does not know"
    what += others if masks > 1 else ""
    if rest != "error":
        mend = f"by `rest: {rest}` they are {'ignored' if rest == 'ignore' else 'the nearest one'}"
        return Finding("unlisted_values", what, mend, "note", dataset.split)
    return Finding("unknown_values", what, _mend_unknown(dataset, survey), split=dataset.split)


def _mend_unknown(dataset: Readable, survey: Survey) -> str:
    labels, where = dataset.labels, where_of(dataset)
    count, values = len(labels), list(survey.unknown)
    unknown = sum(entry.pixels for entry in survey.unknown.values())
    share = unknown / max(1, int(survey.pixels.sum()) + survey.ignored)
    occurring = np.count_nonzero(survey.pixels)
    if values == [255] and count == 2 and not survey.pixels[1]:
        on = labels.names[1]
        return f"255 is the foreground here: write `values: [255]` for {on} in {where}"
    if values == [count] and _counts_from_zero(labels):
        shifted = _shifted(labels)
        if not survey.pixels[0]:
            return f"the masks count from 1, {where} from 0: write {shifted}"
        return (
            f"the masks hold 0 to {count} for {count} classes: where 0 means unlabelled, write "
            f"`ignore: [0]` and {shifted}; else describe the class {count} in {where}"
        )
    mixed = len(values) > MANY or (len(values) > max(3, occurring) and share < SHARE_MIXED)
    if mixed and not _is_drawn(dataset):
        return (
            f"{len(values)} such values look like masks resized with interpolation or saved with "
            f"losses: make them again with nearest neighbour and PNG, or write `rest: nearest` in "
            f"{where} to take each for the nearest that is listed"
        )
    in_order = sorted(values, key=lambda value: (type(value).__name__, value))
    line = ", ".join(map(show_value, in_order[: 2 * MANY]))
    line += ", ..." if len(in_order) > 2 * MANY else ""
    return f"list each under the `values` of its class, or write `ignore: [{line}]`, in {where}"


def _classes(dataset: Readable, survey: Survey) -> Iterator[Finding]:
    """What is wrong with classes that do not occur."""
    if not survey.read_masks or not int(survey.pixels.sum()) + survey.ignored:
        return
    labels, where, split = dataset.labels, where_of(dataset), dataset.split
    masks = f"{survey.read_masks} mask{'s' if survey.read_masks > 1 else ''}"
    title = f"{_title(dataset)}: in {'all' if survey.whole and masks[-1] == 's' else 'the'} {masks}"
    seen = np.flatnonzero(survey.pixels)
    if not len(seen):
        what = f"{title} read every pixel is ignored, so nothing can be counted"
        mend = f"check `values` and `ignore` in {where}"
        yield Finding("all_ignored", what, mend, split=split)
        return
    absent = [name for i, name in enumerate(labels.names) if not survey.pixels[i]]
    if not absent:
        return
    what = f"{title} read there is no pixel of {shorten(absent)} ({survey.ignored} px are ignored)"
    if survey.whole and len(seen) == 1 and survey.ignored:
        # Nothing but background beside ignored pixels: most often 255 was meant as the foreground.
        mend = f"take the value of {absent[0]} out of `ignore` in {where}"
        if 255 in labels.ignore:
            mend = (
                f"where 255 is {absent[0]}, write `values: [255]` for it in {where} and take 255 "
                "out of `ignore`"
            )
        yield Finding("foreground_ignored", what, mend, split=split)
        return
    shifted = survey.whole and absent == [labels.names[0]] and len(labels) > 2
    if shifted and _counts_from_zero(labels):
        mend = f"where the masks count from 1, write {_shifted(labels)} in {where}"
        yield Finding("shifted_values", what, mend, "warning", split)
        return
    mend = f"add images of what is absent, or take it out of `classes` in {where}"
    if split in ("val", "test"):
        mend = "the IoU of an absent class is n/a, and the mean is over the others"
    yield Finding("absent_class", what, mend, "warning", split)


def _void_class(dataset: Readable, survey: Survey) -> Iterator[Finding]:
    labels = dataset.labels
    if len(labels) <= 2:  # black and white
        return
    for index, label in enumerate(labels.classes):
        if IGNORE in label.values and survey.pixels[index]:
            yield Finding(
                "void_class",
                f"{_title(dataset)}: {label.name} is learnt and scored, though its value 255 most "
                "often means that there is no truth",
                f"if it does here, write `ignore: [255]` in {where_of(dataset)} and leave "
                f"{label.name} out",
                "warning",
                dataset.split,
            )


def _too_small(dataset: Readable, survey: Survey, crop: tuple[int, int]) -> Iterator[Finding]:
    known = (survey.sizes > 0).all(axis=1)
    small = np.flatnonzero(known & (survey.sizes < np.array(crop)).any(axis=1))
    if not len(small):
        return
    height, width = survey.sizes[small].min(axis=0)
    fits = [
        max(32, min(wanted, int(least)) // 32 * 32)
        for wanted, least in zip(crop, (height, width), strict=True)
    ]
    yield Finding(
        "small_images",
        f"{_title(dataset)}: {len(small)} of {survey.pairs} images are smaller than the crop of "
        f"{crop[0]} x {crop[1]} (height x width), down to {height} x {width}; the first is "
        f"{image_name(dataset, int(small[0]))}",
        f"use dataset.crop=[{fits[0]},{fits[1]}], or bear with a grey, uncounted margin",
        "warning",
        dataset.split,
    )


def _counts_from_zero(labels: LabelMap) -> bool:
    """Whether the raw values are the class indices themselves."""
    return all(label.values == (index,) for index, label in enumerate(labels.classes))


def _shifted(labels: LabelMap) -> str:
    first, last = labels.names[0], labels.names[-1]
    return f"`values: [1]` for {first} and so on up to `values: [{len(labels)}]` for {last}"


def _is_drawn(dataset: Readable) -> bool:
    """Whether its masks are drawn from annotations, whose labels are counted and not pixels."""
    return isinstance(dataset, FileDataset) and dataset.listing.truth is not None


def _in_masks(masks: int) -> str:
    return f" in {masks} masks" if masks > 1 else ""


def _title(dataset: Readable) -> str:
    return f"{dataset.name}, split {dataset.split}"
