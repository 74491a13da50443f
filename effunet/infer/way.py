"""The way in which an image is predicted, as one value: in tiles, at several scales, mirrored."""

from collections.abc import Sequence
from dataclasses import dataclass

GRID = 32
"""Tiles start and end on multiples of the network's last reduction: its feature cells then lie
where those of the whole image lie."""

SMALLEST = 64

LEAST, MOST = 0.25, 4.0
"""Scales below and above show a network what no training did."""


@dataclass(frozen=True)
class Way:
    """How an image is predicted; probabilities of several looks are averaged, all alike.

    Raises ValueError, which names the nearest right value, for what is out of its range.
    """

    tile: int | None = None  # height and width, a multiple of 32, 64 at least; None: whole images
    flip: bool = False  # look at the mirrored image, too: twice the time
    scales: tuple[float, ...] = (1.0,)  # in 0.25..4; scale s costs s * s of the time of scale 1

    def __post_init__(self) -> None:
        if self.tile is not None and (self.tile < SMALLEST or self.tile % GRID):
            below = max(SMALLEST, self.tile // GRID * GRID)
            raise ValueError(
                f"tile must be a multiple of {GRID} and {SMALLEST} at least, got {self.tile}: "
                f"use {below} or {below + GRID}"
            )
        if not self.scales:
            raise ValueError("scales must name at least one: use 1, the image's own size")
        for scale in self.scales:
            if not LEAST <= scale <= MOST:  # nan lies nowhere
                nearest = MOST if scale > MOST else LEAST if scale < LEAST else 1
                raise ValueError(
                    f"a scale must lie in {LEAST:g} to {MOST:g}, got {scale:g}: use {nearest:g}"
                )
        once = tuple(dict.fromkeys(self.scales))
        if once != self.scales:
            raise ValueError(
                f"each scale counts once, got {_listed(self.scales)}: use {_listed(once)}"
            )

    def once(self, height: int, width: int) -> bool:
        """Whether an image of this size is looked at whole, and only once."""
        whole = self.tile is None or max(height, width) <= self.tile
        return whole and not self.flip and self.scales == (1.0,)

    def describe(self) -> str:
        """The way in words, for a report: 'whole images, at scales 0.75, 1, 1.25'."""
        parts = ["whole images" if self.tile is None else f"tiles of {self.tile} pixels"]
        if self.scales != (1.0,):
            parts.append(f"at scale{'s'[: len(self.scales) > 1]} {_listed(self.scales)}")
        if self.flip:
            parts.append("with the mirrored image")
        return ", ".join(parts)


WHOLE = Way()
"""The network on the whole image, once."""


def _listed(scales: Sequence[float]) -> str:
    return ", ".join(f"{scale:g}" for scale in scales)
