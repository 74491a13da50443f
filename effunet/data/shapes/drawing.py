"""What annotations say of one image: shapes with labels, in the order in which they are painted.

Coordinates are x (to the right) and y (down) in pixels; 0, 0 is the corner of the first pixel, so
its centre is 0.5, 0.5. What a shape covers is told in effunet/data/shapes/cover.py.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from effunet.data.shapes.rle import Runs

Points = Float64[np.ndarray, "_ 2"]


@dataclass(frozen=True, eq=False)
class Polygon:
    """Rings, each closed by itself; a point inside an even number of them is outside (a hole)."""

    rings: tuple[Points, ...]


@dataclass(frozen=True, eq=False)
class Traced:
    """A polygon of which the pixels of its border are part, as Cityscapes' own tools fill it.

    Its coordinates name pixels, not their corners.
    """

    ring: Points


@dataclass(frozen=True)
class Ellipse:
    """Centre and radii in pixels; turned by degrees, clockwise as people see the image."""

    x: float
    y: float
    radius_x: float
    radius_y: float
    degrees: float = 0


Part = Polygon | Traced | Ellipse | Runs


@dataclass(frozen=True, eq=False, kw_only=True)
class Shape:
    """One labelled shape: all that any of its parts covers.

    also is a label to try where label is unknown. level says which of two shapes lies above (the
    higher one), before their order in the file does. Shapes of one label and one group are parts
    of one object, whose area they share. crowd marks COCO's crowds.
    """

    label: str
    parts: tuple[Part, ...]
    also: str = ""
    level: int = 0
    group: Hashable = None
    crowd: bool = False


@dataclass(frozen=True, eq=False)
class Drawing:
    """The shapes of one image in the file's order; where names file and image, for messages.

    size is (height, width) as the annotations say it, or None where they do not.
    """

    where: str
    size: tuple[int, int] | None
    shapes: tuple[Shape, ...]
