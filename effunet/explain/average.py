"""Methods side by side: each measure's mean over images and the classes in them.

samples (image, truth) --> predicted classes --> maps by each method at each layer --> means
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray

from effunet.explain.explanation import Explainer, Explanation, check_method
from effunet.explain.measures import (
    alike,
    area,
    curves,
    hits,
    noisy,
    randomised,
    stability,
)
from effunet.segmenter import Segmenter

LEAST = 0.01
"""Share of an image below which a class is left out: a curve needs pixels to tell anything."""

CONTROLS = ("by chance", "probability")
"""Maps to hold the others against: of random numbers, and the class's own probability."""


@dataclass
class Row:
    """The measures of one method at one layer, a number for each map."""

    method: str
    layer: str
    found: dict[str, list[float]] = field(default_factory=dict)
    empty: int = 0  # maps that are 0 everywhere, counted in the measures as any other

    def mean(self, measure: str) -> float | None:
        """Over all maps; None where it was not taken."""
        found = self.found.get(measure)
        return fmean(found) if found else None

    def add(self, **measures: float) -> None:
        """One map more."""
        for name, value in measures.items():
            self.found.setdefault(name, []).append(value)


@dataclass(frozen=True)
class Case:
    """One class in one image."""

    image: UInt8[ndarray, "H W C"]
    index: int
    pixels: Bool[ndarray, "H W"]  # where it is predicted
    truth: Bool[ndarray, "H W"]
    probability: Float32[ndarray, "H W"]


@dataclass(frozen=True)
class Measured:
    """All rows, and what they are means of."""

    rows: list[Row]
    images: int
    maps: int  # of each row
    chance: float  # mean share of the true pixels: a random point's chance to hit them


def measured(
    segmenter: Segmenter,
    samples: Iterable[tuple[UInt8[ndarray, "H W C"], UInt8[ndarray, "H W"]]],
    methods: Sequence[str],
    layers: Sequence[str],
    tell: Callable[[int], None] = lambda _: None,
) -> Measured:
    """Measure all methods at all layers, and two controls, on the same classes of the same images.

    Args:
        segmenter: whose maps they are.
        samples: images with their class indices.
        methods: of METHODS.
        layers: of `places`.
        tell: called with the number of samples that are done.

    Raises:
        UsageError: an unknown method or layer.
    """
    for method in methods:
        check_method(method)
    layers = list(dict.fromkeys(layers))  # one named twice has one row
    unlearnt = randomised(segmenter)
    explainers = [
        (Explainer(segmenter, layer=layer), Explainer(unlearnt, layer=layer)) for layer in layers
    ]
    rows = {(method, layer): Row(method, layer) for layer in layers for method in methods}
    controls = [Row(name, "") for name in CONTROLS]
    images, shares = 0, list[float]()
    for image, truth in samples:
        images += 1
        cases = _cases(segmenter, image, truth)
        if cases:
            for explainer, other in explainers:
                for case, found in zip(cases, _maps(explainer, other, cases, methods), strict=True):
                    for method, maps in found.items():
                        _measure(rows[method, explainer.layer], segmenter, case, *maps)
        for case in cases:
            shares.append(float(case.truth.mean()))
            chance = np.random.default_rng(len(shares)).random(image.shape[:2], np.float32)
            for row, heat in zip(controls, (chance, case.probability), strict=True):
                row.add(**_curves(segmenter, case, heat))
        tell(images)
    return Measured(
        [*rows.values(), *controls], images, len(shares), fmean(shares) if shares else 0.0
    )


def _cases(
    segmenter: Segmenter, image: UInt8[ndarray, "H W C"], truth: UInt8[ndarray, "H W"]
) -> list[Case]:
    """The classes that are predicted and true, and large enough."""
    prediction = segmenter(image)
    found: list[Case] = []
    for index in range(len(segmenter.labels)):
        pixels, true = prediction.mask == index, truth == index
        if pixels.mean() >= LEAST and true.any():
            probability = np.asarray(prediction.probabilities[index], np.float32)
            found.append(Case(image, index, pixels, true, probability))
    return found


Maps = tuple[Explanation, Explanation, list[Explanation]]
"""Of one class by one method: the image's, that of shuffled weights, those of images with noise."""


def _maps(
    explainer: Explainer, unlearnt: Explainer, cases: Sequence[Case], methods: Sequence[str]
) -> list[dict[str, Maps]]:
    """For each case its maps by each method, all from four forward passes."""
    image = cases[0].image
    asked = [(case.index, case.pixels) for case in cases]
    own, other = (one.by_each(image, asked, methods) for one in (explainer, unlearnt))
    near = [explainer.by_each(one, asked, methods) for one in noisy(image)]
    return [
        {
            method: (own[place][method], other[place][method], [one[place][method] for one in near])
            for method in methods
        }
        for place in range(len(cases))
    ]


def _measure(
    row: Row,
    segmenter: Segmenter,
    case: Case,
    own: Explanation,
    unlearnt: Explanation,
    near: Sequence[Explanation],
) -> None:
    heat = own.map
    row.empty += not heat.any()
    # Compared at the feature's own places: what lies between them is interpolated.
    row.add(
        **_curves(segmenter, case, heat),
        randomised=alike(own.coarse, unlearnt.coarse),
        noise=stability(own.coarse, [one.coarse for one in near]),
    )


def _curves(segmenter: Segmenter, case: Case, heat: Float32[ndarray, "H W"]) -> dict[str, float]:
    deletion, insertion = curves(segmenter, case.image, heat, case.index, case.pixels)
    return {
        "deletion": area(deletion),
        "insertion": area(insertion),
        "pointing": float(hits(heat, case.truth)),
    }
