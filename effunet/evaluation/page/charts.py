"""Charts of calibration and of where errors lie."""

import math
from collections.abc import Sequence
from typing import Any

from effunet.evaluation.page import markup
from effunet.evaluation.page.markup import cell, count, number, percent, share_cell, text

PLOT, LEFT, TOP, FOOT = 260, 44, 10, 84
"""Side of the reliability plot, its margins, and the height below; units of the drawing."""


def reliability(facts: dict[str, Any]) -> str:
    """Accuracy over confidence, bin by bin, and how many pixels each bin has below."""
    calibration = facts.get("calibration") or {}
    bins = [entry for entry in calibration.get("bins") or [] if entry["pixels"]]
    if not bins:
        return ""
    whole = sum(entry["pixels"] for entry in bins)
    largest = max(entry["pixels"] for entry in bins) / whole
    parts = [_axes()]
    points: list[str] = []
    for entry in bins:
        share = entry["pixels"] / whole
        x, y = _x(entry["confidence"]), _y(entry["accuracy"])
        said = text(
            f"confidence {number(entry['low'])} to {percent(entry['high'])}: "
            f"{percent(entry['confidence'])} sure, {percent(entry['accuracy'])} right, "
            f"{count(entry['pixels'])} pixels ({percent(share)})"
        )
        # The area of a dot is its share of the pixels: a far dot of few pixels matters little.
        radius = 2.5 + 7 * math.sqrt(share / largest)
        gap = f'<path class="gap" d="M{x:.1f} {y:.1f}V{_y(entry["confidence"]):.1f}"/>'
        points.append(f"{x:.1f},{y:.1f}")
        parts.append(
            f'{gap}<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
            f"<title>{said}</title></circle>"
        )
        left, right, high = _x(entry["low"]), _x(entry["high"]), 40 * share / largest
        parts.append(
            f'<rect class="column" x="{left + 0.5:.1f}" y="{TOP + PLOT + 64 - high:.1f}" '
            f'width="{max(right - left - 1, 1):.1f}" height="{max(high, 0.5):.1f}">'
            f"<title>{said}</title></rect>"
        )
    parts.insert(1, f'<polyline class="curve" points="{" ".join(points)}"/>')
    parts.append(_words(calibration.get("ece")))
    width, height = LEFT + PLOT + 16, TOP + PLOT + FOOT
    return (
        f'<figure class="chart"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{text(_described(calibration, bins, whole))}">{"".join(parts)}</svg>'
        f"<figcaption>{text(_used(calibration))}</figcaption></figure>"
    )


def bins(facts: dict[str, Any]) -> str:
    """The bins of the reliability curve as a table."""
    entries = (facts.get("calibration") or {}).get("bins") or []
    whole = sum(entry["pixels"] for entry in entries)
    rows = [
        f'<th scope="row">{number(entry["low"], 0)} to {number(entry["high"], 0)}</th>'
        f"{share_cell(entry['confidence'])}{share_cell(entry['accuracy'])}"
        f"{share_cell(entry['pixels'] / whole, title=count(entry['pixels']) + ' pixels')}"
        for entry in entries
        if entry["pixels"]
    ]
    heads = (
        ("confidence", "from, to"),
        ("mean confidence", "of the pixels of the bin"),
        ("right", "share of the pixels of the bin that are right"),
        ("of all pixels", ""),
    )
    caption = "Pixels by the confidence of their prediction, percent"
    return markup.table("rates", caption, heads, rows) if rows else ""


def distances(facts: dict[str, Any]) -> str:
    """Share of wrong pixels by their distance to a boundary of the truth."""
    bands = (facts.get("errors") or {}).get("distances") or []
    names = [_span(band, "px") for band in bands]
    return _rates(
        "Errors by distance to the nearest boundary of the truth", "distance", names, bands
    )


def sizes(facts: dict[str, Any]) -> str:
    """Share of wrong pixels by the size of the true object that they belong to."""
    bands = (facts.get("errors") or {}).get("sizes") or []
    names = [_span(band, "px\N{SUPERSCRIPT TWO}") for band in bands]
    return _rates("Errors by the area of the true object", "area", names, bands)


