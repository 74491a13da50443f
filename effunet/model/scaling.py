"""EfficientNet B0-B7 as two small tables, and the compound law that scales the first of them.

In: a published name or a real phi; out: a Plan, the numbers that decide an encoder. Source: Tan &
Le, EfficientNet, ICML 2019 (arXiv 1905.11946): the baseline is Table 1, the law equation 3 with the
alpha, beta, gamma of section 4. The released multipliers and both rounding rules are those of the
authors' own code (github.com/tensorflow/tpu, models/official/efficientnet).
"""

import dataclasses
import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from effunet.model import facts
from effunet.model.facts import check_range

Skip = Literal["stem", "stage1", "smp"]
"""Where the reduction-2 feature is taken: after the stem, or at the end of stage 1. The others are
taken at the end of their stages; with "smp" (and the stem) the reduction-16 one behind the first
block of stage 5, as the efficientnet-b0 of segmentation_models_pytorch does.
"""

WIDEST = 1 << 16
DEEPEST = 1000
FARTHEST = 20.0


@dataclass(frozen=True)
class Stage:
    """One row of the table: `repeats` MBConv blocks, the first of which carries the stride."""

    kernel: int  # of the depthwise convolution; odd
    stride: int  # 1 or 2
    expansion: int  # width inside a block / width of its input; 1 means no expanding convolution
    width: int  # channels of the stage's result
    repeats: int  # blocks

    def __post_init__(self) -> None:
        check_range("stage.kernel", self.kernel, 3, 31)
        check_range("stage.stride", self.stride, 1, 2)
        check_range("stage.expansion", self.expansion, 1, 64)
        check_range("stage.width", self.width, 4, WIDEST)
        check_range("stage.repeats", self.repeats, 1, DEEPEST)
        if self.kernel % 2 == 0:
            raise ValueError(f"stage.kernel must be odd (it has a centre), got {self.kernel}")


@dataclass(frozen=True)
class Plan:
    """Every number that decides an EfficientNet: with it, weights fit whatever tables say later."""

    name: str
    stem: int  # channels after the first convolution, which halves the image
    stages: tuple[Stage, ...]  # the first keeps the size, four others halve it
    head: int  # channels of the 1x1 convolution before the classifier
    resolution: int  # pixels a side, of the images it is meant for; it takes any size
    dropout: float  # before the classifier: share of its inputs set to 0

    def __post_init__(self) -> None:
        check_range("stem", self.stem, 4, WIDEST)
        check_range("head", self.head, 1, WIDEST)
        check_range("resolution", self.resolution, 1, WIDEST)
        check_range("dropout", self.dropout, 0.0, 1.0)
        strides = [stage.stride for stage in self.stages]
        if strides[:1] != [1] or strides.count(2) != 4:
            raise ValueError(
                f"stages must start with stride 1 and hold four of stride 2 "
                f"(with the stem: reductions 2, 4, 8, 16, 32), got strides {strides}"
            )

    @property
    def blocks(self) -> int:
        """Number of MBConv blocks in all stages."""
        return sum(stage.repeats for stage in self.stages)

    def to_plain(self) -> dict[str, Any]:
        """Give the plan as JSON types."""
        return facts.write(self)

    @classmethod
    def from_plain(cls, values: object, where: str = "encoder") -> "Plan":
        """Read what to_plain gave; a ValueError names place, rule and value of what is wrong."""
        return facts.read(cls, values, where)


BASELINE = (
    Stage(kernel=3, stride=1, expansion=1, width=16, repeats=1),
    Stage(kernel=3, stride=2, expansion=6, width=24, repeats=2),
    Stage(kernel=5, stride=2, expansion=6, width=40, repeats=2),
    Stage(kernel=3, stride=2, expansion=6, width=80, repeats=3),
    Stage(kernel=5, stride=1, expansion=6, width=112, repeats=3),
    Stage(kernel=5, stride=2, expansion=6, width=192, repeats=4),
    Stage(kernel=3, stride=1, expansion=6, width=320, repeats=1),
)
"""The seven stages of B0 (Table 1, rows 2 to 8)."""

STEM, HEAD, RESOLUTION = 32, 1280, 224

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15
"""Depth, width and resolution a step of phi (section 4); alpha beta^2 gamma^2 is 1.92."""

CONSTANTS = (0.5, 2.0)
"""Least and most of each."""

