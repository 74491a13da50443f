"""Several models side by side: their numbers, paired differences, and the spread over seeds."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from effunet.evaluation.page import markup
from effunet.evaluation.page.markup import (
    between,
    cell,
    chip,
    count,
    number,
    percent,
    points,
    share_cell,
    text,
)
from effunet.evaluation.words import SCORES, SMALLER_IS_BETTER, Score, interval, value


def headline(facts: dict[str, Any]) -> str:
    """The sentence of the page: which is best by dataset mIoU, and whether that is sure."""
    models = facts["models"]
    first = models[0]
    where = f"{first['split']} split of {first['dataset']}"
    scored = [model for model in models if model.get("miou") is not None]
    if not scored:
        told = f"{len(models)} models on the {where}"
        return f'<header><p class="eyebrow">comparison</p><h1>{text(told)}</h1></header>'
    best = max(scored, key=lambda model: model["miou"])
    equals = sum(model["miou"] == best["miou"] for model in scored) - 1
    also = f" and {equals} more have" if equals else " has"
    lines = [_verdict(entry) for entry in facts.get("differences") or [] if entry.get("miou")]
    items = "".join(f"<li>{line}</li>" for line in lines)
    return (
        f'<header><p class="eyebrow">comparison of {len(models)} models</p>'
        f'<h1><span class="figure">{text(best["name"])}</span>{also} the highest mIoU on the '
        f"{text(where)}: {percent(best['miou'])}</h1></header>"
        f'<ul class="findings">{items}</ul>'
    )


def models(facts: dict[str, Any]) -> str:
    """A line a number, a column a model; each value with its interval below."""
    heads = [
        ("number", ""),
        *((model["name"], model.get("model") or "") for model in facts["models"]),
    ]
    rows = [
        f'<th scope="row" data-name="{text(score.name)}" title="{text(score.line)}">'
        f"{text(score.name)}</th>" + "".join(_number(model, score) for model in facts["models"])
        for score in SCORES
        if any(value(model, score.key) is not None for model in facts["models"])
    ]
    return markup.table("models", "Every number, percent", heads, rows)


def differences(facts: dict[str, Any]) -> str:
    """For each other model a table: every number's difference to the first, with its interval."""
    tables: list[str] = []
    for entry in facts.get("differences") or []:
        found = [(score, entry[score.key]) for score in SCORES if _known(entry.get(score.key))]
        reach = _reach(pair for _, pair in found)
        rows = [
            f'<th scope="row">{text(score.name)}</th>{_difference(pair, reach)}'
            f"<td>{_word(pair, score.key)}</td>"
            for score, pair in found
        ]
        heads = (
            ("number", ""),
            ("difference, points", "of percent; the line in the middle is no difference"),
            ("", ""),
        )
        caption = f"{entry['name']} minus {entry['to']}"
        if rows:
            tables.append(markup.table("differences", caption, heads, rows))
    return f'<div class="beside">{"".join(tables)}</div>' if tables else ""


def class_table(facts: dict[str, Any]) -> str:
    """A line a class: the IoU by each model, and each difference to the first."""
    models, others = facts["models"], facts.get("differences") or []
    heads = [
        ("class", ""),
        *((model["name"], "IoU, percent") for model in models),
        *((f"{o['name']} - {o['to']}", "difference of the IoUs, points") for o in others),
    ]
    reach = _reach(entry for other in others for entry in other.get("classes") or [])
    rows: list[str] = []
    for index, entry in enumerate(models[0]["classes"]):
        color = entry.get("color")
        name = f"{chip(color) if color else ''}{text(entry['name'])}"
        ious = "".join(share_cell(model["classes"][index].get("iou")) for model in models)
        changes = "".join(
            _difference(other["classes"][index], reach) for other in others if other.get("classes")
        )
        rows.append(f'<th scope="row" data-name="{text(entry["name"])}">{name}</th>{ious}{changes}')
    return markup.table("compared sortable", "IoU of each class", heads, rows)


