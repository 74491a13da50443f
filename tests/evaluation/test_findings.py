"""The sentences of a page, which people quote, say what the facts say, in their direction."""

import re
from typing import Any

import pytest
from evaluation_data import Blocks
from page_facts import made_facts
from tiny_segmenter import tiny_segmenter

from effunet.evaluation.evaluate import evaluate
from effunet.evaluation.page.compare import headline
from effunet.evaluation.page.summary import findings


def said(facts: dict[str, Any]) -> str:
    """The sentences without their tags; no line breaks between a number and its sign."""
    return re.sub("<[^>]+>", "", findings(facts)).replace("\xa0", " ")


def classes(*ious: float | None) -> list[dict[str, Any]]:
    return [{"name": f"c{place}", "iou": iou} for place, iou in enumerate(ious)]


def test_the_weakest_and_the_strongest_classes_are_named_and_absent_ones_are_neither():
    told = said({"classes": classes(0.5, None, 0.1, 0.9, 0.3)})
    assert told == "Weakest classes by IoU: c2 (10.0 %) and c4 (30.0 %); strongest: c3 (90.0 %)."
    assert said({"classes": classes(0.0, 0.0, 0.0, 0.4)}).startswith("Among the weakest")
    assert said({"classes": classes(0.1, 0.2)}) == ""


def test_the_confused_pair_is_told_from_truth_to_prediction():
    pair = {"truth": "fence", "predicted": "tree", "pixels": 9, "share": 0.556}
    told = said({"classes": [], "errors": {"confused": [pair]}})
    assert told == "Most confused: fence taken for tree, 55.6 % of its pixels."


def test_errors_near_a_boundary_are_a_share_of_errors_beside_their_share_of_pixels():
    bands = [(0, 1, 10, 6), (1, 2, 10, 2), (2, 4, 30, 1), (4, None, 50, 1)]
    keys = ("low", "high", "pixels", "wrong")
    distances = [dict(zip(keys, band, strict=True)) for band in bands]
    told = said({"classes": [], "errors": {"distances": distances}})
    assert told == (
        "80.0 % of the wrong pixels lie within 2 pixels of a boundary, "
        "where 20.0 % of all pixels are."
    )


@pytest.mark.parametrize(("accuracy", "word"), [(0.5, "over"), (0.9, "under")])
def test_confidence_above_accuracy_is_over_confidence(accuracy: float, word: str):
    bins = [{"pixels": 8, "confidence": 0.7, "accuracy": accuracy}, {"pixels": 0}]
    told = said({"classes": [], "calibration": {"bins": bins}})
    assert told == (
        f"On average the network is 70.0 % sure and {100 * accuracy:.1f} % right: "
        f"{word}-confident by 20.0 points."
    )


@pytest.mark.parametrize(
    ("change", "interval", "told"),
    [
        (0.05, [0.04, 0.06], "b is 5.0 points of mIoU above a, and the images agree"),
        (-0.05, [-0.06, 0.01], "b is 5.0 points of mIoU below a, which these images cannot tell"),
        (0.0, [0.0, 0.0], "b has the same mIoU as a."),
        (None, None, "b and a cannot be compared."),
        (0.05, None, "how sure that is was not measured"),
    ],
)
def test_a_difference_is_told_in_its_direction_and_how_sure_it_is(change, interval, told):
    models = [{**made_facts(3), "name": name} for name in "ab"]
    pair = {"difference": change, "interval": interval}
    facts = {"models": models, "differences": [{"name": "b", "to": "a", "miou": pair}]}
    assert told in re.sub("<[^>]+>", "", headline(facts))


def test_equals_share_the_headline():
    models = [{**made_facts(3), "name": name} for name in "abc"]
    facts = {"models": models, "differences": []}
    assert "a and 2 more have the highest mIoU" in re.sub("<[^>]+>", "", headline(facts))
    models[1]["miou"] = 0.999
    assert "b has the highest mIoU" in re.sub("<[^>]+>", "", headline(facts))


def shape(value: Any) -> Any:
    """The keys of nested facts; a list stands for its first entry."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def test_the_facts_that_pages_are_tested_with_are_shaped_as_real_ones():
    real = shape(evaluate(tiny_segmenter(), Blocks(), regions=True).to_plain())
    made = shape(made_facts(3))
    # What a report adds where a dataset has categories, instances or faults, or a file a name.
    for key in ("categories", "iiou", "unreadable", "model", "library", "parameters"):
        made.pop(key)
        real.pop(key, None)
    for key in ("temperature", "threshold"):
        made["calibration"].pop(key)
    for key in ("category_miou", "iiou", "category_iiou"):
        real["intervals"].pop(key)
    assert made == real
