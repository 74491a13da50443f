"""A folder -> the shipped description that already fits it, so that nobody writes it anew."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from effunet.data.describe.description import Description, Files
from effunet.data.describe.layouts import LAYOUTS, Masks
from effunet.data.describe.read import read_description
from effunet.data.describe.shelf import description_file, known_names
from effunet.data.sources.search import list_split
from effunet.errors import EffunetError
from effunet.values import RawValue


def known_as(folder: Path, values: Collection[RawValue]) -> str:
    """The name of a dataset whose own layout has pairs here and knows all values; else empty."""
    for name in known_names():
        file = description_file(name)
        with suppress(EffunetError):  # of a description in the working folder
            if file is not None and _fits(read_description(file), folder, values):
                return name
    return ""


def _fits(description: Description, folder: Path, values: Collection[RawValue]) -> bool:
    origin, labels = description.origin, description.labels
    known = {value for label in labels.classes for value in label.values} | {*labels.ignore}
    if not isinstance(origin, Files) or not known.issuperset(values):
        return False
    # A layout that any folder may have says nothing.
    own = tuple(one for one in origin.layouts if isinstance(one, Masks) and one not in LAYOUTS)
    for split in origin.names if own else ():
        with suppress(EffunetError):
            if len(list_split(folder, replace(origin, layouts=own), split).pairs):
                return True
    return False
