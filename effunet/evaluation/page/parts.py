"""What a page shows in pictures: panels side by side make a figure, figures make a section."""

from dataclasses import dataclass

from jaxtyping import UInt8
from numpy import ndarray


@dataclass(frozen=True)
class Panel:
    """One picture of a figure."""

    title: str
    picture: UInt8[ndarray, "H W 3"]
    smooth: bool
    """A photo, which may be smoothed and kept with losses; False: a map whose colours must stay."""


@dataclass(frozen=True)
class Figure:
    """Pictures of one thing, side by side."""

    title: str
    caption: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Section:
    """Figures of one kind; the lead says in a sentence what is seen and what to do with it."""

    key: str
    """worst, confused or suspects: which legends stand above the figures."""
    title: str
    lead: str
    figures: tuple[Figure, ...]
