"""A report as files: metrics.json, predictions.png, and index.html with everything inside."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from effunet import artifact
from effunet.data.dataset import Dataset
from effunet.evaluation.compare import Comparison
from effunet.evaluation.failures import sections
from effunet.evaluation.page.page import comparison as comparison_page
from effunet.evaluation.page.page import page
from effunet.evaluation.report import Report, save
from effunet.infer import Way, predict_mask
from effunet.pictures.palettes import png
from effunet.pictures.sheet import Row, sheet
from effunet.predictor import Predictor

PICTURED = 5
"""Images on predictions.png, spread evenly over those that were counted."""


def write_report(
    folder: Path, report: Report, segmenter: Predictor, dataset: Dataset, way: Way, model: str
) -> dict[str, Any]:
    """Write a report whose regions were counted; the folder is made if need be.

    Args:
        folder: gets metrics.json, predictions.png and index.html.
        report: of `segmenter` on `dataset`, predicted in this `way`.
        segmenter: predicts once more what is drawn.
        dataset: gives the images.
        way: as the report's.
        model: the segmenter's file, for the report to name.

    Returns:
        What metrics.json holds.
    """
    facts: dict[str, Any] = report.to_plain() | {
        "model": model,
        "library": artifact.library(),
        "parameters": segmenter.to_plain()["parameters"],
    }
    if "calibration" in segmenter.metadata:
        applied = segmenter.calibration
        facts["calibration"] |= {
            "temperature": applied.temperature,
            "threshold": applied.threshold,
        }
    save(facts, folder)
    picture = sheet(_rows(report, segmenter, dataset, way), segmenter.labels)
    artifact.write(folder / "predictions.png", png(picture))
    found = sections(report, segmenter, dataset, way)
    artifact.write(folder / "index.html", page(facts, found).encode())
    return facts


def write_comparison(
    folder: Path, comparison: Comparison, models: Sequence[Mapping[str, Any]]
) -> None:
    """Write metrics.json and index.html of several segmenters above their own folders.

    Args:
        folder: holds those of the segmenters, each under its name.
        comparison: of them.
        models: what `write_report` has written of each.
    """
    facts = comparison.to_plain()
    facts["models"] = [
        {"name": name, **model} for name, model in zip(comparison.names, models, strict=True)
    ]
    save(facts, folder)
    linked = [model | {"page": f"{model['name']}/index.html"} for model in facts["models"]]
    drawn = comparison_page(facts | {"models": linked})
    artifact.write(folder / "index.html", drawn.encode())


def _rows(report: Report, segmenter: Predictor, dataset: Dataset, way: Way) -> list[Row]:
    images = report.counts.images.tolist()
    places = sorted({place * len(images) // PICTURED for place in range(PICTURED)})
    rows: list[Row] = []
    for index in (images[place] for place in places):
        sample = dataset[index]
        predicted = predict_mask(segmenter, sample.image, way).cpu().numpy()
        rows.append(Row(sample.name, sample.image, sample.mask, predicted))
    return rows
