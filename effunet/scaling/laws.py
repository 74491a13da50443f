"""The constants of compound scaling as a grid: which of them keep to a budget, evenly chosen.

Tan & Le 2019, section 3.3, equation 3: depth alpha^phi, width beta^phi, resolution gamma^phi, each
constant at least 1; the work of a network grows by about (alpha beta^2 gamma^2)^phi. No torch.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from effunet.model.scaling import ALPHA, BETA, CONSTANTS, GAMMA, Plan, compound

REDUCTION = 32
"""Of the coarsest feature: images are padded to a multiple, which costs what it would hold."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Law:
    """Constants of compound scaling."""

    alpha: float = ALPHA
    beta: float = BETA
    gamma: float = GAMMA

    @property
    def growth(self) -> float:
        """What a step of phi multiplies the work by, before anything is rounded."""
        return self.alpha * self.beta**2 * self.gamma**2

    @property
    def shares(self) -> tuple[float, float, float]:
        """Which part of the growth depth, width and resolution have: of its logarithm, sum 1."""
        logs = math.log(self.alpha), 2 * math.log(self.beta), 2 * math.log(self.gamma)
        depth, width, resolution = (log / sum(logs) for log in logs)
        return depth, width, resolution

    def plan(self, phi: float) -> Plan:
        """The encoder at phi."""
        return compound(phi, self.alpha, self.beta, self.gamma)

    def crop(self, base: Size, phi: float) -> Size:
        """Height and width of the training crop at phi: `base` grown by gamma^phi.

        The nearest multiple of 32; unchanged where gamma^phi is 1.
        """
        factor = self.gamma**phi
        if factor == 1:
            return base
        height, width = (max(1, round(side * factor / REDUCTION)) * REDUCTION for side in base)
        return height, width

    def trial(self, phi: float, base: Size) -> "Trial":
        """The training at phi, of crops that have grown from `base`."""
        return Trial(self, phi, self.crop(base, phi))


@dataclass(frozen=True)
class Trial:
    """One training: a network of a law at phi, the crop that goes with it, and a seed."""

    law: Law
    phi: float
    crop: Size
    seed: int = 0

    @property
    def what(self) -> object:
        """Equal for trials of one network and crop, which rounding makes of several laws."""
        plan = self.law.plan(self.phi)
        return plan.stem, plan.stages, self.crop

    @property
    def name(self) -> str:
        """Says the law, phi and the seed."""
        return f"{self.law.plan(self.phi).name}-seed{self.seed}"

    def with_seed(self, seed: int) -> "Trial":
        """The same with another seed."""
        return replace(self, seed=seed)


def grid(budget: float, tolerance: float, step: float) -> list[Law]:
    """All laws of constants 1, 1 + step, ... up to 2 with |growth - budget| <= tolerance."""
    most = math.floor((CONSTANTS[1] - 1) / step + 1e-9)
    line = [round(1 + place * step, 10) for place in range(most + 1)]
    laws = (Law(alpha, beta, gamma) for alpha in line for beta in line for gamma in line)
    # The growth is a product of rounded numbers: what is meant to lie on the border does.
    return [law for law in laws if abs(law.growth - budget) <= tolerance + 1e-9]


def distinct(laws: Sequence[Law], base: Size, budget: float) -> list[Law]:
    """One law for each network and crop: rounding makes one training of many.

    At phi 1 the one whose growth is nearest to the budget stands for the others. None stands for
    what rounds to the network and crop at phi 0: it would not grow at all.
    """
    found: dict[object, Law] = {}
    for law in sorted(laws, key=lambda law: abs(law.growth - budget)):
        found.setdefault(law.trial(1, base).what, law)
    found.pop(Law().trial(0, base).what, None)
    return sorted(found.values(), key=lambda law: (law.alpha, law.beta, law.gamma))


def spread(laws: Sequence[Law], count: int) -> list[Law]:
    """At most `count` of them, as far from each other in their shares as can be.

    The most even one first, then always the one that is farthest from those that are chosen; where
    several are, the first of the list.
    """
    shares = [law.shares for law in laws]
    nearest = [math.inf] * len(laws)  # distance of each to those that are chosen
    first = min(range(len(laws)), key=lambda n: math.dist(shares[n], (1 / 3, 1 / 3, 1 / 3)))
    chosen = [first]
    while len(chosen) < min(count, len(laws)):
        last = shares[chosen[-1]]
        # Rounded: what differs by the arithmetic alone is equally far.
        nearest = [
            min(old, round(math.dist(own, last), 9))
            for old, own in zip(nearest, shares, strict=True)
        ]
        chosen.append(
            max((n for n in range(len(laws)) if n not in chosen), key=nearest.__getitem__)
        )
    return [laws[n] for n in sorted(chosen)]


def others(budget: float) -> Iterator[tuple[str, Law]]:
    """Laws to hold the best one against, as the article's figures 3 and 8 do; phi evens them out.

    The article's own constants, and those that scale one thing by about this growth.
    """
    yield "the article's constants", Law()
    side = round(min(math.sqrt(budget), CONSTANTS[1]), 4)
    yield "depth alone", Law(round(min(budget, CONSTANTS[1]), 4), 1.0, 1.0)
    yield "width alone", Law(1.0, side, 1.0)
    yield "resolution alone", Law(1.0, 1.0, side)