def confused(facts: dict[str, Any]) -> str:
    """The pairs of classes that are most often taken for each other."""
    pairs = (facts.get("errors") or {}).get("confused") or []
    rows = [
        f'<th scope="row" data-name="{text(pair["truth"])}">{text(pair["truth"])}</th>'
        f'<td data-name="{text(pair["predicted"])}">{text(pair["predicted"])}</td>'
        f"{cell(pair['pixels'], count(pair['pixels']))}"
        + cell(pair["share"], number(pair["share"]), before=markup.bar(pair["share"], kind="wrong"))
        for pair in pairs
    ]
    heads = (
        ("true class", ""),
        ("taken for", ""),
        ("pixels", ""),
        ("share", "of the true class's pixels, percent"),
    )
    caption = "Most confused pairs; the share is of the true class's pixels, percent"
    return markup.table("pairs sortable", caption, heads, rows) if rows else ""


def _rates(caption: str, kind: str, names: Sequence[str], bands: Sequence[dict[str, Any]]) -> str:
    wrong, whole = (sum(band[key] for band in bands) for key in ("wrong", "pixels"))
    if not whole:
        return ""
    objects = all("objects" in band for band in bands)
    rows: list[str] = []
    for name, band in zip(names, bands, strict=True):
        rate = band["wrong"] / band["pixels"] if band["pixels"] else None
        drawn = "" if rate is None else markup.bar(rate, kind="wrong")
        rows.append(
            f'<th scope="row">{text(name)}</th>'
            + (cell(band["objects"], count(band["objects"])) if objects else "")
            + cell(rate, number(rate), before=drawn, title=f"{count(band['wrong'])} wrong pixels")
            + share_cell(band["wrong"] / wrong if wrong else None)
            + share_cell(band["pixels"] / whole, title=f"{count(band['pixels'])} pixels")
        )
    heads = [
        (kind, ""),
        *([("objects", "connected pieces of one class in the truth")] if objects else []),
        ("wrong", "share of these pixels that are wrong"),
        ("of all errors", "share of all wrong pixels that lie here"),
        ("of all pixels", "share of all counted pixels that lie here"),
    ]
    return markup.table("rates", f"{caption}, percent", heads, rows)


def _span(band: dict[str, Any], unit: str) -> str:
    low, high = band["low"], band["high"]
    if high is None:
        return f"over {low:,g} {unit}"
    return f"up to {high:,g} {unit}" if not low else f"{low:,g} to {high:,g} {unit}"


def _x(share: float) -> float:
    return LEFT + PLOT * share


def _y(share: float) -> float:
    return TOP + PLOT * (1 - share)


def _axes() -> str:
    """Frame, ticks, the diagonal of perfect calibration, and what stands on the axes."""
    parts = [
        f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{PLOT}" height="{PLOT}"/>',
        f'<path class="ideal" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>',
        f'<text x="{_x(0.5)}" y="{TOP + PLOT + 80}" text-anchor="middle">confidence, %; columns: '
        "share of the pixels</text>",
        f'<text transform="translate(11,{_y(0.5)}) rotate(-90)" text-anchor="middle">'
        "accuracy, %</text>",
    ]
    for tick in range(0, 101, 25):
        x, y = _x(tick / 100), _y(tick / 100)
        parts.append(
            f'<text class="soft" x="{x}" y="{TOP + PLOT + 14}" text-anchor="middle">{tick}</text>'
        )
        parts.append(
            f'<text class="soft" x="{LEFT - 5}" y="{y + 4}" text-anchor="end">{tick}</text>'
        )
        if 0 < tick < 100:
            parts.append(f'<path class="grid" d="M{LEFT} {y}h{PLOT}M{x} {TOP}v{PLOT}"/>')
    return "".join(parts)


def _words(ece: float | None) -> str:
    return (
        f'<text class="over" x="{_x(0.04)}" y="{_y(0.92)}">expected calibration error '
        f"{percent(ece)}</text>"
        f'<text class="over" x="{_x(0.97)}" y="{_y(0.05)}" text-anchor="end">over-confident</text>'
    )


def _described(calibration: dict[str, Any], bins: Sequence[dict[str, Any]], whole: int) -> str:
    said = "; ".join(
        f"{percent(entry['confidence'])} sure, {percent(entry['accuracy'])} right, "
        f"{percent(entry['pixels'] / whole)} of the pixels"
        for entry in bins
    )
    return (
        f"Reliability curve, expected calibration error {percent(calibration.get('ece'))}: {said}"
    )


def _used(calibration: dict[str, Any]) -> str:
    parts = ["Below the diagonal the network is surer than it is right"]
    if calibration.get("temperature") is not None:
        parts.append(f"its logits are divided by a temperature of {calibration['temperature']:.3g}")
    if calibration.get("threshold") is not None:
        parts.append(f"the second class is taken from {percent(calibration['threshold'])} on")
    return "; ".join(parts) + "."
