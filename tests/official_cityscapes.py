"""The evaluator of cityscapesScripts itself, run on a tree and on stored predictions.

It runs where EFFUNET_CITYSCAPESSCRIPTS names a Python that has it; 2.3.0 declares a backport of
`typing` that breaks installs, so it gets an environment of its own:

    uv venv cs && uv pip install --python cs/bin/python --no-deps cityscapesScripts==2.3.0 \
        "numpy<2.4" pillow pyquaternion
    EFFUNET_CITYSCAPESSCRIPTS=cs/bin/python python -m pytest tests/evaluation
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

OFFICIAL = os.environ.get("EFFUNET_CITYSCAPESSCRIPTS")


def official_run(root: Path, results: Path, out: Path) -> dict[str, Any]:
    """What it says of the predictions in results for the val split of the tree in root."""
    if not OFFICIAL:
        pytest.skip("EFFUNET_CITYSCAPESSCRIPTS names no Python that has cityscapesScripts")
    out.mkdir()
    places = {"DATASET": root, "RESULTS": results, "EXPORT_DIR": out}
    environment = os.environ | {f"CITYSCAPES_{key}": str(path) for key, path in places.items()}
    module = "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling"
    done = subprocess.run(
        [OFFICIAL, "-W", "ignore", "-m", module], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((out / "resultPixelLevelSemanticLabeling.json").read_text())
