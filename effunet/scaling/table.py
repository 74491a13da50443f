"""B0 to B7 and the compound law beside each other, and where they part."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from effunet.model.scaling import (
    ALPHA,
    BETA,
    GAMMA,
    PUBLISHED,
    RESOLUTION,
    Plan,
    compound,
    published,
)
from effunet.scaling.costs import Cost, Shape, classifier_cost, cost_of
from effunet.scaling.published import IMAGENET

PHIS = tuple(range(-2, 9))


@dataclass(frozen=True)
class Row:
    """One network, and what it costs."""

    plan: Plan
    depth: float  # multiplier of the repeats
    width: float  # of the widths
    phi: float | None  # of the law; None: a released variant
    classifier: tuple[int, int]  # parameters and multiply-adds of the ImageNet classifier
    segmenter: Cost

    def to_plain(self) -> dict[str, Any]:
        """As plain JSON."""
        known = IMAGENET.get(self.plan.name)
        return {
            "name": self.plan.name,
            "phi": self.phi,
            "depth": self.depth,
            "width": self.width,
            "resolution": self.plan.resolution,
            "stem": self.plan.stem,
            "widths": [stage.width for stage in self.plan.stages],
            "repeats": [stage.repeats for stage in self.plan.stages],
            "classifier": dict(zip(("parameters", "macs"), self.classifier, strict=True)),
            "published": asdict(known) if known else None,
            "implied_phi": implied(self.plan.name) if known else None,
            "segmenter": self.segmenter.to_plain(),
        }


def rows(shape: Shape) -> list[Row]:
    """The released variants, then the law at whole phi."""
    named = [
        Row(
            plan := published(name),
            depth,
            width,
            None,
            classifier_cost(plan),
            cost_of(plan, shape),
        )
        for name, (width, depth, _, _) in PUBLISHED.items()
    ]
    return named + [
        Row(
            plan := compound(phi),
            ALPHA**phi,
            BETA**phi,
            phi,
            classifier_cost(plan),
            cost_of(plan, shape),
        )
        for phi in PHIS
    ]


def implied(name: str) -> dict[str, float]:
    """The phi at which the law has a released variant's depth, width and resolution."""
    width, depth, resolution, _ = PUBLISHED[name]
    found = {
        "depth": math.log(depth, ALPHA),
        "width": math.log(width, BETA),
        "resolution": math.log(resolution / RESOLUTION, GAMMA),
    }
    return {axis: round(phi, 2) for axis, phi in found.items()}
