import re
import subprocess
import sys
from pathlib import Path

import pytest
from segmentation_models_pytorch.encoders.efficientnet import efficient_net_encoders
from segmentation_models_pytorch.encoders.timm_efficientnet import timm_efficientnet_encoders

from effunet.errors import ModelError
from effunet.model.lineages import LINEAGES
from effunet.model.presets import PRESETS, names, preset

PUBLISHED = [f"b{number}" for number in range(8)]


@pytest.mark.parametrize("variant", PUBLISHED)
@pytest.mark.parametrize("name", ["imagenet", "noisy-student", "advprop"])
def test_every_pin_is_smps_own(variant: str, name: str) -> None:
    timm = name == "noisy-student"
    table = timm_efficientnet_encoders if timm else efficient_net_encoders
    pin = table[f"{'timm-' * timm}efficientnet-{variant}"]["pretrained_settings"][name]
    found = preset(variant, name)
    assert (found.repository, found.revision) == (pin["repo_id"], pin["revision"])
    assert re.fullmatch("[0-9a-f]{40}", found.revision)
    assert found.file == "model.safetensors"


def test_no_two_presets_are_one_file() -> None:
    assert len({found.revision for found in PRESETS.values()}) == len(PRESETS) == 24


@pytest.mark.parametrize(
    ("name", "numerics"),
    [("imagenet", "lukemelas"), ("noisy-student", "tf"), ("advprop", "lukemelas-advprop")],
)
def test_a_preset_says_what_it_is_run_with(name: str, numerics: str) -> None:
    assert {preset(variant, name).numerics for variant in PUBLISHED} == {numerics}
    assert numerics in LINEAGES


def test_the_names_are_those_of_the_config() -> None:
    text = (Path(__file__).parents[2] / "docs" / "config.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| `encoder.weights`"))
    assert len(names()) == 3 and all(f"`{name}`" in row for name in names())


@pytest.mark.parametrize(
    ("variant", "name"), [("phi1.5", "imagenet"), ("b8", "advprop"), ("b0", "ap"), ("", "imagenet")]
)
def test_where_there_is_none_the_line_says_what_there_is(variant: str, name: str) -> None:
    with pytest.raises(ModelError) as caught:
        preset(variant, name)
    line = str(caught.value)
    assert "\n" not in line
    assert f"{name!r} for the encoder {variant!r}" in line
    assert "imagenet, noisy-student, advprop for b0, b1, b2, b3, b4, b5, b6, b7" in line


def test_looking_a_preset_up_loads_no_torch() -> None:
    code = "import sys, effunet.model.presets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
