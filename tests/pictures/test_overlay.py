"""The class colours over an image: what each pixel must be."""

import numpy as np
import pytest
from tiny_segmenter import LABELS, random_image

from effunet.pictures import overlay as module
from effunet.pictures.overlay import overlay

MASK = np.array([[0, 1, 2, 255]], np.uint8)


def test_an_overlay_in_bands_is_the_overlay(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0)
    image = noise.integers(0, 256, (11, 7, 3), np.uint8)
    mask = noise.choice(np.array([0, 1, 2, 255], np.uint8), (11, 7))
    whole = overlay(image, mask, LABELS)
    monkeypatch.setattr(module, "BAND", 4)
    assert np.array_equal(overlay(image, mask, LABELS), whole)


def test_an_overlay_runs_from_the_image_to_the_colours_and_never_covers_ignored_pixels() -> None:
    image = random_image(1, 4)
    assert np.array_equal(overlay(image, MASK, LABELS, 0.0), image)
    full = overlay(image, MASK, LABELS, 1.0)
    assert np.array_equal(full[0, :3], LABELS.palette)
    assert np.array_equal(full[0, 3], image[0, 3])
    half = overlay(image, MASK, LABELS, 0.5).astype(int)
    mean = (image[0, :3].astype(int) + LABELS.palette) / 2
    assert np.abs(half[0, :3] - mean).max() <= 1
    with pytest.raises(ValueError, match=r"\[0, 1\], got 2\.0"):
        overlay(image, MASK, LABELS, 2.0)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_an_image_of_any_channels_can_be_shown(channels: int) -> None:
    image = random_image(1, 4, channels=channels)
    shown = overlay(image, MASK, LABELS, 0.0)
    expected = image[..., [0, 0, 0]] if channels < 3 else image[..., :3]
    assert np.array_equal(shown, expected)
