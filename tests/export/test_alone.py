"""The runtime and its model alone: environments with nothing but what the docs say they need."""

import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_segmenter import random_image, saved, tiny_segmenter

from effunet.cli import main

pytest.importorskip("onnxscript")
pytest.importorskip("openvino")
pytestmark = pytest.mark.long

PINS = Path(__file__).parents[2] / "constraints.txt"


@pytest.mark.parametrize(
    ("format", "needs"),
    [
        ("onnx", ["numpy", "pillow", "onnxruntime"]),
        ("openvino", ["numpy", "opencv-python-headless", "openvino"]),
    ],
)
def test_the_handed_out_pair_runs_in_an_environment_without_torch(
    format: str, needs: list[str], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    saved(home)
    Image.fromarray(random_image(40, 50, 8)).save(home / "photo.png")
    assert main(["export", str(home), "--format", format, "--with-runner"]) == 0
    expected = tiny_segmenter()(home / "photo.png").mask
    (home / "segmenter.safetensors").unlink()

    venv.create(tmp_path / "alone", with_pip=True)
    python = tmp_path / "alone" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--constraint", PINS, *needs]
    installed = subprocess.run(pip, capture_output=True, text=True)
    if "No matching distribution" in installed.stderr or "onnection" in installed.stderr:
        pytest.skip(f"nothing can be installed here: {installed.stderr.splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr

    model = "model.onnx" if format == "onnx" else "model.xml"
    words = ["-I", "runtime.py", model, "photo.png", "--out", "out", "--overlay"]
    done = subprocess.run([python, *words], cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.array(Image.open(home / "out" / "photo.png")), expected)
    assert (home / "out" / "photo_overlay.png").is_file()
    missing = subprocess.run([python, "-c", "import torch"], capture_output=True, text=True)
    assert "No module named 'torch'" in missing.stderr
