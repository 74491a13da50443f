"""One file -> whether its pixels look like those of a mask or of a photograph."""

from pathlib import Path

import numpy as np
from PIL import Image

from effunet.data.draft.words import Role
from effunet.data.files.masks import LOSSY, read_raw_mask
from effunet.errors import EffunetError

MOST_VALUES = 256
"""Different values of a mask; a photograph of any size has more colours."""

STEADY = 0.75
"""The share of pixels of a mask that equal their left neighbour."""


SEEN = 1024
"""Rows and columns that are looked at."""


def looks_like(file: Path) -> Role:
    """A mask has few values in large areas, and a format that keeps them."""
    try:
        with Image.open(file) as image:
            if image.format in LOSSY:
                return "image"
            if image.mode in ("P", "1"):
                return "mask"
        raw = read_raw_mask(file)[:SEEN, :SEEN]
    except (EffunetError, OSError, ValueError, SyntaxError):
        return "image"  # of which the check says what is wrong
    same = raw[:, 1:] == raw[:, :-1]
    steady = float((same.all(axis=2) if same.ndim == 3 else same).mean()) if same.size else 1.0
    values = np.unique(raw.reshape(-1, raw.shape[2]) if raw.ndim == 3 else raw, axis=0)
    return "mask" if steady >= STEADY and len(values) <= MOST_VALUES else "image"
