"""`effunet data stats`: pixels per class, sizes, colours -> what to set a training to."""

import json
import sys
from argparse import Namespace
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from effunet.commands.data.splits import open_splits
from effunet.commands.terminal import console, progress, shown
from effunet.data.check.measures import colors_of, sizes_of, suggested_crop
from effunet.data.check.statistics import SplitStatistics, of_survey
from effunet.data.check.survey import Survey
from effunet.data.check.surveyed import require_survey
from effunet.data.dataset import Dataset
from effunet.training.recipe.balance import FORMULAS, class_weights


def run(arguments: Namespace) -> int:
    """Measure each split and print its tables, or JSON alone."""
    opened = open_splits(arguments.dataset, arguments.root, arguments.split)
    description, out = opened.description, console()
    title = f" ({description.title})" if description.title else ""
    if not arguments.json:
        out.print(shown(f"{description.name}{title}, described in {description.where}"))
    splits: dict[str, Any] = {}
    for dataset in opened.splits:
        with progress(f"{dataset.name} {dataset.split}") as tell:
            survey = require_survey(dataset, progress=tell)
        counts = of_survey(dataset, survey)
        weights = {name: class_weights(name, counts) for name in FORMULAS}
        if arguments.json:
            splits[dataset.split] = _plain(counts, survey, weights)
        else:
            _print(out, dataset, counts, survey, weights)
    if arguments.json:
        json.dump({"dataset": description.name, "splits": splits}, sys.stdout, indent=1)
        print()
    else:
        for finding in opened.missing:
            out.print(f"\n{shown(finding.line)}")
    return 0


def _print(
    out: Console,
    dataset: Dataset,
    counts: SplitStatistics,
    survey: Survey,
    weights: dict[str, list[float]],
) -> None:
    masks = f"{counts.read} masks" if counts.read == counts.images else _drawn(counts)
    out.print(f"\nsplit {shown(dataset.split)}: {counts.images} images; classes in {masks}")
    out.print(_classes(counts, weights, plain=not out.is_terminal))
    out.print(f"{', '.join(weights)}: the class weights of loss.weighting=NAME\n")
    sizes, crop = sizes_of(survey), suggested_crop(survey)
    if sizes is not None:
        if sizes.distinct == 1:
            size = f"{sizes.least[0]} x {sizes.least[1]}, all of them"
        else:
            size = " / ".join(f"{h} x {w}" for h, w in (sizes.least, sizes.median, sizes.most))
            size += f" (least / median / most of each side; {sizes.distinct} different sizes)"
        ratio = " / ".join(f"{ratio:.2f}" for ratio in sorted(set(sizes.aspect)))
        out.print(f"height x width      {size}; width over height {ratio}")
    if survey.colored:
        mean, deviation = colors_of(survey)
        seen = f"in 0..1, of {survey.colored} of {counts.images} images"
        out.print(f"mean                {_numbers(mean)} ({seen})")
        out.print(f"standard deviation  {_numbers(deviation)}")
    if crop is not None:
        rule = "the largest multiples of 32 up to 768 that nine of ten images fill"
        out.print(f"suggested crop      dataset.crop=[{crop[0]},{crop[1]}] ({rule})")


def _classes(counts: SplitStatistics, weights: dict[str, list[float]], *, plain: bool) -> Table:
    """A line a class; the last columns are what loss.weighting=NAME would weigh it with."""
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    table.add_column("class", "ignored", no_wrap=True)
    every = counts.labelled + counts.ignored
    ignored = f"{counts.ignored / max(1, every):.2%}"
    table.add_column("pixels", f"{counts.ignored:,}", justify="right", no_wrap=True)
    table.add_column("share", ignored, justify="right", no_wrap=True)
    table.add_column("images", justify="right", no_wrap=True)
    for name in weights:
        table.add_column(name, justify="right", no_wrap=True)
    for index, name in enumerate(counts.classes):
        share = counts.pixels[index] / max(1, counts.labelled)
        table.add_row(
            Text(shown(name)),
            f"{counts.pixels[index]:,}",
            f"{share:.2%}",
            str(counts.images_with[index]),
            *(f"{of[index]:.3f}" for of in weights.values()),
        )
    return table


def _plain(
    counts: SplitStatistics, survey: Survey, weights: dict[str, list[float]]
) -> dict[str, Any]:
    sizes, crop = sizes_of(survey), suggested_crop(survey)
    mean, deviation = colors_of(survey) if survey.colored else (None, None)
    return {
        "images": counts.images,
        "masks_read": counts.read,
        "classes": [
            {"name": name, "pixels": pixels, "images": images}
            for name, pixels, images in zip(
                counts.classes, counts.pixels, counts.images_with, strict=True
            )
        ],
        "labelled": counts.labelled,
        "ignored": counts.ignored,
        "sizes": sizes
        and {
            "least": list(sizes.least),
            "median": list(sizes.median),
            "most": list(sizes.most),
            "aspect": list(sizes.aspect),
            "distinct": sizes.distinct,
        },
        "images_measured": survey.colored,
        "mean": mean,
        "std": deviation,
        "crop": crop and list(crop),
        "class_weights": weights,
    }


def _drawn(counts: SplitStatistics) -> str:
    return f"{counts.read} of them, drawn by seed"


def _numbers(values: list[float]) -> str:
    return f"[{', '.join(f'{value:.4f}' for value in values)}]"
