"""Images of any size to probabilities or masks, in one way for evaluate, predict and training.

The network takes any size by itself. Tiles are for images whose activations do not fit into the
memory; an image that one tile covers is done whole: the same numbers, bit for bit. Looks at other
scales and at the mirrored image are averaged, as probabilities, within each tile and before tiles
are blended, so that the memory stays that of a tile whatever the scales: a tile is resized, not the
image. What a resized tile lacks at its border lies where its weight ends in zero.

Classes are decided last, at the image's own size (`Segmenter.decided`).
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped, UInt8
from numpy import ndarray
from torch import Tensor

from effunet.infer.tiles import Block, blend
from effunet.infer.way import WHOLE, Way
from effunet.prediction import Picture, Prediction
from effunet.predictor import Predictor


def predict(segmenter: Predictor, image: Picture, way: Way = WHOLE) -> Prediction:
    """Segment one image, keeping all probabilities; the default is the same as calling it."""
    array = segmenter.as_array(image)
    probabilities = np.empty((len(segmenter.labels), *array.shape[:2]), np.float32)
    for rows, columns, part in blocks(segmenter, array, way):
        probabilities[:, rows, columns] = part.cpu().numpy()
    return segmenter.prediction(array, probabilities)


def predict_mask(
    segmenter: Predictor, image: UInt8[ndarray, "H W C"], way: Way = WHOLE
) -> UInt8[Tensor, "H W"]:
    """Class indices alone, on the segmenter's device; keeps no probabilities of the whole image."""
    if way.once(*image.shape[:2]) and (named := segmenter.given_mask(image)) is not None:
        return named
    mask = torch.empty(image.shape[:2], dtype=torch.uint8, device=segmenter.device)
    for rows, columns, part in blocks(segmenter, image, way):
        mask[rows, columns] = segmenter.decide(part)
    return mask


def predict_decided(
    segmenter: Predictor, image: UInt8[ndarray, "H W C"], way: Way = WHOLE
) -> tuple[UInt8[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Class indices and their confidence, the probability (0..1) of the class that they name.

    Both on the segmenter's device; keeps no probabilities of the whole image. Where a predictor
    gives masks alone, all its confidence is 1.
    """
    if way.once(*image.shape[:2]) and (named := segmenter.given_mask(image)) is not None:
        return named, torch.ones(named.shape)
    mask = torch.empty(image.shape[:2], dtype=torch.uint8, device=segmenter.device)
    confidence = torch.empty(image.shape[:2], device=segmenter.device)
    for rows, columns, part in blocks(segmenter, image, way):
        mask[rows, columns], confidence[rows, columns] = segmenter.decided(part)
    return mask, confidence


def strips(
    segmenter: Predictor, image: UInt8[ndarray, "H W C"], way: Way = WHOLE
) -> Iterator[tuple[int, Float[Tensor, "K h W"]]]:
    """Probabilities of an image from top to bottom, as (first row, strip as wide as the image).

    A strip is as high as a tile or lower; `blocks` need no memory for its width.
    """
    width = image.shape[1]
    strip: Tensor | None = None
    for rows, columns, part in blocks(segmenter, image, way):
        if columns.stop - columns.start == width:
            yield rows.start, part
            continue
        if strip is None:
            strip = part.new_empty(len(part), part.shape[1], width)
        strip[:, :, columns] = part
        if columns.stop == width:
            done, strip = strip, None
            yield rows.start, done
            del done


def blocks(
    segmenter: Predictor, image: UInt8[ndarray, "H W C"], way: Way = WHOLE
) -> Iterator[Block]:
    """Probabilities of an image as (rows, columns, block); the blocks cover it once.

    Args:
        segmenter: does one look at one tile at a time, on its own device.
        image: of any size; one that a tile covers comes in blocks of its own width.
        way: tiles, scales, mirrored image.
    """
    height, width = image.shape[:2]
    if way.once(height, width):
        for top, part in segmenter.strips(image):
            yield slice(top, top + part.shape[1]), slice(0, width), part
        return
    if way.tile is None or max(height, width) <= way.tile:
        yield slice(0, height), slice(0, width), _looks(segmenter, image, way)
        return
    yield from blend(
        lambda rows, columns: _looks(segmenter, image[rows, columns], way), height, width, way.tile
    )


@torch.inference_mode()
def _looks(
    segmenter: Predictor, image: UInt8[ndarray, "H W C"], way: Way
) -> Float[Tensor, "K H W"]:
    """The mean of the probabilities over scales and mirrored image, at the image's own size."""
    total: Tensor | None = None
    for scale in way.scales:
        seen = _scaled(image, scale)
        found = segmenter.probabilities(seen)
        if way.flip:
            found += segmenter.probabilities(seen[:, ::-1]).flip(2)
        found = _resized(found, *image.shape[:2])
        total = found if total is None else total.add_(found)
    assert total is not None  # a way has a scale
    looks = len(way.scales) * (1 + way.flip)
    return total if looks == 1 else total.div_(looks)


def _scaled(image: UInt8[ndarray, "H W C"], scale: float) -> UInt8[ndarray, "h w C"]:
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    if (height, width) == image.shape[:2]:
        return image
    # A copy, for torch warns of a read-only array.
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return _resized(pixels, height, width).permute(1, 2, 0).numpy()


def _resized(planes: Shaped[Tensor, "N H W"], height: int, width: int) -> Shaped[Tensor, "N h w"]:
    """Bilinear between the middles of pixels, over all pixels that a smaller one stands for."""
    if (height, width) == planes.shape[1:]:
        return planes
    size = (height, width)
    return F.interpolate(planes[None], size, mode="bilinear", antialias=True)[0]
