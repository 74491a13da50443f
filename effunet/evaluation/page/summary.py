"""The top of a page: the number, how sure it is, what stands out, and all other numbers."""

from typing import Any

from effunet.evaluation.page import markup
from effunet.evaluation.page.markup import between, count, many, percent, text
from effunet.evaluation.words import SCORES, SOURCES, interval, value

SURE_NEAR = 2
"""Pixels from a boundary within which errors are called errors of the outline."""


def headline(facts: dict[str, Any]) -> str:
    """The sentence of the page: the dataset mIoU, on what, how sure and how it was measured."""
    sure = interval(facts, "miou")
    spread = facts.get("intervals") or {}
    classes = many(len(facts["classes"]), "class", "classes")
    images = many(facts["images"], "image")
    said = [f"Mean over {facts.get('counted', 0)} of {classes}, pixels summed over {images}"]
    if sure is not None:
        level = f"{100 * spread['level']:g}"
        said.append(
            f"{level} % interval {between(sure)}, from {count(spread['resamples'])} bootstrap "
            "samples of the images"
        )
    if facts.get("how"):
        said.append(f"Measured on {facts['how']}")
    lead = ". ".join(part for part in said if part)
    strip = ""
    if facts.get("miou") is not None:
        strip = markup.dot(facts["miou"], sure)
        strip = f'<div class="headline-strip">{strip}<span>0</span><span>100 %</span></div>'
    return (
        f'<header><p class="eyebrow">{text(_where(facts))}</p>'
        f'<h1><span class="figure">{percent(facts.get("miou"))}</span> mIoU on the '
        f"{text(facts['split'])} split of {text(facts['dataset'])}</h1>"
        f"{strip}<p>{text(lead)}.</p>{_missing(facts)}</header>"
    )


def findings(facts: dict[str, Any]) -> str:
    """What stands out, in a few sentences that the other blocks prove."""
    lines = [_extremes(facts), _confusion(facts), _outlines(facts), _confidence(facts)]
    items = "".join(f"<li>{line}</li>" for line in lines if line)
    return f'<ul class="findings">{items}</ul>' if items else ""


def numbers(facts: dict[str, Any]) -> str:
    """All numbers but the first, each under its full name, with their intervals and formulas."""
    cells: list[str] = []
    for score in SCORES[1:]:
        found = value(facts, score.key)
        if found is None:
            continue
        sure = interval(facts, score.key)
        name, line = text(score.name), text(score.line + _distance(facts, score.key))
        cells.append(
            f'<div class="number" title="{line}"><dt>{name}</dt>'
            f'<dd><b data-key="{score.key}" data-value="{found}">{percent(found)}</b>'
            f'<span class="quiet">{between(sure)}</span>{markup.dot(found, sure)}'
            f'<p class="quiet">{line}</p></dd></div>'
        )
    if not cells:
        return ""
    return f'<dl class="numbers">{"".join(cells)}</dl>{_meanings(facts)}'


def measured(facts: dict[str, Any]) -> str:
    """How it was measured: all that another person needs to measure it again."""
    spread, calibration = facts.get("intervals"), facts.get("calibration") or {}
    temperature, threshold = calibration.get("temperature"), calibration.get("threshold")
    share = facts.get("boundary_distances") or {}
    rows = {
        "model": facts.get("model"),
        "parameters": facts.get("parameters") and count(facts["parameters"]),
        "data": f"{facts['dataset']}, split {facts['split']}",
        "images": count(facts["images"]),
        "counted pixels": count(facts.get("pixels")),
        "prediction": facts.get("how"),
        "intervals": spread
        and f"{100 * spread['level']:g} % percentile bootstrap over images, "
        f"{count(spread['resamples'])} samples, seed {spread.get('seed', 0)}",
        "boundary distances": share
        and f"boundary IoU {percent(share['iou'], 2)}, boundary F {percent(share['f'], 2)} of the "
        "image's diagonal",
        "temperature": temperature and f"{temperature:.4g}, by which the logits are divided",
        "threshold": threshold is not None and f"{threshold:.4g} on the second class",
        "measured by": facts.get("library"),
    }
    items = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(said)}</dd></div>"
        for name, said in rows.items()
        if said
    )
    return f'<dl class="facts">{items}</dl>'


