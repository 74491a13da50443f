"""From metres to pixels: a pinhole camera that looks along a road with a bend and a slope.

World: x to the right of the road's middle, y up, z ahead, in metres. The frame follows the road:
its bend and its slope happen in the projection, so everything else thinks of a straight, flat
street. Coordinates are rounded to whole pixels here, once, so that shapes are the same on every
machine; what decides them is made of sums, products, quotients and square roots, which IEEE 754
fixes to the bit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.int32]
Points = NDArray[np.floating]
Corners = Points | Sequence[Any]  # points, or lists of them

NEAR = 0.8  # metres: nothing is drawn nearer to the eye


@dataclass(frozen=True)
class Camera:
    """Where the eye is and what it sees; `focal` and the horizon are shares of the image's size."""

    height: int  # pixels
    width: int  # pixels
    focal: float = 0.95  # of the geometric mean of the sides
    horizon: float = 0.45  # of the height, from the top
    eye: float = 1.5  # metres above the road
    offset: float = 0.0  # metres to the right of the centre line
    heading: float = 0.0  # drift of the road to the right, metres per metre
    bend: float = 0.0  # 1/m: the road goes right by bend * z * z
    slope: float = 0.0  # 1/m: the road climbs by slope * z * z

    @cached_property
    def reach(self) -> float:
        """Pixels that one metre takes at a distance of one metre."""
        return self.focal * math.sqrt(self.height * self.width)

    def project(self, points: Corners) -> Pixels:
        """World points (..., 3) to whole pixels (..., 2) as column, row."""
        eye, scale, curve, middle = self._lens
        world = np.asarray(points, np.float64)
        z = np.maximum(world[..., 2:], NEAR)
        pixels = world[..., :2] - eye
        pixels *= scale
        pixels /= z
        pixels += z * curve
        pixels += middle
        return np.floor(pixels, out=pixels).astype(np.int32)

    @cached_property
    def _lens(self) -> tuple[Points, Points, Points, Points]:
        """Eye, pixels a metre, pixels of bend and slope a metre, the vanishing point."""
        reach = self.reach
        return (
            np.array((self.offset, self.eye)),
            np.array((reach, -reach)),
            np.array((reach * self.bend, -reach * self.slope)),
            np.array((self.middle + 0.5, self.horizon * self.height + 0.5)),
        )

    @cached_property
    def middle(self) -> float:
        """Column of the road's vanishing point, were it straight."""
        return 0.5 * self.width + self.heading * self.reach

    def ground(self, points: Corners) -> Pixels:
        """Ground points (..., 2) as x, z to whole pixels."""
        flat = np.asarray(points, np.float64)
        world = np.zeros((*flat.shape[:-1], 3))
        world[..., 0] = flat[..., 0]
        world[..., 2] = flat[..., 1]
        return self.project(world)

    def spot(self, x: float, z: float) -> "Spot":
        """A place on the ground to stand at."""
        z = max(z, NEAR)
        scale = self.reach / z
        column = self.middle + scale * (x - self.offset) + self.reach * self.bend * z
        row = self.horizon * self.height + scale * self.eye - self.reach * self.slope * z
        return Spot(column, row, scale)

    def row_distance(self) -> Points:
        """Distance in metres of the ground in each pixel row, as far as 400 m (and above)."""
        below = np.arange(self.height) + 0.5 - self.horizon * self.height
        return np.minimum(self.reach * self.eye / np.maximum(below, 1e-3), 400.0)


class Spot(NamedTuple):
    """Where a thing that faces the eye stands, in pixels, and how large a metre is there."""

    column: float
    row: float
    scale: float  # pixels per metre

    def pixels(self, local: Corners) -> Pixels:
        """Local points (..., 2), metres right of and above the spot, to whole pixels."""
        flat = np.asarray(local, np.float64) * (self.scale, -self.scale)
        flat += (self.column + 0.5, self.row + 0.5)
        return np.floor(flat).astype(np.int32)
