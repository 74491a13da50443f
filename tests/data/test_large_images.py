"""An image that is large enough to be decoded in bands has the pixels that it always had."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from effunet.data.files import images
from effunet.data.files.images import read_image
from effunet.data.files.pixels import Pixels

MODES = {
    "png": ("L", "RGB", "P", "1", "LA", "RGBA"),
    "jpg": ("L", "RGB", "CMYK"),
    "tif": ("L", "RGB", "P", "1", "LA", "RGBA", "CMYK"),
}
KINDS = [
    (mode, ending, channels) for ending in MODES for mode in MODES[ending] for channels in (1, 3)
]
KINDS += [("RGBA", "png", 4), ("RGBA", "tif", 4)]


@pytest.mark.parametrize(("mode", "ending", "channels"), KINDS)
def test_bands_of_rows_are_the_whole_image(
    tmp_path: Path, mode: str, ending: str, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (37, 11, 3), np.uint8)
    file = tmp_path / f"a.{ending}"
    Image.fromarray(noise).convert(mode).save(file)
    expected = read_image(file, Pixels(channels))
    monkeypatch.setattr(images, "LARGE", 1)
    monkeypatch.setattr(images, "_BAND", 8)
    assert np.array_equal(read_image(file, Pixels(channels)), expected)
