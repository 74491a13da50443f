"""The C++ examples of docs/cpp, built and run."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_segmenter import random_image, saved, tiny_segmenter

from effunet.cli import main

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.long

SOURCES = Path(__file__).parents[2] / "docs" / "cpp"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cmake") is None or shutil.which("c++") is None:
        pytest.skip("needs cmake and a C++ compiler")
    folder = tmp_path_factory.mktemp("cpp")
    found = f"-DOpenVINO_DIR={Path(openvino.__file__).parent / 'cmake'}"
    for words in (["-S", str(SOURCES), "-B", str(folder), found], ["--build", str(folder)]):
        done = subprocess.run(["cmake", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("format", ["openvino", "onnx"])
def test_an_example_gives_the_segmenters_own_mask(format: str, built: Path, tmp_path: Path) -> None:
    program = built / {"openvino": "segment_openvino", "onnx": "segment_onnxruntime"}[format]
    if format == "onnx" and not program.is_file():
        pytest.skip("CMake finds no ONNX Runtime here (Debian 13: libonnxruntime-dev)")
    home = tmp_path / "home"
    home.mkdir()
    saved(home)
    assert main(["export", str(home), "--format", format, "--output", "mask"]) == 0
    photo = home / "photo.ppm"
    Image.fromarray(random_image(41, 53, 8)).save(photo)
    model = next(home.glob("*mask.onnx" if format == "onnx" else "*mask.xml"))
    words = [program, model, photo, home / "mask.pgm"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    mask = np.array(Image.open(home / "mask.pgm"))
    assert np.array_equal(mask, tiny_segmenter()(photo).mask)
    counted = dict(line.split(": ") for line in done.stdout.splitlines() if line[:5] == "class")
    values, counts = np.unique(mask, return_counts=True)
    assert counted == {
        f"class {value}": f"{count} pixels" for value, count in zip(values, counts, strict=True)
    }

    refused = subprocess.run([program, model, home], capture_output=True, text=True)
    assert refused.returncode == 1 and "usage: segment MODEL" in refused.stderr
