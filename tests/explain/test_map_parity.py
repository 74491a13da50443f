"""Our maps are those of two maintained libraries, in an environment of their own."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest
from tiny_segmenter import random_image, saved, tiny_segmenter

from effunet.explain import METHODS, Explainer

pytestmark = pytest.mark.long

PEERS = ("grad-cam==1.5.7", "ttach==0.0.3", "torchcam==0.5.0")
"""Without what they would bring: grad-cam an OpenCV that takes the place of ours."""

LAYER = "encoder.stages.3.0"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that finds the peers, and torch and the rest where this one has them."""
    home = tmp_path_factory.mktemp("peers")
    venv.create(home, with_pip=True)
    found = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    pip = [found, "-m", "pip", "install", "--quiet", "--no-deps", *PEERS]
    done = subprocess.run(pip, capture_output=True, text=True)
    if "No matching distribution" in done.stderr or "onnection" in done.stderr:
        pytest.skip(f"nothing can be installed here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    where = subprocess.run(
        [found, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True,
        text=True,
        check=True,
    )
    Path(where.stdout.strip(), "rest.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return found


@pytest.mark.parametrize("whole", [True, False])
def test_every_map_is_that_of_the_libraries_that_have_it(
    python: Path, whole: bool, tmp_path: Path
) -> None:
    image = random_image(64, 96, 5)
    pixels = np.zeros(image.shape[:2], bool)
    pixels[20:23, 40:44] = True
    if whole:
        pixels[:] = True
    segmenter = tiny_segmenter()
    segmenter_file = saved(tmp_path)
    asked = {"image": image, "pixels": pixels, "layer": LAYER, "index": 2}
    np.savez(tmp_path / "asked.npz", **asked)
    words = [segmenter_file, tmp_path / "asked.npz", tmp_path / "found.npz"]
    done = subprocess.run(
        [python, Path(__file__).with_name("peers.py"), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")
    assert {name.partition(" ")[0] for name in found} == {*METHODS}
    for name, peer in found.items():
        ours = Explainer(segmenter, name.partition(" ")[0], LAYER)(image, 2, pixels).coarse
        assert whole or ours.max() > 0
        # Of all pixels large gradients cancel out; and theirs adds a little below Grad-CAM++'s
        # fraction.
        share = 5e-3 if whole else 1e-3 if "++" in name else 1e-5
        np.testing.assert_allclose(peer, ours, rtol=0, atol=share * ours.max(), err_msg=name)