PUBLISHED = {
    #     width depth resolution dropout
    "b0": (1.0, 1.0, 224, 0.2),
    "b1": (1.0, 1.1, 240, 0.2),
    "b2": (1.1, 1.2, 260, 0.3),
    "b3": (1.2, 1.4, 300, 0.3),
    "b4": (1.4, 1.8, 380, 0.4),
    "b5": (1.6, 2.2, 456, 0.4),
    "b6": (1.8, 2.6, 528, 0.5),
    "b7": (2.0, 3.1, 600, 0.5),
}
"""The eight released members; except for B0 they are near the compound law, not on it."""

VARIANTS = tuple(PUBLISHED)


def published(name: str) -> Plan:
    """Give the plan of a released member, "b0" to "b7"."""
    if name not in PUBLISHED:
        raise ValueError(f"EfficientNet has the variants {', '.join(VARIANTS)}, got {name!r}")
    width, depth, resolution, dropout = PUBLISHED[name]
    return scaled(name, width, depth, resolution, dropout)


def compound(phi: float, alpha: float = ALPHA, beta: float = BETA, gamma: float = GAMMA) -> Plan:
    """Scale the baseline by the pure law: depth alpha^phi, width beta^phi, resolution gamma^phi.

    Any real phi in [-20, 20]; with the paper's constants the work grows by 1.92^phi. The resolution
    is rounded to the nearest multiple of 8, as widths are. The dropout is the straight line of
    section 5.2, 0.2 at phi 0 and 0.5 at phi 7, kept within [0, 0.5].
    """
    check_range("phi", phi, -FARTHEST, FARTHEST)
    for constant, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
        check_range(constant, value, *CONSTANTS)
    resolution = max(8, 8 * round(RESOLUTION * gamma**phi / 8))
    dropout = min(max(0.2 + 0.3 * phi / 7, 0.0), 0.5)
    law = {"phi": phi}
    if (alpha, beta, gamma) != (ALPHA, BETA, GAMMA):
        law |= {"a": alpha, "b": beta, "g": gamma}
    name = "".join(key + repr(float(number)).removesuffix(".0") for key, number in law.items())
    return scaled(name, beta**phi, alpha**phi, resolution, dropout)


def law_of(plan: Plan) -> tuple[float, float, float, float] | None:
    """Return phi, alpha, beta, gamma of a plan that `compound` gave, or None: read from its name.

    The numbers could not tell: rounding makes one network of many laws.
    """
    number = r"[0-9.]+(?:e[-+][0-9]+)?"
    found = re.fullmatch(f"phi(-?{number})(?:a({number})b({number})g({number}))?", plan.name)
    if found is None:
        return None
    try:
        phi = float(found[1])
        alpha, beta, gamma = (
            float(text) if text else default
            for text, default in zip(found.groups()[1:], (ALPHA, BETA, GAMMA), strict=True)
        )
        law = (phi, alpha, beta, gamma)
        return law if compound(*law) == plan else None
    except ValueError:
        return None


def scaled(name: str, width: float, depth: float, resolution: int, dropout: float) -> Plan:
    """Multiply the baseline's widths and repeats."""
    stages = tuple(
        dataclasses.replace(
            stage,
            width=round_width(stage.width * width),
            repeats=round_repeats(stage.repeats * depth),
        )
        for stage in BASELINE
    )
    stem, head = round_width(STEM * width), round_width(HEAD * width)
    return Plan(name, stem, stages, head, resolution, dropout)


def round_width(width: float) -> int:
    """Round to the nearest multiple of 8, and up where that would lose more than 10 %."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * width else rounded + 8


def round_repeats(repeats: float) -> int:
    """Round up: a stage never loses depth by rounding."""
    return math.ceil(repeats)


def pyramid_widths(plan: Plan, skip: Skip = "stem") -> tuple[int, ...]:
    """Widths of the five features, finest first: each stage before a halving, and the last one."""
    widths = [plan.stages[index].width for index in pyramid_stages(plan)]
    return tuple(widths) if skip == "stage1" else (plan.stem, *widths[1:])


def pyramid_stages(plan: Plan) -> tuple[int, ...]:
    """Indices of the stages that end at reductions 2, 4, 8, 16, 32."""
    halving = [index for index, (_, after) in enumerate(pairwise(plan.stages)) if after.stride == 2]
    return (*halving, len(plan.stages) - 1)


def pyramid_blocks(plan: Plan, skip: Skip = "stem") -> frozenset[tuple[int, int]]:
    """Places (stage, block) behind which a feature is taken; that of the stem has none."""
    first, *rest = ((index, plan.stages[index].repeats - 1) for index in pyramid_stages(plan))
    if skip == "smp":
        rest[2] = (rest[2][0], 0)
    return frozenset(rest if skip != "stage1" else (first, *rest))
