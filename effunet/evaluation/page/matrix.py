"""The confusion matrix as a heat map: rows are the truth and sum to 100 %.

What is right is blue, what is wrong is orange, so that a wrong cell stands out beside the diagonal;
the depth grows with the root of the share, or confusions of a few percent would stay white.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from effunet.evaluation.page.markup import count, percent, text

LEVELS = 10
"""Depths of a colour; style.css has as many."""

IN_CELLS = 20
"""Classes up to which the cells hold their numbers; a larger matrix is a picture."""

SIDE, MARGIN = 12, 150
"""Of a cell and of the names, in a matrix of many classes; pixels."""


def confusion_matrix(facts: dict[str, Any]) -> str:
    """The heat map with names and values; nothing where there is no matrix."""
    matrix: list[list[int]] | None = facts.get("confusion")
    if not matrix:
        return ""
    names = [entry["name"] for entry in facts["classes"]]
    drawn = _table(matrix, names) if len(names) <= IN_CELLS else _picture(matrix, names)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">'
        f"{drawn}</div>{_scale()}"
    )


def level(share: float) -> int:
    """How deep the colour of a share of 0..1 is: 0 for nothing, 1 to 10 for anything."""
    return math.ceil(LEVELS * math.sqrt(min(share, 1.0)) - 1e-9)


def _table(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    heads = "".join(f'<th scope="col"><span>{text(name)}</span></th>' for name in names)
    lines = [
        "<table class='matrix'><caption><span>Percent of each true class (row) that are taken for "
        "each class (column); a dot is under 0.5</span></caption>",
        f'<thead><tr><td class="corner">truth \N{DOWNWARDS ARROW} taken for '
        f"\N{RIGHTWARDS ARROW}</td>{heads}</tr></thead><tbody>",
    ]
    for truth, row in enumerate(matrix):
        cells = "".join(_cells(truth, row, names))
        lines.append(f'<tr><th scope="row">{text(names[truth])}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody></table>"])


def _cells(truth: int, row: Sequence[int], names: Sequence[str]) -> Iterator[str]:
    whole = sum(row)
    for predicted, pixels in enumerate(row):
        if not pixels:
            yield "<td></td>"
            continue
        share = pixels / whole
        said = _said(names[truth], names[predicted], pixels, share)
        shown = f"{100 * share:.0f}" if share >= 0.005 else "\N{MIDDLE DOT}"
        kind = _kind(truth == predicted, share)
        yield f'<td class="{kind}" data-value="{pixels}" title="{said}">{shown}</td>'


def _picture(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    side = SIDE * len(names)
    size = side + MARGIN
    said = f"Confusion matrix of {len(names)} classes; the most confused pairs stand below"
    parts = [
        f'<svg class="matrix" width="{size}" height="{size}" viewBox="0 0 {size} {size}" '
        f'role="img" aria-label="{said}">'
        f'<rect class="ground" x="{MARGIN}" y="{MARGIN}" width="{side}" height="{side}"/>'
    ]
    for index, name in enumerate(names):
        middle = MARGIN + SIDE * index + SIDE - 3
        short = text(name if len(name) <= 24 else name[:23] + "\N{HORIZONTAL ELLIPSIS}")
        parts.append(
            f'<text x="{MARGIN - 4}" y="{middle}" text-anchor="end">{short}</text>'
            f'<text transform="translate({middle},{MARGIN - 4}) rotate(-90)">{short}</text>'
        )
    for truth, row in enumerate(matrix):
        whole = sum(row)
        for predicted, pixels in enumerate(row):
            if pixels:
                share = pixels / whole
                parts.append(
                    f'<rect class="{_kind(truth == predicted, share)}" '
                    f'x="{MARGIN + SIDE * predicted}" y="{MARGIN + SIDE * truth}" width="{SIDE}" '
                    f'height="{SIDE}"><title>{_said(names[truth], names[predicted], pixels, share)}'
                    "</title></rect>"
                )
    return "\n".join([*parts, "</svg>"])


def _kind(right: bool, share: float) -> str:
    return f"{'r' if right else 'w'}{level(share)}"


def _said(truth: str, predicted: str, pixels: int, share: float) -> str:
    how = "found" if truth == predicted else f"taken for {predicted}"
    return text(f"{truth} {how}: {percent(share, 2)}, {count(pixels)} pixels")


def _scale() -> str:
    """The colours of the shares, of right and of wrong pixels."""
    edges = [100 * (depth / LEVELS) ** 2 for depth in range(1, LEVELS + 1)]
    rows = "".join(
        f'<span class="scale-row"><span class="scale-name">{name}</span>'
        + "".join(
            f'<i class="{kind}{depth}" title="up to {edge:g} %"></i>'
            for depth, edge in enumerate(edges, 1)
        )
        + "</span>"
        for kind, name in (("r", "right"), ("w", "wrong"))
    )
    ticks = "".join(f"<i>{edge:g}</i>" for edge in edges)
    return (
        f'<div class="scale">{rows}<span class="scale-row"><span class="scale-name">up to, %'
        f"</span>{ticks}</span></div>"
    )
