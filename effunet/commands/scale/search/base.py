"""What all trainings of a search start from: a config, its dataset, and what its networks cost."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from effunet.errors import UsageError
from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet
from effunet.model.raw import count_macs, shapes_of
from effunet.model.scaling import Plan
from effunet.scaling.fit import MOST, STEP, last_fitting
from effunet.scaling.laws import Law, Size, Trial
from effunet.training import launch
from effunet.training.config.schema import Config
from effunet.training.overrides import composed
from effunet.training.parts import crop_of, opened

OURS = {
    **dict.fromkeys(
        ("encoder", *(f"encoder.{key}" for key in ("name", "phi", "alpha", "beta", "gamma"))),
        "the search says which encoders are trained",
    ),
    "seed": "the search says it: use search.seeds=[0,1]",
    "name": "the search names its runs: use search.name=",
    "resume": "a search goes on when the same command is given again",
    "init_from": "a scaled network has no weights to start from",
}
"""Words of a training that the search has for itself, and what to do instead."""


@dataclass(frozen=True)
class Base:
    """A training that is scaled."""

    config: Config
    words: list[str]  # what was said of it, for each of its scaled ones
    hydra: list[str]  # how trainings are launched
    experiment: str | None  # the file of conf/experiment/ that they start from
    classes: int
    channels: int
    counted: dict[tuple[Plan, Size], int] = field(default_factory=dict)

    @classmethod
    def of(cls, words: Sequence[str]) -> Base:
        """Check the words and the dataset; makes no file and no folder.

        Raises:
            UsageError: words that do not go with a search, or that a training refuses.
            DataError: the dataset is missing.
        """
        launch.prepare()
        for word in words:
            if why := OURS.get(word.partition("=")[0]):
                raise UsageError(f"{word}: leave it out: {why}")
        hydra = [word for word in words if re.match("hydra[./]", word)]
        ours = [word for word in words if word not in hydra]
        config = composed(ours)
        _check(config)
        keys = dict(word.split("=", 1) for word in ours)
        train = opened(config.dataset, config.dataset.train_split)
        return cls(
            config=config,
            words=[w for w in ours if w.partition("=")[0] not in ("experiment", "dataset.crop")],
            hydra=hydra,
            experiment=keys.get("experiment"),
            classes=len(train.labels),
            channels=train.channels,
        )

    @property
    def crop(self) -> Size:
        """Height and width of the training crop that is scaled."""
        return crop_of(self.config)

    @property
    def facts(self) -> dict[str, Any]:
        """What all trainings have in common, for a person who reads the result."""
        config, data = self.config, self.config.dataset
        return {
            "dataset": data.name,
            "split": data.val_split,
            "crop": list(self.crop),
            "batch_size": config.batch_size,
            "length": f"{config.max_steps} steps"
            if config.max_steps
            else f"{config.max_epochs} epochs",
            "decoder": config.decoder.name,
            "classes": self.classes,
        }

    def network(self, trial: Trial) -> EffUNet:
        """Its network, with fresh weights."""
        encoder = EfficientNet(trial.law.plan(trial.phi), channels=self.channels)
        return EffUNet(encoder, self.classes, self.config.decoder.plan(encoder.plan))

    def parameters(self, trial: Trial) -> int:
        """Weights of the network."""
        network = shapes_of(lambda: self.network(trial))
        return sum(weight.numel() for weight in network.parameters())

    def macs(self, trial: Trial) -> int:
        """Multiply-adds of one crop."""
        what = (trial.law.plan(trial.phi), trial.crop)
        if what not in self.counted:
            build = lambda: self.network(trial)  # noqa: E731
            self.counted[what] = count_macs(build, self.channels, *trial.crop)
        return self.counted[what]

    def within(self, laws: Sequence[Law], budget: float, tolerance: float) -> list[Law]:
        """Those whose multiply-adds are about `budget` times the baseline's, at phi 1."""
        baseline = self.macs(Law().trial(0, self.crop))
        return [
            law
            for law in laws
            if abs(self.macs(law.trial(1, self.crop)) / baseline - budget) <= tolerance
        ]

    def nearest(self, law: Law, macs: int) -> Trial:
        """The trial of a law whose multiply-adds are nearest to a number; rounding leaves steps."""
        # Depth alone at the largest phi is thousands of blocks: one looks no further than needed.
        top = 1.0
        while top < MOST and self._cost(law.trial(top, self.crop)) <= macs:
            top = min(2 * top, MOST)
        phis = [round(place * STEP, 2) for place in range(round(top / STEP) + 1)]
        trials = [law.trial(phi, self.crop) for phi in phis]
        below = last_fitting(trials, lambda trial: self._cost(trial) <= macs) or 0
        best = min(trials[below : below + 2], key=lambda trial: abs(self._cost(trial) - macs))
        # Of several phi that round to one network the smallest stands for all.
        smaller = last_fitting(trials, lambda trial: self._cost(trial) < self._cost(best))
        return trials[0 if smaller is None else smaller + 1]

    def _cost(self, trial: Trial) -> float:
        """Multiply-adds of one crop; infinitely many where no network is so deep or wide."""
        try:
            return self.macs(trial)
        except ValueError:
            return math.inf


def _check(config: Config) -> None:
    """Refuse what no search can train."""
    if config.network.name != "effunet":
        raise UsageError("network=smp: the law scales effunet's own networks: leave it out")
    if config.encoder.weights != "none":
        raise UsageError(
            f"encoder.weights={config.encoder.weights}: no weights fit a scaled network, and all"
            " candidates start alike: add encoder.weights=none"
        )
    if config.debug is not None:
        raise UsageError(f"debug={config.debug}: a search trains for real: use max_steps=")
