"""Exported files: each answers as its segmenter does, at every size, on its own runtime."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_segmenter import LABELS, PLAN, Patterns, random_image, tiny_segmenter

from effunet import artifact, runtime
from effunet.errors import ModelError
from effunet.evaluation.evaluate import evaluate
from effunet.export.export import original_of, proved
from effunet.export.formats import FORMATS
from effunet.export.proof import BOUNDS, as_batch, photos, prove
from effunet.exported import Exported
from effunet.infer import Way, predict, predict_decided, predict_mask
from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet
from effunet.segmenter import Segmenter

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

SIZES = ((1, 1), (31, 64), (97, 130))


def efficient() -> Segmenter:
    """A tiny encoder with the default decoder."""
    torch.manual_seed(1)
    network = EffUNet(EfficientNet(PLAN), classes=len(LABELS), decoder="efficient")
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    torch.nn.init.normal_(network.head.weight, std=2.0)
    return Segmenter(network.eval(), LABELS)


SEGMENTERS: dict[str, Callable[[], Segmenter]] = {"unet": tiny_segmenter, "efficient": efficient}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Files by segmenter, format and output, each made once."""
    made: dict[tuple[str, ...], Path] = {}

    def export(name: str, format: str, output: Any = "logits", precision: Any = "fp32") -> Path:
        key = (name, format, output, precision)
        if key not in made:
            kind = FORMATS[format]
            folder = tmp_path_factory.mktemp("exports")
            options = {"output": output, "precision": precision}
            with proved(SEGMENTERS[name](), kind, folder, **options) as found:
                made[key] = found.hand_over(folder / f"model{kind.endings[0]}")[0]
            assert sorted(path.suffix for path in folder.iterdir()) == sorted(kind.endings)
        return made[key]

    return export


ANY_SIZE = [name for name, format in FORMATS.items() if not format.fixed]
KINDS = [
    *(("unet", format, "logits") for format in ANY_SIZE),
    ("unet", "onnx", "mask"),
    ("efficient", "onnx", "logits"),
    *(
        pytest.param("unet", format, output, marks=[pytest.mark.long, pytest.mark.slow])
        for format in ANY_SIZE
        for output in ("probabilities", "mask")
        if (format, output) != ("onnx", "mask")
    ),
    *(
        pytest.param("efficient", format, "logits", marks=[pytest.mark.long, pytest.mark.slow])
        for format in ANY_SIZE
        if format != "onnx"
    ),
]


@pytest.mark.parametrize(("name", "format", "output"), KINDS)
def test_every_format_and_output_answers_as_the_segmenter_at_any_size_and_batch(
    name: str, format: str, output: Any, exports: Callable[..., Path]
) -> None:
    run = FORMATS[format].run(exports(name, format, output))
    original = original_of(SEGMENTERS[name](), output)
    for height, width in SIZES:
        batch = np.stack([random_image(height, width, seed).transpose(2, 0, 1) for seed in (3, 4)])
        proof = prove(original, run, [("both", batch), ("one", batch[:1])])
        assert proof.agreement > 0.999
        assert output == "mask" or proof.difference < BOUNDS["fp32"].difference


def test_an_openvino_model_that_was_reshaped_answers_at_its_new_size(
    exports: Callable[..., Path],
) -> None:
    import openvino

    model = openvino.Core().read_model(exports("unet", "openvino"))
    model.reshape({"image": [1, 3, 70, 45]})
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    image = random_image(70, 45, 5)
    found = compiled([as_batch(image)])[0]
    assert found.shape == (1, 3, 70, 45)
    proof = prove(original_of(tiny_segmenter(), "logits"), lambda _: found, photos([image]))
    assert proof.holds(BOUNDS["fp32"])


def test_openvino_has_scores_in_planes_before_it_enlarges_them(
    exports: Callable[..., Path],
) -> None:
    """Behind it they are sixteen times as many to turn round."""
    import openvino

    compiled = openvino.Core().compile_model(exports("efficient", "openvino"), "CPU")
    told = [op.get_rt_info() for op in compiled.get_runtime_model().get_ordered_ops()]
    (last,) = (
        facts["outputLayouts"].astype(str)
        for facts in told
        if facts["layerType"].astype(str) == "Interpolate"
        and facts["originalLayersNames"].astype(str).startswith("image/")
    )
    assert last == "abcd"


def test_weights_of_half_precision_take_half_the_bytes(
    exports: Callable[..., Path],
) -> None:
    half, whole = exports("unet", "onnx", "logits", "fp16"), exports("unet", "onnx")
    saved = whole.stat().st_size - half.stat().st_size
    weights = sum(4 * weight.numel() for weight in tiny_segmenter().network.parameters())
    assert 0.4 * weights < saved < 0.5 * weights


def test_an_export_that_answers_otherwise_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    onnx = FORMATS["onnx"]
    off = replace(onnx, run=lambda file: lambda images: onnx.run(file)(images) + 1)
    with (
        pytest.raises(ModelError, match=r"does not answer as the segmenter.*nothing was written"),
        proved(tiny_segmenter(), off, tmp_path),
    ):
        raise AssertionError("it was handed out")
    assert not list(tmp_path.iterdir())


def test_an_answer_that_is_not_a_number_is_no_proof(tmp_path: Path) -> None:
    lost = replace(FORMATS["onnx"], run=lambda file: lambda images: np.full(
        (len(images), 3, *images.shape[2:]), np.nan, np.float32
    ))  # fmt: skip
    with pytest.raises(ModelError), proved(tiny_segmenter(), lost, tmp_path):
        raise AssertionError("it was handed out")


