"""A shape -> the pixels that it covers; the one place where shapes become pixels.

The rule: a pixel belongs to a polygon if its centre lies inside. Vertices are rounded to fifths of
a pixel, and where an edge crosses the line through the centres of a column, the crossing is rounded
to a fifth, too: this is the rule of COCO's own tools (cocoapi, common/maskApi.c), so COCO polygons
become the very pixels that everybody else compares with. A pixel whose centre is more than 0.3
pixels away from every edge is therefore always right, polygons that share an edge never overlap
there and leave no gap, and a polygon of no area (or of fewer than three points) covers nothing.
An ellipse covers the pixels whose centres lie in it. What lies outside the image is cut off.

A traced polygon (Cityscapes, IDD) is filled by Pillow instead, border included, as the official
scripts of these datasets do.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from PIL import Image, ImageDraw

from effunet.data.shapes.drawing import Ellipse, Part, Points, Polygon, Traced
from effunet.data.shapes.rle import Bits, Runs

GRID = 5
MOST_CROSSINGS = 50_000_000
"""Crossings of edges and columns in one polygon: more than any real one of 500 million pixels."""

Numbers = Int64[np.ndarray, " C"]
Walked = Int64[np.ndarray, "C 5"]
"""Of each crossing: its edge's start x y, the way to its end dx dy, and the fifth to leave."""


@dataclass(frozen=True, eq=False)
class Cover:
    """Pixels of an image: a bitmap, and the row and column of its first pixel."""

    bits: Bits
    top: int
    left: int

    @property
    def place(self) -> tuple[slice, slice]:
        """The rows and columns of the bitmap in the image."""
        height, width = self.bits.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


NOTHING = Cover(np.zeros((0, 0), np.bool_), 0, 0)


def cover(parts: Sequence[Part], size: tuple[int, int]) -> Cover:
    """The pixels of an image of size (height, width) that any of the parts covers.

    Raises:
        ValueError: a polygon too intricate for any image.
    """
    covers = [found for part in parts if (found := _cover(part, size)).bits.size]
    if len(covers) < 2:
        return covers[0] if covers else NOTHING
    top, left = min(c.top for c in covers), min(c.left for c in covers)
    bottom = max(c.place[0].stop for c in covers)
    right = max(c.place[1].stop for c in covers)
    bits = np.zeros((bottom - top, right - left), np.bool_)
    for each in covers:
        height, width = each.bits.shape
        row, column = each.top - top, each.left - left
        bits[row : row + height, column : column + width] |= each.bits
    return Cover(bits, top, left)


def _cover(part: Part, size: tuple[int, int]) -> Cover:
    match part:
        case Polygon():
            return fill(part.rings, size)
        case Traced():
            return _trace(part.ring, size)
        case Ellipse():
            return _fill_ellipse(part, size)
        case Runs():
            return _clip(part.bits(), part.top, part.left, size)


def fill(rings: Sequence[Points], size: tuple[int, int]) -> Cover:
    """The pixels inside an odd number of rings."""
    rows, columns = _crossings(rings, size)
    if not rows.size:
        return NOTHING
    top, left = int(rows.min()), int(columns.min())
    height, width = int(rows.max()) - top, int(columns.max()) - left + 1
    # Modulo 256, which keeps what is odd: inside begins and ends at each crossing of a column.
    turns = np.zeros((height + 1) * width, np.uint8)
    np.add.at(turns, (rows - top) * width + (columns - left), np.uint8(1))
    inside = np.cumsum(turns.reshape(height + 1, width)[:height], 0, np.uint8)
    return Cover((inside & 1).view(np.bool_), top, left)


