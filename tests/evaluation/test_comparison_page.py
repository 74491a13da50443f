"""The page of several models: every number and difference, and what is called one."""

from typing import Any

import pytest
from page_facts import made_comparison
from parsed_page import Element, parsed, values

from effunet.evaluation.page.markup import number, points
from effunet.evaluation.page.page import comparison


def rows_of(block: Element) -> list[list[str]]:
    return [[c.text for c in row.all("td")] for row in block.one("tbody").all("tr")]


def test_a_comparison_shows_every_model_and_every_difference() -> None:
    facts = made_comparison(3)
    tree = parsed(comparison(facts))
    models = tree.one("section", id="models")
    heads = [head.text for head in models.one("thead").all("th")]
    assert heads[1:] == [model["name"] for model in facts["models"]]
    first = models.one("tbody").all("tr")[0]
    assert values(first) == [model["miou"] for model in facts["models"]]
    for index, row in enumerate(tree.one("table", class_="compared").one("tbody").all("tr")):
        ious = [model["classes"][index]["iou"] for model in facts["models"]]
        changes = [other["classes"][index]["difference"] for other in facts["differences"]]
        assert values(row) == [*ious, *changes]
    best = max(facts["models"], key=lambda model: model["miou"])["name"]
    assert tree.one("h1").text.startswith(best)
    spread = rows_of(tree.one("section", id="seeds"))
    assert [line[:2] for line in spread] == [[number(facts["seeds"][0]["miou"]["mean"]), "1.23"]]


@pytest.mark.parametrize(
    ("interval", "miou", "ece"),
    [
        ([0.01, 0.03], "better", "worse"),
        ([-0.03, -0.01], "worse", "better"),
        ([-0.01, 0.02], "unsure", "unsure"),
        ([0.0, 0.0], "unsure", "unsure"),
        (None, "", ""),
    ],
)
def test_only_an_interval_without_zero_is_called_a_difference(
    interval: list[float] | None, miou: str, ece: str
) -> None:
    facts: dict[str, Any] = made_comparison(2)
    change = {"difference": 0.0 if interval is None else sum(interval) / 2, "interval": interval}
    names = {key: facts["differences"][0][key] for key in ("name", "to", "classes")}
    facts["differences"] = [names | {"miou": change, "ece": change}]
    said = [row[1] for row in rows_of(parsed(comparison(facts)).one("section", id="differences"))]
    assert said == [miou, ece]


def test_no_difference_has_no_sign() -> None:
    assert [points(d) for d in (0.0, -0.0, 1e-9, -1e-9, 0.01, -0.01, None)] == [
        *["0.0"] * 4,
        "+1.0",
        "-1.0",
        "n/a",
    ]
