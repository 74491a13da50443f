"""Description: all that is known of a dataset before one of its files is opened.

It is what a dataset.yaml says (effunet/data/describe/read.py), or what a folder lets infer
(effunet/data/sources/guess.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from effunet.data.describe.layouts import LAYOUTS, Layout
from effunet.data.describe.splits import SPLITS, Part, Splits, split_names
from effunet.data.files.pixels import RGB, Pixels
from effunet.labels import LabelMap

FILE_NAME = "dataset.yaml"
GENERATORS = ("street",)

IGNORED = "ignore"
"""What stands for a class name in `maps` where the target has none, and in `unpainted`."""


@dataclass(frozen=True)
class Files:
    """Images and their truth in files below one or several folders."""

    layouts: tuple[Layout, ...] = LAYOUTS
    splits: Splits = field(default_factory=lambda: {split: Part((split,)) for split in SPLITS})
    roots: tuple[str, ...] = ()
    root_env: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the splits."""
        return split_names(self.splits)


@dataclass(frozen=True)
class Drawn:
    """How many images of a generator make a split, and from which seed."""

    seed: int
    images: int


@dataclass(frozen=True)
class Generated:
    """Images drawn on demand by a generator, in one size (height, width)."""

    generator: str
    size: tuple[int, int]
    splits: Mapping[str, Drawn]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.splits)


@dataclass(frozen=True)
class Facts:
    """What is published of a dataset: images of each split, and height and width of an image."""

    images: Mapping[str, int] = field(default_factory=dict[str, int])
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Description:
    """All that is known of a dataset before one of its files is opened.

    where names the file that says so, for messages; notices are lines to show the user: what was
    taken for granted where no file says it. maps has, for a target dataset, what this one's class
    names become there. instance_sizes has the average pixels of an instance of each class whose
    instances the files tell apart.
    """

    name: str
    labels: LabelMap
    origin: Files | Generated
    pixels: Pixels = RGB
    title: str = ""
    source: str = ""
    licence: str = ""
    where: str = FILE_NAME
    notices: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    facts: Facts = Facts()
    instance_sizes: Mapping[str, float] = field(default_factory=dict[str, float])