def _crossings(rings: Sequence[Points], size: tuple[int, int]) -> tuple[Numbers, Numbers]:
    """Row (0..height) and column (0..width-1) of every place where inside and outside change.

    The edges are walked in steps of a fifth along their longer side; a column's centre line lies
    between the fifths 5k + 2 and 5k + 3, and the upper one of the two steps there counts.
    """
    grids = [np.trunc(GRID * ring + 0.5).astype(np.int64) for ring in rings if len(ring) > 2]
    if not grids:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    start = np.concatenate(grids)
    end = np.concatenate([np.roll(grid, -1, 0) for grid in grids])
    flat = np.abs(end - start)[:, 0] >= np.abs(end - start)[:, 1]
    # One direction for each edge, so that two polygons walk a shared one alike.
    turned = np.where(flat, start[:, 0] > end[:, 0], start[:, 1] > end[:, 1])
    start, end = np.where(turned[:, None], (end, start), (start, end))
    low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    first = np.maximum(0, (low + 2) // GRID)
    count = np.maximum(0, np.minimum(size[1] - 1, (high - 3) // GRID) - first + 1)
    if count.sum() > MOST_CROSSINGS:
        raise ValueError(f"its edges cross {count.sum()} columns of pixels: simplify the polygon")
    edge = np.repeat(np.arange(len(start)), count)
    column = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    walked = np.column_stack([start[edge], (end - start)[edge], GRID * column + 2])
    along_x = flat[edge]
    height = np.empty(len(edge), np.int64)
    height[along_x], height[~along_x] = _along_x(walked[along_x]), _along_y(walked[~along_x])
    return np.clip((height + 2) // GRID, 0, size[0]), column


def _along_x(walked: Walked) -> Numbers:
    """The height, in fifths, at which each edge, walked along x, leaves the fifth before."""
    x, y, dx, dy, before = walked.T
    rise = dy / dx
    steps = (np.trunc(y + rise * (before + step - x) + 0.5) for step in (0, 1))
    return np.minimum(*steps).astype(np.int64)


def _along_y(walked: Walked) -> Numbers:
    """The same of edges that are walked along y: the step before the one that passes."""
    x, y, dx, dy, before = walked.T
    lean = dx / dy

    def passed(step: Float64[np.ndarray, " C"]) -> Bool[np.ndarray, " C"]:
        beyond = np.trunc(x + lean * step + 0.5) > before
        return np.where(dx > 0, beyond, ~beyond)

    # The division may be off by the last bit, so its neighbours are tried.
    guess = np.ceil((before + 0.5 - x) / lean)
    guess = np.where(passed(guess - 1), guess - 1, guess)
    guess = np.where(passed(guess), guess, guess + 1)
    return y + guess.astype(np.int64) - 1


def _fill_ellipse(ellipse: Ellipse, size: tuple[int, int]) -> Cover:
    """The pixels whose centres lie in an ellipse: in each row an interval of columns."""
    if min(ellipse.radius_x, ellipse.radius_y) <= 0:
        return NOTHING
    sine, cosine = (f(math.radians(ellipse.degrees)) for f in (math.sin, math.cos))
    flat, steep = 1 / ellipse.radius_x**2, 1 / ellipse.radius_y**2
    # a dx^2 + b dx dy + c dy^2 <= 1, with dx and dy from the centre.
    a = cosine**2 * flat + sine**2 * steep
    b = 2 * sine * cosine * (flat - steep)
    c = sine**2 * flat + cosine**2 * steep
    reach = math.hypot(ellipse.radius_x * sine, ellipse.radius_y * cosine)
    top = max(0, math.ceil(ellipse.y - reach - 0.5))
    bottom = min(size[0], math.floor(ellipse.y + reach - 0.5) + 1)
    dy = np.arange(top, max(top, bottom)) + 0.5 - ellipse.y
    half = np.sqrt(np.maximum(0, (b * dy) ** 2 - 4 * a * (c * dy**2 - 1))) / (2 * a)
    middle = ellipse.x - 0.5 - b * dy / (2 * a)
    first = np.clip(np.ceil(middle - half), 0, size[1]).astype(np.int64)
    behind = np.clip(np.floor(middle + half) + 1, 0, size[1]).astype(np.int64)
    filled = behind > first
    if not filled.any():
        return NOTHING
    left = int(first[filled].min())
    columns = np.arange(left, int(behind[filled].max()))
    return Cover((columns >= first[:, None]) & (columns < behind[:, None]), top, left)


def _trace(ring: Points, size: tuple[int, int]) -> Cover:
    """What Pillow fills, border included; drawn from the image's corner, since it is not shifted.

    Pillow rounds a slope in single precision, so a drawing moved to its box could differ.
    """
    if len(ring) < 2:
        return NOTHING
    (left, top), (right, bottom) = np.floor(ring.min(0)), np.ceil(ring.max(0))
    left, top = (int(max(0, edge)) for edge in (left, top))
    width, height = int(min(size[1], right + 1)), int(min(size[0], bottom + 1))
    if left >= width or top >= height:
        return NOTHING
    canvas = Image.new("L", (width, height), 0)
    ImageDraw.Draw(canvas).polygon([(x, y) for x, y in ring.tolist()], fill=1)
    box = canvas.crop((left, top, width, height))
    return Cover(np.asarray(box).view(np.bool_), top, left)


def _clip(bits: Bits, top: int, left: int, size: tuple[int, int]) -> Cover:
    rows = slice(max(0, -top), max(0, size[0] - top))
    inside = bits[rows, max(0, -left) : max(0, size[1] - left)]
    return Cover(inside, max(0, top), max(0, left)) if inside.size else NOTHING
