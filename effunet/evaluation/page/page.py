"""Facts and pictures -> one HTML document that holds everything: no network, no other file.

A policy in its head forbids the browser to fetch anything. The only script sorts tables, and the
page says the same without it.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from effunet.evaluation.page import charts, classes, compare, gallery, matrix, summary
from effunet.evaluation.page.markup import Block, block, text
from effunet.evaluation.page.parts import Section


def page(facts: dict[str, Any], sections: Sequence[Section]) -> str:
    """The report of one evaluation.

    Args:
        facts: the contents of its metrics.json; what is absent or None is left out of the page.
        sections: pictures, in the order in which they are shown.

    Returns:
        A whole HTML document.
    """
    blocks = [
        block("numbers", "The other numbers", summary.numbers(facts)),
        block("classes", "Class by class", classes.class_table(facts)),
        block("categories", "Categories and objects", classes.category_tables(facts)),
        block("datasets", "Each dataset alone", classes.parts_table(facts)),
        block(
            "confusion",
            "What is taken for what",
            _beside(matrix.confusion_matrix(facts), charts.confused(facts)),
            lead="Read a row: where the pixels of that class went. Blue is right, orange is wrong.",
        ),
        block(
            "where",
            "Where errors lie",
            _beside(charts.distances(facts), charts.sizes(facts)),
            lead="Errors close to a boundary are a matter of outlines; those far from any boundary "
            "and those of large objects are a matter of recognition.",
        ),
        block(
            "calibration",
            "Can its confidence be believed?",
            _beside(charts.reliability(facts), charts.bins(facts)),
            lead="Of the pixels that the network is 80 % sure of, 80 % should be right: the dots "
            "should lie on the diagonal. The larger a dot, the more pixels.",
        ),
        *(gallery.gallery(section, facts) for section in sections),
        block("unreadable", "Images that could not be read", summary.unreadable(facts)),
        block("measured", "How it was measured", summary.measured(facts)),
    ]
    top = summary.headline(facts) + summary.findings(facts)
    title = f"{facts['dataset']} {facts['split']}: evaluation"
    return document(title, top, blocks)


def comparison(facts: dict[str, Any]) -> str:
    """The report of several models on the same images: side by side, with paired differences.

    Args:
        facts: the contents of a comparison's metrics.json: models, differences, seeds.
    """
    blocks = [
        block("models", "The models", compare.models(facts)),
        block(
            "differences",
            "Differences to the first",
            compare.differences(facts),
            lead="Both models of a difference were drawn on the same images, so an interval that "
            "leaves out zero is a difference of the models and not of the images.",
        ),
        block("classes", "Class by class", compare.class_table(facts)),
        block("seeds", "Spread over seeds", compare.seeds(facts)),
        block("measured", "How it was measured", compare.measured(facts)),
    ]
    first = facts["models"][0]
    title = f"{first['dataset']} {first['split']}: comparison of {len(facts['models'])} models"
    return document(title, compare.headline(facts), blocks)


def document(title: str, top: str, blocks: Sequence[Block]) -> str:
    """A whole HTML document: what stands on top, and the blocks with links to them.

    Args:
        title: plain text.
        top: markup.
        blocks: those that are empty are left out.
    """
    style, script = (_file(name) for name in ("style.css", "sort.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    shown = [part for part in blocks if part]
    links = "".join(f'<a href="#{text(part.key)}">{text(part.title)}</a>' for part in shown)
    body = "\n".join(map(str, shown))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
{top}
<nav aria-label="Contents">{links}</nav>
<main>
{body}
</main>
<script>{script}</script>
</body>
</html>
"""


def _beside(*parts: str) -> str:
    """Pieces side by side where there is room."""
    inside = "".join(f"<div>{part}</div>" for part in parts if part)
    return f'<div class="beside">{inside}</div>' if inside else ""


def _file(name: str) -> str:
    return files("effunet.evaluation.page").joinpath(name).read_text(encoding="utf-8")
