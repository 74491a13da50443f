"""The table of the classes, of the categories, and of the datasets of a mixture."""

from typing import Any

from effunet.evaluation.page import markup
from effunet.evaluation.page.markup import (
    between,
    cell,
    chip,
    count,
    number,
    percent,
    share_cell,
    text,
)
from effunet.evaluation.words import interval

COLUMNS = (
    ("accuracy", "accuracy", "recall: share of the class's true pixels that are found"),
    ("precision", "precision", "share of what is taken for the class that is right"),
    ("dice", "Dice", "2 x overlap / sum of both areas"),
    ("boundary_iou", "boundary IoU", "IoU of the bands along the class's boundaries"),
    ("boundary_f", "boundary F", "share of the outlines that meet within a distance"),
)
"""Key, head and meaning of the shares that stand behind the IoU."""

HEADS = (
    ("class", "in the order of the label map"),
    ("IoU", "TP / (TP + FP + FN), pixels summed over all images; the whisker is its interval"),
    *((head, meaning) for _, head, meaning in COLUMNS),
    ("pixels", "true pixels of the class"),
    ("share", "of all true pixels that were counted"),
    ("images", "in how many images the class occurs"),
)

MEANS = {"accuracy": "mean_accuracy", "dice": "mean_dice"}
"""Where the foot of a column has its mean, if not under the column's own key."""


def class_table(facts: dict[str, Any]) -> str:
    """A line a class, and the means in the foot; all shares in percent."""
    whole = sum(entry["pixels"] for entry in facts["classes"])
    rows = [_row(entry, whole) for entry in facts["classes"]]
    caption = "Every class; shares in percent, n/a where a class does not occur"
    means = "".join(_mean(facts, MEANS.get(key, key)) for key, _, _ in COLUMNS)
    foot = (
        f'<th scope="row">mean, sum</th>{_iou(facts.get("miou"), interval(facts, "miou"))}{means}'
        f"{cell(whole, count(whole))}{share_cell(1.0 if whole else None)}"
        f"{cell(facts['images'], count(facts['images']))}"
    )
    return markup.table("classes sortable", caption, HEADS, rows, foot)


def category_tables(facts: dict[str, Any]) -> str:
    """Categories and instance-weighted IoUs, where they were measured."""
    categories, weighted = facts.get("categories"), facts.get("iiou")
    tables: list[str] = []
    if categories:
        rows = [
            f"{_name(entry['name'])}{_iou(entry['iou'], None)}"
            f"{cell(entry['pixels'], count(entry['pixels']))}"
            for entry in categories["classes"]
        ]
        foot = f'<th scope="row">mean</th>{_iou(categories["miou"], None)}<td></td>'
        heads = (
            ("category", ""),
            ("IoU", "of the classes of the category taken as one"),
            ("pixels", ""),
        )
        tables.append(
            markup.table("categories sortable", "IoU of each category, percent", heads, rows, foot)
        )
    for key, mean, title in (
        ("classes", "mean", "Instance-weighted IoU of each class, percent"),
        ("categories", "category_mean", "Instance-weighted IoU of each category, percent"),
    ):
        entries = (weighted or {}).get(key) or []
        rows = [f"{_name(entry['name'])}{_iou(entry['iiou'], None)}" for entry in entries]
        if rows and weighted:
            foot = f'<th scope="row">mean</th>{_iou(weighted.get(mean), None)}'
            heads = (("name", ""), ("iIoU", "each object counts alike, whatever its size"))
            tables.append(markup.table("iiou sortable", title, heads, rows, foot))
    return f'<div class="beside">{"".join(tables)}</div>' if tables else ""


def parts_table(facts: dict[str, Any]) -> str:
    """The datasets of a mixture: a line each, then the classes of each."""
    parts = facts.get("parts") or []
    if not parts:
        return ""
    heads = (
        ("dataset", ""),
        ("mIoU", "over the classes that the dataset's truth can hold"),
        ("interval", ""),
        ("classes", "over how many the mean runs"),
        ("pixel accuracy", ""),
        ("images", ""),
        ("pixels", ""),
    )
    rows = [
        f"{_name(part['dataset'])}{_iou(part.get('miou'), interval(part, 'miou'))}"
        f'<td class="num">{between(interval(part, "miou"))}</td>'
        f"{cell(part.get('counted'), count(part.get('counted')))}"
        f"{share_cell(part.get('pixel_accuracy'))}"
        f"{cell(part['images'], count(part['images']))}"
        f"{cell(part.get('pixels'), count(part.get('pixels')))}"
        for part in parts
    ]
    more = "".join(
        f"<details><summary>{text(part['dataset'])}: mIoU {percent(part.get('miou'))}, its classes"
        f"</summary>{class_table(part)}</details>"
        for part in parts
    )
    return markup.table("parts sortable", "Each dataset alone, percent", heads, rows) + more


def _row(entry: dict[str, Any], whole: int) -> str:
    color = entry.get("color")
    shares = "".join(share_cell(entry.get(key)) for key, _, _ in COLUMNS)
    pixels = entry["pixels"]
    share = pixels / whole if whole else None
    rare = cell(share, "<0.1" if share is not None and 0 < share < 0.001 else number(share))
    images = cell(entry.get("images"), count(entry.get("images")))
    return (
        f"{_name(entry['name'], chip(color) if color else '')}"
        f"{_iou(entry.get('iou'), entry.get('interval'))}{shares}"
        f"{cell(pixels, count(pixels), title=_predicted(entry))}{rare}{images}"
    )


def _mean(facts: dict[str, Any], key: str) -> str:
    return share_cell(facts[key]) if key in facts else "<td></td>"


def _predicted(entry: dict[str, Any]) -> str:
    predicted = entry.get("predicted")
    return "" if predicted is None else f"{count(predicted)} pixels are taken for it"


def _name(name: str, before: str = "") -> str:
    return f'<th scope="row" data-name="{text(name)}">{before}{text(name)}</th>'


def _iou(iou: float | None, sure: markup.Pair) -> str:
    if iou is None:
        return cell(None, "")
    title = f"interval {between(sure)}" if sure is not None else ""
    return cell(iou, number(iou), before=markup.bar(iou, sure), title=title)
