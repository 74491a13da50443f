"""What predicting holds at a time: a tile and the overlaps, never the probabilities of an image."""

import gc
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_segmenter import saved

from effunet.infer.tiles import blend

CLASSES, TILE, OVERLAP = 5, 128, 32


def _most_held(height: int, width: int) -> int:
    """Bytes of all tensors made since and alive, at the block at which they are most."""

    def look(rows: slice, columns: slice) -> torch.Tensor:
        return torch.ones(CLASSES, rows.stop - rows.start, columns.stop - columns.start)

    def held() -> int:
        tensors = [item for item in gc.get_objects() if type(item) is torch.Tensor]
        # Weights in the order of oneDNN, which a segmenter keeps, show no storage.
        found = [item for item in tensors if item.layout is torch.strided]
        storages = {item.untyped_storage().data_ptr(): item.untyped_storage() for item in found}
        return sum(storage.nbytes() for storage in storages.values())

    gc.collect()
    gc.freeze()  # what other tests have left is many times more, and not looked through
    try:
        return max(held() for _ in blend(look, height, width, TILE))
    finally:
        gc.unfreeze()


def test_blending_holds_what_overlaps_and_not_what_is_done() -> None:
    # Sides that tiles fill without moving the last one back, which would overlap by more.
    small, large = 320, 896
    least, high, wide = (
        _most_held(*size) for size in ((small, small), (large, small), (small, large))
    )
    assert high - least < 4 * CLASSES * OVERLAP * small / 2
    # Of a row of tiles the overlap, from above and for below.
    overlaps = 4 * CLASSES * OVERLAP * (large - small)
    assert wide - least == pytest.approx(2 * overlaps, rel=0.1)


MEASURED = """
import json, resource, sys
from effunet.cli import main
code = main(sys.argv[1:])
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
print(json.dumps({"code": code, "bytes": 1024 * most}))
"""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has Linux' unit")
def test_an_image_of_10_000_by_10_000_is_predicted_in_less_than_2_gb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = 10_000
    noise = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    image = cv2.resize(noise, (side, side), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(tmp_path / "large.png"), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    del image
    words = ["predict", str(saved(tmp_path)), str(tmp_path / "large.png")]
    words += ["--out", str(tmp_path / "out"), "--tile", "512", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["code"] == 0 and told["bytes"] < 2e9
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with Image.open(tmp_path / "out" / "large.png") as mask:
        assert mask.size == (side, side) and mask.mode == "P"
        assert mask.histogram()[3:] == [0] * 253