def seeds(facts: dict[str, Any]) -> str:
    """What changes with the seed of a training alone: mean, deviation, and each run's value."""
    tables: list[str] = []
    for entry in facts.get("seeds") or []:
        rows = [
            f'<th scope="row">{text(score.name)}</th>{share_cell(spread["mean"])}'
            + cell(spread["std"], number(spread["std"], 2))
            + f'<td class="num">{", ".join(number(run) for run in spread["values"])}</td>'
            for score in SCORES
            if (spread := entry.get(score.key))
        ]
        heads = (
            ("number", ""),
            ("mean, %", ""),
            ("standard deviation, points", "over the seeds, with n - 1"),
            ("each run, %", ", ".join(entry["runs"])),
        )
        caption = f"one config: {', '.join(entry['runs'])}"
        tables.append(markup.table("seeds", caption, heads, rows))
    return "".join(tables)


def measured(facts: dict[str, Any]) -> str:
    """What each model is, and on what and how it was measured."""
    heads = (
        ("model", ""),
        ("file", ""),
        ("parameters", ""),
        ("images", ""),
        ("how", ""),
        ("by", ""),
    )
    rows = [
        f'<th scope="row">{_named(model)}</th><td>{text(model.get("model") or "")}</td>'
        f"{cell(model.get('parameters'), count(model.get('parameters')))}"
        f"{cell(model['images'], count(model['images']))}"
        f"<td>{text(model.get('how') or '')}</td><td>{text(model.get('library') or '')}</td>"
        for model in facts["models"]
    ]
    return markup.table("plain", "Models and measurements", heads, rows)


def _named(model: dict[str, Any]) -> str:
    """The name, which leads to the model's own page where one lies beside this one."""
    if not model.get("page"):
        return text(model["name"])
    return f'<a href="{text(quote(model["page"]))}">{text(model["name"])}</a>'


def _number(model: dict[str, Any], score: Score) -> str:
    found, sure = value(model, score.key), interval(model, score.key)
    below = f'<span class="quiet">{between(sure)}</span>' if sure is not None else ""
    return cell(found, number(found), behind=below)


def _verdict(entry: dict[str, Any]) -> str:
    """What a difference of the mIoU says, in words."""
    pair = entry["miou"]
    change, sure = pair["difference"], pair["interval"]
    name, first = f"<b>{text(entry['name'])}</b>", text(entry["to"])
    if change is None:
        return f"{name} and {first} cannot be compared."
    if change == 0:
        return f"{name} has the same mIoU as {first}."
    where = "above" if change > 0 else "below"
    side = f"{name} is {100 * abs(change):.1f} points of mIoU {where} {first}"
    if sure is None:
        return f"{side}; how sure that is was not measured."
    spread = f"interval {points(sure[0])} to {points(sure[1])}"
    if sure[0] <= 0 <= sure[1]:
        return f"{side}, which these images cannot tell from no difference ({spread})."
    return f"{side}, and the images agree ({spread})."


def _difference(pair: dict[str, Any], reach: float) -> str:
    change, sure = pair["difference"], pair["interval"]
    if change is None:
        return cell(None, "")
    title = "" if sure is None else f"interval {points(sure[0])} to {points(sure[1])}"
    drawn = markup.dot(change, sure, -reach, reach)
    return cell(change, points(change), before=drawn, title=title)


def _word(pair: dict[str, Any], key: str) -> str:
    sure: Sequence[float] | None = pair["interval"]
    if sure is None:
        return ""
    if sure[0] <= 0 <= sure[1]:
        return "unsure"
    return "worse" if (sure[0] > 0) == (key in SMALLER_IS_BETTER) else "better"


def _known(pair: dict[str, Any] | None) -> bool:
    return pair is not None and pair["difference"] is not None


def _reach(pairs: Iterator[dict[str, Any]]) -> float:
    """The largest distance from zero that is drawn."""
    ends = [
        abs(end)
        for pair in pairs
        if pair["difference"] is not None
        for end in (pair["difference"], *(pair["interval"] or ()))
    ]
    return max(ends, default=0.0) or 1.0
