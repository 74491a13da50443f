"""Sheets of samples: what stands where, whatever the sizes and names are."""

import numpy as np
import pytest
from tiny_segmenter import LABELS, random_image

from effunet.labels import LabelClass, LabelMap
from effunet.pictures.sheet import Row, sheet


def test_a_sheet_shows_image_truth_and_prediction_beside_each_other_in_their_colours() -> None:
    sky, road = np.zeros((40, 60), np.uint8), np.ones((40, 60), np.uint8)
    image = np.full((40, 60, 3), (10, 200, 30), np.uint8)
    picture = np.array(sheet([Row("one", image, sky, road)], LABELS, width=1200))
    height, width, _ = picture.shape
    assert width == 1200
    middle = picture[height // 3]
    for column, colour in ((200, (10, 200, 30)), (600, (70, 130, 180)), (1000, (128, 64, 128))):
        assert tuple(middle[column].tolist()) == colour


def test_a_sheet_takes_images_of_any_shape_names_of_any_length_and_many_classes() -> None:
    classes = tuple(LabelClass(f"quite a long class name {i}", (i, 0, 0), (i,)) for i in range(60))
    rows = [
        Row("n" * 500, random_image(h, w), np.zeros((h, w), np.uint8), np.zeros((h, w), np.uint8))
        for h, w in ((1, 1), (4, 900), (900, 4), (64, 64))
    ]
    picture = sheet(rows, LabelMap(classes), width=1200)
    assert picture.width == 1200 and 1000 < picture.height < 4000
    with pytest.raises(ValueError, match="at least one row"):
        sheet([], LABELS)
