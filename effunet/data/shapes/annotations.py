"""What every annotation file is once it is read: names of images, and a drawing for each.

Only places and counts are kept, so that the annotations of 100 000 images take a few megabytes; the
shapes of an image are read from the file when its drawing is asked for.
"""

import unicodedata
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from effunet.data.shapes.drawing import Drawing
from effunet.errors import DataError


class Annotations(ABC):
    """The annotations of one file, with the shapes of each image in the file's order."""

    def __init__(
        self,
        names: Sequence[str],
        labels: Mapping[str, int],
        notices: Sequence[str] = (),
        aliases: Mapping[str, int] | None = None,
    ) -> None:
        self.names = names
        """The images' file names, as the file gives them."""
        self.notices = notices
        """Lines to show the user: what the file holds and no mask can."""
        self.aliases = aliases or {}
        """Other names of images, by which a copy of theirs may be found, and their index."""
        self._labels = dict(labels)

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def drawing(self, index: int) -> Drawing:
        """The shapes of one image.

        Raises:
            DataError: a shape that cannot be meant; names file, image, shape and mend.
        """

    def labels(self) -> dict[str, int]:
        """How many shapes have each label; 0 for one that the file declares and does not use."""
        return dict(self._labels)


class OneDrawing(Annotations):
    """The annotations of one image in a file of its own."""

    def __init__(self, name: str, drawing: Drawing, notices: Sequence[str] = ()) -> None:
        labels: defaultdict[str, int] = defaultdict(int)
        for shape in drawing.shapes:
            labels[shape.label] += 1
        super().__init__((name,), labels, notices)
        self._drawing = drawing

    def drawing(self, index: int) -> Drawing:
        """The shapes of the image, whose index is 0."""
        return self._drawing


def finder(annotations: Annotations) -> Callable[[str], int | None]:
    """A function from an image's path to its index in the annotations, None where it has none.

    The path and the annotations' name may begin with different folders: the longest common end that
    leaves no doubt counts, and it has the whole file name at least.
    """
    places: defaultdict[str, set[int]] = defaultdict(set)
    named = [*enumerate(annotations.names), *((i, name) for name, i in annotations.aliases.items())]
    for index, name in named:
        for end in _ends(name):
            places[end].add(index)

    def find(path: str) -> int | None:
        found = (places[end] for end in _ends(path) if end in places)
        return next((next(iter(indices)) for indices in found if len(indices) == 1), None)

    return find


def _ends(path: str) -> list[str]:
    """a/b/c.png, b/c.png, c.png: with accents as one letter, and folders divided as on Linux."""
    plain = unicodedata.normalize("NFC", path).replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".", "..")]
    return ["/".join(parts[i:]) for i in range(len(parts))]


def refuse_twins(file: object, names: Sequence[str]) -> None:
    """Raise DataError if a name stands twice, so that it would not say which image is meant."""
    if len(set(names)) < len(names):
        twins = [name for name, count in Counter(names).items() if count > 1]
        raise DataError(
            f"{file}: {len(twins)} names are given to several images: {', '.join(twins[:10])}; "
            "merge their annotations, or rename the images"
        )


def left_out(file: object, kinds: Mapping[str, int], why: str) -> list[str]:
    """The notice of shapes that are not painted; none where there are none."""
    if not kinds:
        return []
    told = ", ".join(f"{count} of kind {kind}" for kind, count in sorted(kinds.items()))
    return [f"{file}: left out {told}: {why}"]
