"""Palette PNGs: their values and colours, read back by another decoder."""

import io

import numpy as np
from PIL import Image
from tiny_segmenter import LABELS, random_image

from effunet.labels import LabelClass, LabelMap
from effunet.pictures.palettes import mask_png, png

MASK = np.array([[0, 1, 2, 255]], np.uint8)


def test_a_mask_png_holds_the_indices_and_shows_the_colours() -> None:
    with Image.open(io.BytesIO(mask_png(MASK, LABELS))) as picture:
        assert picture.mode == "P"
        assert np.array_equal(np.array(picture), MASK)
        colours = np.array(picture.convert("RGB"))
    assert np.array_equal(colours, LABELS.colorize(MASK))
    assert mask_png(MASK, LABELS) == mask_png(MASK.copy(), LABELS)


def test_every_index_of_the_largest_map_survives_the_png() -> None:
    classes = tuple(LabelClass(f"c{i}", (i, 255 - i, i // 2), (i,)) for i in range(255))
    mask = np.arange(256, dtype=np.uint8)[None]
    with Image.open(io.BytesIO(mask_png(mask, LabelMap(classes)))) as picture:
        assert np.array_equal(np.array(picture), mask)


def test_an_array_and_its_picture_give_the_same_png() -> None:
    array = random_image(9, 9)
    assert png(array) == png(Image.fromarray(array))
