"""Where descriptions lie: data/NAME/dataset.yaml of the working directory, checkout or package."""

import re
from pathlib import Path

from effunet.data.describe.description import FILE_NAME


def description_file(name: str) -> Path | None:
    """The dataset.yaml of a name: in the working directory, the checkout, or the package."""
    # A name is one plain word; what has a separator or a dot in front is a path and no name.
    if not re.fullmatch(r"\w[\w.-]{0,99}", name):
        return None
    return next((f for shelf in _shelves() if (f := shelf / name / FILE_NAME).is_file()), None)


def known_names() -> list[str]:
    """Every name that description_file would find."""
    return sorted({f.parent.name for shelf in _shelves() for f in shelf.glob(f"*/{FILE_NAME}")})


def _shelves() -> tuple[Path, ...]:
    package = Path(__file__).resolve().parents[2]
    return Path("data"), package.parent / "data", package / "descriptions"