def test_the_metadata_say_all_that_a_program_needs_and_how_it_was_proved(
    exports: Callable[..., Path],
) -> None:
    for format in ("onnx", "openvino"):
        facts = runtime.Model.load(exports("unet", format)).facts
        assert [entry["name"] for entry in facts["labels"]["classes"]] == ["sky", "road", "car"]
        assert facts["labels"]["classes"][2]["color"] == [0, 0, 142]
        assert (facts["ignore_index"], facts["channels"], facts["output"]) == (255, 3, "logits")
        assert facts["mean"] == tiny_segmenter().to_plain()["mean"]
        assert facts["proof"]["largest_difference"] < BOUNDS["fp32"].difference
        assert facts["proof"]["argmax_agreement"] == 1.0


def test_the_endings_of_exported_files_are_those_that_the_runtime_reads() -> None:
    assert set(artifact.EXPORTS) == set(runtime.RUNTIMES)
    assert {format.endings[0] for format in FORMATS.values()} > set(artifact.EXPORTS)


def test_no_file_says_where_effunet_lay_when_it_was_made(exports: Callable[..., Path]) -> None:
    home = os.fsencode(Path(runtime.__file__).parent)
    for format in ("onnx", "openvino"):
        assert home not in exports("unet", format).read_bytes()


def test_an_exported_file_is_evaluated_as_the_segmenter_is(exports: Callable[..., Path]) -> None:
    wanted = evaluate(tiny_segmenter(), Patterns(), resamples=0)
    for format in ("onnx", "openvino"):
        exported = Exported(runtime.Model.load(exports("unet", format)))
        found = evaluate(exported, Patterns(), resamples=0)
        assert np.array_equal(found.scores.confusion, wanted.scores.confusion)
        assert found.to_plain()["ece"] == pytest.approx(wanted.to_plain()["ece"], abs=1e-4)


def test_a_file_of_masks_has_a_miou_and_says_nothing_of_confidence(
    exports: Callable[..., Path],
) -> None:
    wanted = evaluate(tiny_segmenter(), Patterns(), resamples=0)
    exported = Exported(runtime.Model.load(exports("unet", "onnx", "mask")))
    found = evaluate(exported, Patterns(), resamples=0, regions=True)
    assert np.array_equal(found.scores.confusion, wanted.scores.confusion)
    assert found.to_plain()["ece"] is None
    assert not found.counts.regions.suspects.any()


def test_the_runtimes_tiles_are_those_of_infer(exports: Callable[..., Path]) -> None:
    model = runtime.Model.load(exports("unet", "onnx"))
    image = random_image(150, 210, 6)
    found = model(image, tile=64)
    wanted = predict(tiny_segmenter(), image, Way(tile=64))
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-4)
    assert (found.mask == wanted.mask).mean() > 0.999


def test_the_runtime_decides_by_temperature_and_threshold_as_the_segmenter(tmp_path: Path) -> None:
    two = type(LABELS)(LABELS.classes[:2], LABELS.ignore)
    segmenter = tiny_segmenter(labels=two).calibrated(3.0, 0.8)
    image = random_image(40, 50, 7)
    with proved(segmenter, FORMATS["onnx"], tmp_path) as export:
        model = runtime.Model.load(export.hand_over(tmp_path / "model.onnx")[0])
    assert (model(image).mask == segmenter(image).mask).mean() > 0.999
    assert 0 < model(image).mask.mean() < 1


def test_the_runtime_runs_where_neither_effunet_nor_torch_can_be_imported(
    exports: Callable[..., Path], tmp_path: Path
) -> None:
    from PIL import Image

    Image.fromarray(random_image(40, 50, 8)).save(tmp_path / "photo.png")
    for format in ("onnx", "openvino"):
        words = ["runtime.py", str(exports("unet", format)), "photo.png", "--out", format]
        code = (
            "import runpy, sys\n"
            "for name in ('torch', 'effunet', 'scipy'): sys.modules[name] = None\n"
            f"sys.argv = {[*words, '--overlay']!r}\n"
            f"runpy.run_path({runtime.__file__!r}, run_name='__main__')\n"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        mask = np.array(Image.open(tmp_path / format / "photo.png"))
        assert np.array_equal(mask, tiny_segmenter()(tmp_path / "photo.png").mask)
        assert (tmp_path / format / "photo_overlay.png").is_file()


def test_a_file_of_masks_is_counted_without_probabilities(
    exports: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = Exported(runtime.Model.load(exports("unet", "onnx", "mask")))
    image = random_image(97, 70, 3)
    expected = exported.probabilities(image).argmax(0)
    monkeypatch.setattr(Exported, "strips", None)  # called, it would be a fault
    assert torch.equal(predict_mask(exported, image), expected.to(torch.uint8))
    mask, confidence = predict_decided(exported, image)
    assert torch.equal(mask, expected.to(torch.uint8)) and bool((confidence == 1).all())


def test_a_file_of_one_size_refuses_images_of_another_in_one_line() -> None:
    facts = {"labels": LABELS.to_plain(), "channels": 3, "output": "mask", "size": [45, 70]}
    exported = Exported(runtime.Model(facts, lambda images: images[:, 0]))
    assert predict_mask(exported, random_image(45, 70, 3)).shape == (45, 70)
    with pytest.raises(ModelError, match="45 x 70 pixels alone, and one here has 70 x 45"):
        predict_mask(exported, random_image(70, 45, 3))
