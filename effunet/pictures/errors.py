"""Where a prediction is wrong, drawn over the dimmed image; how sure it is; windows to look closer.

The colours are of Okabe and Ito's palette ("Color Universal Design", 2008), which people with any
kind of colour vision can tell apart. Each drawing has its legend beside it.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray

from effunet.labels import IGNORE
from effunet.pictures.overlay import shown_image
from effunet.values import Color

SKY_BLUE, YELLOW, VERMILION = (86, 180, 233), (240, 228, 66), (213, 94, 0)

APART, NEAR = VERMILION, SKY_BLUE
HIT, FALSE_POSITIVE, FALSE_NEGATIVE = SKY_BLUE, VERMILION, YELLOW
HATCH = (24, 24, 28), (74, 76, 82)
"""The two greys of the stripes where the truth is unknown."""

STRIPE = 8
"""Pixels from one stripe to the next."""

Legend = tuple[tuple[str, Color], ...]

ERRORS: Legend = (
    ("wrong, away from any boundary", APART),
    ("wrong, in the boundary band", NEAR),
    ("not counted", HATCH[1]),
)
"""The legend of error_map; what is right is the dimmed grey image."""

CLASS_ERRORS: Legend = (
    ("found (hit)", HIT),
    ("seen where it is not (false positive)", FALSE_POSITIVE),
    ("missed (false negative)", FALSE_NEGATIVE),
    ("not counted", HATCH[1]),
)
"""The legend of class_errors; all that has nothing to do with the class is the dimmed image."""


MARKED: Legend = (("the pixels in question", APART), ("not counted", HATCH[1]))
"""The legend of marked_map; all else is the dimmed image."""


def marked_map(
    mask: Bool[ndarray, "H W"], truth: UInt8[ndarray, "H W"], image: UInt8[ndarray, "H W C"]
) -> UInt8[ndarray, "H W 3"]:
    """Some pixels in one colour over the dimmed image; 255 in the truth comes hatched."""
    picture = dimmed(image)
    picture[mask] = APART
    return _hatched(picture, truth)


def error_map(
    truth: UInt8[ndarray, "H W"],
    predicted: UInt8[ndarray, "H W"],
    band: Bool[ndarray, "H W"],
    image: UInt8[ndarray, "H W C"],
) -> UInt8[ndarray, "H W 3"]:
    """Wrong pixels in one colour inside the truth's boundary band and in another apart from it.

    Args:
        truth: class indices; 255 is not counted and comes hatched.
        predicted: class indices.
        band: True near a boundary of the truth, where an annotator's hand is unsure, too.
        image: what is dimmed below.
    """
    picture = dimmed(image)
    wrong = (truth != predicted) & (truth != IGNORE)
    picture[wrong & band] = NEAR
    picture[wrong & ~band] = APART
    return _hatched(picture, truth)


def class_errors(
    truth: UInt8[ndarray, "H W"],
    predicted: UInt8[ndarray, "H W"],
    index: int,
    image: UInt8[ndarray, "H W C"],
) -> UInt8[ndarray, "H W 3"]:
    """Hits, false positives and false negatives of one class; 255 in the truth comes hatched."""
    picture = dimmed(image)
    is_it, is_said = truth == index, predicted == index
    picture[is_it & is_said] = HIT
    picture[~is_it & is_said] = FALSE_POSITIVE
    picture[is_it & ~is_said] = FALSE_NEGATIVE
    return _hatched(picture, truth)


def confidence_map(confidence: Float32[ndarray, "H W"]) -> UInt8[ndarray, "H W 3"]:
    """The confidence of each pixel, 0..1, in cividis: dark blue is unsure, bright yellow is sure.

    Equal steps of confidence look equally far apart, with any colour vision (Nunez et al. 2018).

    Raises:
        ValueError: a confidence lies outside 0..1 or is no number.
    """
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError(
            "a confidence is a probability and must lie in [0, 1], got values from "
            f"{confidence.min()} to {confidence.max()}: take the softmax first"
        )
    levels = np.rint(confidence * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS), cv2.COLOR_BGR2RGB)


def confidence_scale(steps: int = 11) -> list[Color]:
    """The colours of confidences from 0 to 1 in equal steps: the legend of confidence_map."""
    colours = confidence_map(np.linspace(0, 1, steps, dtype=np.float32)[None])[0]
    return [(int(red), int(green), int(blue)) for red, green, blue in colours]


def crop_around(
    place: tuple[slice, slice],
    size: tuple[int, int],
    *,
    context: float = 0.5,
    smallest: int = 96,
) -> tuple[slice, slice]:
    """A window for looking at an object: square where the image allows it, with its surroundings.

    Args:
        place: rows and columns of the object's bounding box, inside the image.
        size: height and width of the image, pixels.
        context: what is added on each side, as a share of the object's longer side.
        smallest: side that a window has at least, pixels, as far as the image is that large.

    Returns:
        Rows and columns inside the image that hold all of the place.
    """
    side = max(part.stop - part.start for part in place)
    side = max(smallest, round(side * (1 + 2 * context)))
    return _stretch(place[0], side, size[0]), _stretch(place[1], side, size[1])


def dimmed(image: UInt8[ndarray, "H W C"]) -> UInt8[ndarray, "H W 3"]:
    """The image in grey at half its contrast, so that colours laid over it stand out."""
    grey = cv2.cvtColor(shown_image(image), cv2.COLOR_RGB2GRAY)
    return np.repeat((grey // 2 + 40)[..., None], 3, axis=2)


def _stretch(part: slice, side: int, end: int) -> slice:
    """`side` pixels round the middle of the part, moved inward where the image ends."""
    side = min(side, end)
    start = (part.start + part.stop - side) // 2
    start = min(max(start, 0), end - side)
    return slice(start, start + side)


def _hatched(
    picture: UInt8[ndarray, "H W 3"], truth: UInt8[ndarray, "H W"]
) -> UInt8[ndarray, "H W 3"]:
    """The picture, striped where the truth is unknown."""
    rows, columns = np.ogrid[: truth.shape[0], : truth.shape[1]]
    dark = (rows + columns) % STRIPE < STRIPE // 2
    stripes = np.where(dark[..., None], *np.array(HATCH, np.uint8))
    return np.where((truth == IGNORE)[..., None], stripes, picture)
