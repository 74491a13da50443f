"""Which samples make an epoch, and what each is aimed at and mixed with: functions of the seed.

The usual epoch is a permutation of the images. Here a share of the samples may be aimed at a class
instead, so that a rare one is seen as often as a common one (Zhu et al. 2019), images may be drawn
by weight, and a sample may name others that are pasted into it or mixed with it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from effunet.data.augment.mix import MIXES
from effunet.data.loading.order import permutation, spread
from effunet.data.loading.whereabouts import POINTS, Whereabouts
from effunet.errors import DataError

LISTED = 6
"""Classes told in a line."""

CLASSES = ("none", "uniform", "rare")
"""How classes are drawn that crops are aimed at: not at all, each alike, the rarer the more."""


class Source(NamedTuple):
    """What is pasted into a sample: a piece of this class, at this pixel of another image."""

    image: int  # its index
    label: int
    pixel: tuple[int, int]  # y, x


class Draw(NamedTuple):
    """One sample of the stream, before anything is read."""

    epoch: int
    image: int  # its index
    time: int = 0  # how many times the image has come before in this epoch
    pixel: tuple[int, int] | None = None  # (y, x) in the image that the crop must show
    paste: Source | None = None
    mix: int | None = None  # index of the image to mix it with


@dataclass(frozen=True, eq=False)
class Epochs:
    """How an epoch is drawn.

    Every number of times is the expected one, rounded up or down, in every epoch: an image that
    should come 1.3 times comes once or twice.
    """

    weights: Sequence[float] | Float[np.ndarray, " N"] | None = None  # of images; None: all alike
    where: Whereabouts | None = None  # needed by classes and copy_paste
    classes: str = "none"  # one of CLASSES
    share: float = 0.5  # of the samples, aimed at a class; the others are drawn as ever
    temperature: float = 0.01  # of `rare`: the smaller, the more the rarest classes
    copy_paste: float = 0.0  # chance of a sample to get a piece of a rare class of another image
    mix: str | None = None  # one of MIXES
    mix_chance: float = 0.5  # of a sample to be mixed with another one

    def __post_init__(self) -> None:
        if self.classes not in CLASSES:
            raise ValueError(f"classes is one of {', '.join(CLASSES)}, got {self.classes!r}")
        if self.mix is not None and self.mix not in MIXES:
            raise ValueError(f"mix is one of {', '.join(MIXES)}, got {self.mix!r}")
        for name in ("share", "copy_paste", "mix_chance"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share in [0, 1], got {getattr(self, name)}")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be more than 0, got {self.temperature}")
        if self.where is None and (self.classes != "none" or self.copy_paste):
            raise ValueError("classes and copy_paste need to know where the classes are")
        if self.weights is not None:
            weights = np.asarray(self.weights, np.float64)
            if weights.ndim != 1 or not (np.isfinite(weights) & (weights >= 0)).all():
                raise ValueError("weights are numbers from 0 up, one an image")
            if not weights.any():
                raise DataError("every training image has weight 0: give one of them more")

    def draws(self, seed: int, epoch: int, size: int, count: int) -> list[Draw]:
        """The `count` samples of an epoch over `size` images, in their order, for all processes.

        Without weights and aims an image comes at most once; otherwise it may come more often,
        each time with an augmentation of its own.
        """
        self._check_size(size)
        order, aim, paste, mix = _streams(seed, epoch)
        rows = self._aimed(aim, count)
        plain = self._plain(order, size, count - len(rows), permutation(seed, epoch, size))
        images = np.concatenate([plain, self._images(rows)])
        pixels = [None] * len(plain) + self._pixels(rows, aim)
        if len(rows):
            shuffled = aim.permutation(count)
            images, pixels = images[shuffled], [pixels[place] for place in shuffled]
        sources = self._sources(paste, images)
        partners = self._partners(mix, size, count)
        times: Counter[int] = Counter()
        draws: list[Draw] = []
        for place, image in enumerate(images.tolist()):
            draws.append(
                Draw(epoch, image, times[image], pixels[place], sources[place], partners[place])
            )
            times[image] += 1
        return draws

    @cached_property
    def chances(self) -> Float[np.ndarray, " C"]:
        """How often each class of `where.present` is drawn, of sum 1.

        `rare` is exp((1 - share of its pixels) / temperature), rescaled (Hoyer et al. 2022).
        """
        assert self.where is not None
        shares = self.where.shares
        chances = np.ones(len(shares))
        if self.classes == "rare":
            chances = np.exp((shares.min() - shares) / self.temperature)
        # A class of images of weight 0 alone is never met.
        rows = (self.where.rows(int(label)) for label in self.where.present)
        chances *= [self._weights(self.where.images(held)).any() for held in rows]
        if not chances.any():
            raise DataError("no training image of a weight above 0 shows any class")
        return chances / chances.sum()

    @cached_property
    def paste_chances(self) -> Float[np.ndarray, " C"]:
        """The same for what is pasted: classes with no more pixels than all have on average."""
        assert self.where is not None
        shares = self.where.shares
        # Rounding must not leave out a class of exactly the mean.
        allowed = np.where(shares <= 1 / len(shares) + 1e-9, self.chances, 0)
        allowed = allowed if allowed.any() else self.chances
        return allowed / allowed.sum()

    def lines(self, names: Sequence[str]) -> list[str]:
        """What a user should know of the draws, in classes by their names."""
        if self.where is None:
            return []
        present = [names[int(label)] for label in self.where.present]
        told: list[str] = []
        looked = np.count_nonzero(self.where.widths)
        if looked < len(self.where):
            told.append(
                f"where the classes are is known of {looked} of {len(self.where)} training images"
            )
        if self.classes != "none":
            how = f"each of {len(present)} equally often"
            if self.classes == "rare":
                how = _by_chance(present, self.chances)
            told.append(f"{self.share * 100:.0f} % of the crops are aimed at a class: {how}")
        if self.copy_paste:
            what = _by_chance(present, self.paste_chances)
            told.append(f"{self.copy_paste * 100:.0f} % of the crops get a pasted piece: {what}")
        return told

    def _aimed(self, draw: np.random.Generator, count: int) -> Int64[np.ndarray, " M"]:
        """The row of `where` for each sample that is aimed at a class."""
        if self.classes == "none":
            return np.zeros(0, np.int64)
        return self._rows(draw, self.chances, int(self.share * count + draw.random()))

    def _rows(
        self, draw: np.random.Generator, chances: Float[np.ndarray, " C"], count: int
    ) -> Int64[np.ndarray, " M"]:
        """Draw classes, and for each an image that holds it, by the weights of the images."""
        assert self.where is not None
        drawn = [np.zeros(0, np.int64)]
        often = np.bincount(spread(draw, chances, count), minlength=len(chances))
        for label, times in zip(self.where.present.tolist(), often.tolist(), strict=True):
            if times:
                rows = self.where.rows(label)
                weights = self._weights(self.where.images(rows))
                drawn.append(rows[spread(draw, weights, times)])
        return draw.permutation(np.concatenate(drawn))

    def _plain(
        self, draw: np.random.Generator, size: int, count: int, order: Sequence[int]
    ) -> Int64[np.ndarray, " M"]:
        if self.weights is None:
            return np.array(order[:count], np.int64)
        return spread(draw, self._weights(np.arange(size)), count)

    def _sources(
        self, draw: np.random.Generator, images: Int64[np.ndarray, " M"]
    ) -> list[Source | None]:
        """What is pasted into each sample; never a piece of the very same image."""
        sources: list[Source | None] = [None] * len(images)
        if not self.copy_paste:
            return sources
        assert self.where is not None
        chosen = np.flatnonzero(draw.random(len(images)) < self.copy_paste)
        rows = self._rows(draw, self.paste_chances, len(chosen))
        pixels = self._pixels(rows, draw)
        others = self._images(rows)
        for place, row, other, pixel in zip(chosen, rows, others, pixels, strict=True):
            if other != images[place]:
                sources[place] = Source(int(other), int(self.where.labels[row]), pixel)
        return sources

    def _partners(self, draw: np.random.Generator, size: int, count: int) -> list[int | None]:
        """The image that each sample is mixed with, now and then its own."""
        partners: list[int | None] = [None] * count
        if self.mix is None:
            return partners
        chosen = np.flatnonzero(draw.random(count) < self.mix_chance)
        others = spread(draw, self._weights(np.arange(size)), len(chosen))
        for place, other in zip(chosen, others, strict=True):
            partners[place] = int(other)
        return partners

    def _weights(self, images: Int64[np.ndarray, " M"]) -> Float[np.ndarray, " M"]:
        if self.weights is None:
            return np.ones(len(images))
        return np.asarray(self.weights, np.float64)[images]

    def _images(self, rows: Int64[np.ndarray, " M"]) -> Int64[np.ndarray, " M"]:
        return self.where.images(rows) if self.where is not None else rows

    def _pixels(
        self, rows: Int64[np.ndarray, " M"], draw: np.random.Generator
    ) -> list[tuple[int, int]]:
        if self.where is None:
            return []
        return self.where.pixels_at(rows, draw.integers(0, POINTS, len(rows)))

    def _check_size(self, size: int) -> None:
        told = {"weights": self.weights, "whereabouts": self.where}
        for what, part in told.items():
            if part is not None and len(part) != size:
                raise ValueError(f"{what} are of {len(part)} images, the dataset has {size}")


def _by_chance(names: Sequence[str], chances: Float[np.ndarray, " C"]) -> str:
    """The likeliest names first, as far as they make a line."""
    order = [place for place in np.argsort(-chances, kind="stable") if chances[place] > 0]
    told = [f"{names[place]} {chances[place] * 100:.1f} %" for place in order[:LISTED]]
    return ", ".join(told) + (f" and {len(order) - LISTED} more" if len(order) > LISTED else "")


def _streams(seed: int, epoch: int) -> list[np.random.Generator]:
    """A generator for each kind of draw, so that one choice leaves the draws of another alone."""
    children = np.random.SeedSequence([seed, epoch]).spawn(4)
    return [np.random.default_rng(child) for child in children]