def unreadable(facts: dict[str, Any]) -> str:
    """The images that no number knows of, and why."""
    entries = facts.get("unreadable") or []
    rows = [
        f'<th scope="row">{text(entry["name"])}</th><td>{text(entry["why"])}</td>'
        for entry in entries
    ]
    heads = (("image", ""), ("why", ""))
    return markup.table("plain", "No number of this page counts them", heads, rows) if rows else ""


def _where(facts: dict[str, Any]) -> str:
    return " \N{MIDDLE DOT} ".join(
        str(part) for part in ("evaluation", facts.get("model"), facts.get("library")) if part
    )


def _missing(facts: dict[str, Any]) -> str:
    """A warning where images are missing: the numbers are of the others alone."""
    lost = len(facts.get("unreadable") or [])
    if not lost:
        return ""
    what = f"{many(lost, 'image')} could not be read; the numbers are those of the others."
    return f'<p class="warning">{text(what)} <a href="#unreadable">Which and why</a></p>'


def _extremes(facts: dict[str, Any]) -> str:
    scored = [entry for entry in facts["classes"] if entry.get("iou") is not None]
    if len(scored) < 3:
        return ""
    ranked = sorted(scored, key=lambda entry: entry["iou"])
    low, next_low, high = (
        f"<b>{text(e['name'])}</b> ({percent(e['iou'])})" for e in (*ranked[:2], ranked[-1])
    )
    ties = sum(entry["iou"] <= ranked[1]["iou"] for entry in ranked) > 2
    among = "Among the weakest" if ties else "Weakest"
    return f"{among} classes by IoU: {low} and {next_low}; strongest: {high}."


def _confusion(facts: dict[str, Any]) -> str:
    pairs = (facts.get("errors") or {}).get("confused") or []
    if not pairs:
        return ""
    pair = pairs[0]
    return (
        f"Most confused: <b>{text(pair['truth'])}</b> taken for <b>{text(pair['predicted'])}</b>, "
        f"{percent(pair['share'])} of its pixels."
    )


def _outlines(facts: dict[str, Any]) -> str:
    bands = (facts.get("errors") or {}).get("distances") or []
    wrong = sum(band["wrong"] for band in bands)
    near = [b for b in bands if b["high"] is not None and b["high"] <= SURE_NEAR]
    if not wrong or not near:
        return ""
    share = sum(band["wrong"] for band in near) / wrong
    pixels = sum(band["pixels"] for band in near) / sum(band["pixels"] for band in bands)
    return (
        f"<b>{percent(share)}</b> of the wrong pixels lie within {near[-1]['high']:g} pixels of a "
        f"boundary, where {percent(pixels)} of all pixels are."
    )


def _confidence(facts: dict[str, Any]) -> str:
    bins = [b for b in (facts.get("calibration") or {}).get("bins") or [] if b["pixels"]]
    pixels = sum(entry["pixels"] for entry in bins)
    if not pixels:
        return ""
    said, right = (
        sum(entry["pixels"] * entry[key] for entry in bins) / pixels
        for key in ("confidence", "accuracy")
    )
    word = "over-confident" if said > right else "under-confident"
    return (
        f"On average the network is {percent(said)} sure and {percent(right)} right: "
        f"<b>{word}</b> by {100 * abs(said - right):.1f} points."
    )


def _distance(facts: dict[str, Any], key: str) -> str:
    """The distance within which a boundary score looks: it means nothing without."""
    shares = facts.get("boundary_distances") or {}
    share = shares.get(key.removeprefix("boundary_"))
    if not key.startswith("boundary_") or share is None:
        return ""
    return f"; distance: {percent(share, 2)} of the image's diagonal"


def _meanings(facts: dict[str, Any]) -> str:
    shown = [score for score in SCORES if value(facts, score.key) is not None]
    entries = "".join(f"<dt>{text(s.name)}</dt><dd>{text(s.formula)}</dd>" for s in shown)
    sources = "".join(f"<li>{text(source)}</li>" for source in SOURCES)
    return (
        "<details><summary>What these numbers mean</summary>"
        "<p>TP: pixels of a class that are found (true positives); FP: pixels that are wrongly "
        "taken for it; FN: pixels of it that are missed. Pixels whose truth is unknown count "
        f"nowhere.</p><dl>{entries}</dl><ul>{sources}</ul></details>"
    )
