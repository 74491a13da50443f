"""A calibration in a segmenter and its file: what it changes, what it keeps, what is refused."""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_segmenter import KEPT, LABELS, random_image, saved, tiny_segmenter

from effunet.artifact import read_header
from effunet.calibration import Calibration
from effunet.cli import main
from effunet.errors import ModelError
from effunet.labels import LabelMap
from effunet.model.inference import Latest
from effunet.segmenter import Segmenter

TWO = LabelMap(LABELS.classes[:2], ignore=(255,))
SEGMENTER_OF_TWO = tiny_segmenter(labels=TWO)
WHERE = {"dataset": "streets", "split": "val", "images": 12}


def test_without_a_calibration_nothing_changes_bit_for_bit() -> None:
    segmenter, image = tiny_segmenter(), random_image(40, 50)
    plain = segmenter(image).probabilities
    pixels = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
    (logits,) = Latest().strips(segmenter.network, pixels)
    assert np.array_equal(plain, logits[0].softmax(0))
    neutral = segmenter.calibrated(1.0)
    assert np.array_equal(neutral(image).probabilities, plain)
    assert "calibration" not in segmenter.to_plain()


@pytest.mark.parametrize("temperature", [0.3, 2.5])
def test_probabilities_are_the_softmax_of_logits_by_temperature(temperature: float) -> None:
    segmenter, image = tiny_segmenter(), random_image(40, 50)
    pixels = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
    (logits,) = Latest().strips(segmenter.network, pixels)
    logits = logits[0].double().numpy()
    powers = np.exp((logits - logits.max(0)) / temperature)
    found = segmenter.calibrated(temperature)(image)
    assert np.allclose(found.probabilities, powers / powers.sum(0), atol=1e-5)
    # It moves no class past another.
    assert np.array_equal(found.mask, segmenter(image).mask)


@given(threshold=st.floats(0, 1), seed=st.integers(0, 20))
def test_a_threshold_names_class_1_from_its_probability_on(threshold: float, seed: int) -> None:
    segmenter = SEGMENTER_OF_TWO.calibrated(1.0, threshold)
    second = torch.rand(5, 7, generator=torch.Generator().manual_seed(seed))
    second[0, 0] = threshold
    probabilities = torch.stack((1 - second, second))
    mask, confidence = segmenter.decided(probabilities)
    assert torch.equal(mask, segmenter.decide(probabilities))
    assert torch.equal(mask.bool(), second >= threshold) and mask[0, 0] == 1
    assert torch.equal(confidence, torch.where(mask.bool(), second, 1 - second))


def test_a_lower_threshold_only_adds_to_class_1() -> None:
    image = random_image(60, 70)
    masks = [
        SEGMENTER_OF_TWO.calibrated(1.0, threshold)(image).mask
        for threshold in (0.0, 0.2, 0.5, 0.8, 1.0)
    ]
    assert masks[0].all()
    assert all((low >= high).all() for low, high in pairwise(masks))
    assert len({int(mask.sum()) for mask in masks}) > 3


def test_a_calibrated_segmenter_shares_the_network_and_leaves_the_first_as_it_was() -> None:
    segmenter = tiny_segmenter(dataset="streets")
    found = segmenter.calibrated(2.0, **WHERE)
    assert found.network is segmenter.network and found.labels == segmenter.labels
    assert found.metadata["dataset"] == "streets"
    assert found.calibration == Calibration(2.0)
    assert segmenter.calibration == Calibration() and "calibration" not in segmenter.metadata
    assert found.calibrated(3.0).metadata["calibration"] == {"temperature": 3.0, "threshold": None}


def test_it_comes_back_from_its_file_with_all_that_it_does(tmp_path: Path) -> None:
    file, image = tmp_path / "segmenter.safetensors", random_image(40, 50)
    segmenter = tiny_segmenter(labels=TWO).calibrated(1.5, 0.3, **WHERE)
    segmenter.save(file)
    expected = {"temperature": 1.5, "threshold": 0.3, **WHERE}
    assert read_header(file)["calibration"] == expected
    loaded = Segmenter.load(file)
    assert loaded.calibration == segmenter.calibration == Calibration(1.5, 0.3)
    assert np.array_equal(loaded(image).probabilities, segmenter(image).probabilities)
    assert np.array_equal(loaded(image).mask, segmenter(image).mask)
    before = file.read_bytes()
    loaded.save(file)
    assert file.read_bytes() == before


def test_a_file_of_format_1_has_none() -> None:
    assert Segmenter.load(KEPT).calibration == Calibration()


def test_info_tells_the_calibration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "segmenter.safetensors"
    tiny_segmenter(labels=TWO).calibrated(1.527, 0.31, **WHERE).save(file)
    assert main(["info", str(file)]) == 0
    told = capsys.readouterr().out
    assert "temperature 1.527, threshold 0.31, on 12 images of streets val" in told
    assert main(["info", str(saved(tmp_path))]) == 0
    assert "calibration" not in capsys.readouterr().out


WRONG: list[tuple[Any, str]] = [
    ({"temperature": 0.0}, "temperature must lie in 0.01 to 100, got 0.0"),
    ({"temperature": -1}, "got -1"),
    ({"temperature": 1e-300}, "0.01 to 100"),
    ({"temperature": "2"}, "temperature must be a number, got '2'"),
    ({"temperature": True}, "temperature must be a number"),
    ({"threshold": 0.5}, "temperature must be a number, got None"),
    ({}, "temperature must be a number, got None"),
    ([2.0], "calibration must be a mapping"),
    ({"temperature": 1.0, "threshold": 0.5}, "between 2 classes, and here are 3"),
    ({"temperature": 1.0, "threshold": [0.5]}, "threshold must be a number"),
]


@pytest.mark.parametrize(("entry", "says"), WRONG)
def test_a_damaged_entry_is_refused_with_one_line(
    tmp_path: Path, entry: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path)
    facts = json.dumps(read_header(file) | {"calibration": entry})
    save_file(load_file(file), file, {"effunet": facts})
    with pytest.raises(ModelError, match=says) as caught:
        Segmenter.load(file)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)
    assert main(["info", str(file)]) == 4
    assert says.partition(",")[0] in capsys.readouterr().err
    with pytest.raises(ValueError, match=says):
        tiny_segmenter(calibration=entry)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan, math.inf])
def test_a_threshold_beyond_0_to_1_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="threshold must lie in 0 to 1"):
        tiny_segmenter(labels=TWO).calibrated(1.0, wrong)


@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf, 101])
def test_a_temperature_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"temperature must lie in 0\.01 to 100"):
        tiny_segmenter().calibrated(wrong)
