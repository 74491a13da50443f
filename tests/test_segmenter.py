"""The segmenter file: a round trip that changes nothing, and every way of refusing a bad one."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_segmenter import KEPT, LABELS, Patterns, random_image, saved, tiny_segmenter

from effunet import artifact
from effunet.artifact import read_header
from effunet.errors import DataError, ModelError, ResourceError
from effunet.evaluation.evaluate import evaluate
from effunet.model import kinds
from effunet.model.foreign import SmpNetwork, SmpPlan, _unreached
from effunet.segmenter import Segmenter

FACTS = {"dataset": "streets", "training_size": [64, 96], "scores": {"miou": 0.5}}


def test_a_loaded_segmenter_predicts_bit_for_bit_as_the_saved_one(tmp_path: Path) -> None:
    segmenter, image = tiny_segmenter(), random_image(45, 70)
    segmenter.save(tmp_path / "a.safetensors")
    loaded = Segmenter.load(tmp_path / "a.safetensors")
    assert np.array_equal(loaded(image).probabilities, segmenter(image).probabilities)
    assert loaded.labels == LABELS
    assert not loaded.network.training


def test_the_logits_of_a_batch_are_the_networks_own_for_each_image() -> None:
    segmenter = tiny_segmenter()
    segmenter.network.train()  # which no prediction leaves
    images = torch.from_numpy(np.stack([random_image(45, 70, seed) for seed in (0, 1)]))
    images = images.permute(0, 3, 1, 2)
    found = torch.cat(list(segmenter.logits(images)), dim=2)
    with torch.no_grad():
        torch.testing.assert_close(found, segmenter.network.eval()(images), rtol=1e-4, atol=1e-4)


def test_equal_weights_and_facts_give_equal_bytes(tmp_path: Path) -> None:
    file = saved(tmp_path, **FACTS)
    Segmenter.load(file).save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()
    tiny_segmenter(seed=1, **FACTS).save(tmp_path / "other.safetensors")
    assert (tmp_path / "other.safetensors").read_bytes() != file.read_bytes()


def test_the_metadata_says_all_that_another_program_needs(tmp_path: Path) -> None:
    facts = read_header(saved(tmp_path, **FACTS))
    segmenter = tiny_segmenter()
    assert (facts["format"], facts["version"]) == ("effunet-segmenter", 1)
    assert facts["labels"] == LABELS.to_plain()
    assert facts["network"] == segmenter.network.plan.to_plain()
    assert facts["ignore_index"] == 255 and facts["channels"] == 3
    assert facts["value_range"] == [0, 255] and facts["mean"] == [0.485, 0.456, 0.406]
    assert facts["parameters"] == sum(p.numel() for p in segmenter.network.parameters())
    assert facts["macs"] == {
        "height": 64, "width": 96, "value": segmenter.network.macs(64, 96),
    }  # fmt: skip
    assert {key: facts[key] for key in FACTS} == FACTS


def test_reading_the_header_needs_no_torch(tmp_path: Path) -> None:
    file = saved(tmp_path)
    code = (
        "import sys; from effunet.artifact import read_header; "
        f"read_header({str(file)!r}); sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_a_run_folder_and_a_link_to_it_mean_its_segmenter(tmp_path: Path) -> None:
    (tmp_path / "runs" / "one").mkdir(parents=True)
    file = saved(tmp_path / "runs" / "one")
    (tmp_path / "runs" / "latest").symlink_to("one")
    for path in (file, file.parent, tmp_path / "runs" / "latest", str(file.parent)):
        assert Segmenter.load(path).labels == LABELS


def test_what_is_not_there_is_told_with_the_runs_that_are(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    saved(tmp_path / "good")
    with pytest.raises(ModelError, match=r"no segmenter at .*gooood.*there is .*good"):
        Segmenter.load(tmp_path / "gooood")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no segmenter.safetensors in the folder .*train.py"):
        Segmenter.load(tmp_path / "empty")
    with pytest.raises(ModelError, match=r"no segmenter at .* too long"):
        Segmenter.load(tmp_path / ("long" * 200))
    (tmp_path / "broken").symlink_to("nowhere")
    with pytest.raises(ModelError, match="no such file"):
        Segmenter.load(tmp_path / "broken")


@pytest.mark.parametrize("url", ["http://x.org/a.safetensors", "hf://org/name", "https://x/y.pt"])
def test_a_url_is_refused_without_a_look_at_it(url: str) -> None:
    with pytest.raises(ModelError, match="from the network"):
        Segmenter.load(url)


class Payload:
    """A pickle that leaves a canary behind when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("name", ["a.ckpt", "a.pt", "a.pth", "a.bin", "a.PTH", "a.safetensors"])
@pytest.mark.parametrize("protocol", [0, 2, 5, "torch"])
def test_no_pickle_is_ever_executed(
    tmp_path: Path, name: str, protocol: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    canary, file = tmp_path / "canary", tmp_path / name
    if protocol == "torch":
        torch.save(Payload(canary), file)
    else:
        assert isinstance(protocol, int)
        file.write_bytes(pickle.dumps(Payload(canary), protocol))
    with pytest.raises(ModelError) as caught:
        Segmenter.load(file)
    assert not canary.exists()
    assert "\n" not in str(caught.value) and "segmenter.safetensors" in str(caught.value)


def _rewritten(file: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The same weights with another description."""
    facts = read_header(file)
    changed = change(facts) or facts
    save_file(load_file(file), file, {"effunet": json.dumps(changed)})
    return file


def test_an_unknown_version_is_refused_with_the_mend(tmp_path: Path) -> None:
    file = _rewritten(saved(tmp_path), lambda facts: facts | {"version": 2})
    with pytest.raises(ModelError, match=r"version 2 .* reads version 1: install a newer effunet"):
        Segmenter.load(file)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda facts: facts | {"format": "other"}, "not of the format"),
        (lambda facts: facts | {"labels": []}, "labels"),
        (lambda facts: facts | {"labels": {"classes": [{"name": ""}]}}, "name|classes"),
        (lambda facts: facts | {"network": {}}, "network"),
        (lambda facts: facts | {"network": facts["network"] | {"widths": [10**9] * 5}}, "widths"),
        (
            lambda facts: facts | {"network": facts["network"] | {"_target_": "os.mkdir"}},
            "_target_",
        ),
        (lambda facts: facts | {"network": facts["network"] | {"classes": 4}}, "3 class names"),
        (lambda facts: facts | {"channels": 4}, "contradicts itself: channels is 4"),
        (lambda facts: facts | {"mean": [0.5, 0.5, 0.5]}, "contradicts itself: mean"),
        (lambda facts: facts | {"ignore_index": 0}, "contradicts itself: ignore_index"),
        (lambda facts: {key: facts[key] for key in facts if key != "macs"}, "'macs'"),
    ],
)
def test_a_description_that_is_wrong_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    with pytest.raises(ModelError, match=says):
        Segmenter.load(_rewritten(saved(tmp_path), change))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: w.pop("head.bias"), "head.bias is missing"),
        (lambda w: w.update(extra=torch.zeros(1)), "extra is unknown"),
        (lambda w: w.update({"head.bias": torch.zeros(4)}), r"F32 \[4\] instead of F32 \[3\]"),
        (lambda w: w.update({"head.bias": torch.zeros(3).half()}), "F16 .* instead of F32"),
        (lambda w: w.update({"head.bias": torch.tensor([1, np.nan, 0])}), "head.bias .* finite"),
        (lambda w: w["head.bias"].fill_(np.inf), "head.bias .* finite"),
        (lambda w: w.clear(), "do not fit"),
    ],
)
def test_weights_that_do_not_fit_the_network_are_refused(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], Any], says: str
) -> None:
    file = saved(tmp_path)
    facts, weights = json.dumps(read_header(file)), load_file(file)
    change(weights)
    save_file(weights, file, {"effunet": facts})
    with pytest.raises(ModelError, match=says):
        Segmenter.load(file)


def test_a_description_of_a_giant_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    def giant(facts: dict[str, Any]) -> None:
        for stage in facts["network"]["encoder"]["stages"]:
            stage["width"] = 60_000

    def deep(facts: dict[str, Any]) -> None:
        facts["network"]["encoder"]["stages"] += [
            facts["network"]["encoder"]["stages"][0] | {"repeats": 1000}
        ] * 1000

    for change in (giant, deep):
        with pytest.raises(ModelError, match="do not fit"):
            Segmenter.load(_rewritten(saved(tmp_path), change))


def _header(length: int, text: bytes, rest: bytes = b"") -> bytes:
    return length.to_bytes(8, "little") + text + rest


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x05\0\0",
        b"hello, I am a text file named like a segmenter",
        _header(2**63, b"{}"),
        _header(10**8, b"{}"),
        _header(2, b"[]"),
        _header(2, b"{}"),
        _header(4, b"{{{{"),
        _header(100_000, b"[" * 100_000),
        _header(19, b'{"__metadata__": {}}'),
        _header(38, b'{"__metadata__": {"effunet": "{nope"}}'),
        _header(37, b'{"__metadata__": {"effunet": "null"}}'),
        _header(37, b'{"__metadata__": {"effunet": "NaN"} }'),
    ],
    ids=range(13),
)
def test_a_damaged_header_is_refused_with_one_line(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "segmenter.safetensors"
    file.write_bytes(data)
    for read in (read_header, Segmenter.load):
        with pytest.raises(ModelError, match=r"segmenter\.safetensors") as caught:
            read(file)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [9, 500, -1, -1000])
def test_a_cut_file_is_refused_by_its_header_alone(tmp_path: Path, length: int) -> None:
    file = saved(tmp_path)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ModelError, match="cut"):
        read_header(file)


def test_a_longer_file_and_overlapping_weights_are_refused(tmp_path: Path) -> None:
    file = saved(tmp_path)
    data = file.read_bytes()
    file.write_bytes(data + b"\0")
    with pytest.raises(ModelError, match="do not fill the file"):
        Segmenter.load(file)
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    names = sorted(set(header) - {"__metadata__"}, key=lambda name: header[name]["data_offsets"])
    twins = [name for name in names if header[name]["shape"] == [4]]
    header[twins[1]]["data_offsets"] = header[twins[0]]["data_offsets"]
    text = json.dumps(header).encode()
    file.write_bytes(_header(len(text), text, data[8 + size :]))
    with pytest.raises(ModelError, match="do not fill the file"):
        Segmenter.load(file)


def test_weights_without_our_description_are_told_apart_from_damage(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="weights alone"):
        Segmenter.load(tmp_path / "a.safetensors")


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = saved(tmp_path)
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        tiny_segmenter(seed=1).save(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["segmenter.safetensors"]


def test_no_cuda_is_a_missing_resource(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ResourceError, match="no CUDA device"):
        Segmenter.load(saved(tmp_path), device="cuda")
    assert Segmenter.load(saved(tmp_path), device="auto").device.type == "cpu"


def test_labels_and_network_must_have_as_many_classes() -> None:
    two = type(LABELS)(LABELS.classes[:2])
    with pytest.raises(ValueError, match="3 classes and the label map 2"):
        Segmenter(tiny_segmenter().network, two)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 65), (64, 64), (70, 37)])
def test_a_prediction_has_the_image_s_own_size(size: tuple[int, int]) -> None:
    prediction = tiny_segmenter()(random_image(*size))
    assert prediction.mask.shape == size and prediction.mask.dtype == np.uint8
    assert prediction.probabilities.shape == (3, *size)
    assert prediction.probabilities.dtype == np.float32
    assert np.allclose(prediction.probabilities.sum(0), 1, atol=1e-5)
    assert np.array_equal(prediction.mask, prediction.probabilities.argmax(0))
    assert prediction.overlay().shape == (*size, 3)


def test_array_pillow_image_and_file_mean_the_same(tmp_path: Path) -> None:
    segmenter, array = tiny_segmenter(), random_image(40, 50)
    Image.fromarray(array).save(tmp_path / "a.png")
    expected = segmenter(array).probabilities
    for image in (Image.fromarray(array), tmp_path / "a.png", str(tmp_path / "a.png")):
        assert np.array_equal(segmenter(image).probabilities, expected)


def test_a_mirrored_view_and_a_read_only_array_are_images_too() -> None:
    segmenter, image = tiny_segmenter(), random_image(33, 40)
    mirrored = image[:, ::-1]
    assert np.array_equal(segmenter(mirrored).mask, segmenter(mirrored.copy()).mask)
    read_only = np.asarray(Image.fromarray(image))
    assert np.array_equal(segmenter(read_only).mask, segmenter(image).mask)


def test_grey_is_the_same_as_rgb_of_three_equal_channels() -> None:
    segmenter, grey = tiny_segmenter(), random_image(40, 50, channels=1)
    expected = segmenter(grey.repeat(3, axis=2)).mask
    for image in (grey, grey[..., 0], Image.fromarray(grey[..., 0])):
        assert np.array_equal(segmenter(image).mask, expected)
    assert tiny_segmenter(channels=1)(grey).mask.shape == (40, 50)


STORED = {
    1: lambda seen: seen,
    2: np.fliplr,
    3: lambda seen: np.rot90(seen, 2),
    4: np.flipud,
    5: lambda seen: seen.swapaxes(0, 1),
    6: np.rot90,
    7: lambda seen: np.rot90(seen.swapaxes(0, 1), 2),
    8: lambda seen: np.rot90(seen, -1),
}
"""How an upright picture lies in the file, by EXIF orientation (CIPA DC-008, tag 274)."""


@pytest.mark.parametrize("orientation", STORED)
def test_an_image_is_turned_as_its_exif_says(tmp_path: Path, orientation: int) -> None:
    segmenter, array = tiny_segmenter(), random_image(40, 50)
    exif = Image.Exif()
    exif[274] = orientation
    file = tmp_path / "turned.png"
    Image.fromarray(np.ascontiguousarray(STORED[orientation](array))).save(file, exif=exif)
    expected = segmenter(array).mask
    assert np.array_equal(segmenter(file).mask, expected)
    assert np.array_equal(segmenter(Image.open(file)).mask, expected)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((8, 8, 3), np.float32), "uint8 .* float32"),
        (np.zeros((8, 8, 4), np.uint8), r"\(8, 8, 4\)"),
        (np.zeros((3, 8, 8), np.uint8), r"\(height, width, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), r"\(0, 8, 3\)"),
        (np.zeros(8, np.uint8), "shape"),
    ],
)
def test_an_array_that_is_no_image_is_told_what_one_is(array: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        tiny_segmenter()(array)


def test_a_file_that_is_no_image_is_a_fault_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(DataError, match=r"a\.png"):
        tiny_segmenter()(tmp_path / "a.png")


def test_the_format_s_numbers_are_those_that_files_in_the_world_have() -> None:
    assert (artifact.FORMAT, artifact.VERSION, artifact.METADATA_KEY) == (
        "effunet-segmenter", 1, "effunet",
    )  # fmt: skip


def test_a_segmenter_of_five_channels_takes_arrays_and_files_of_five_bands(tmp_path: Path) -> None:
    segmenter = tiny_segmenter(channels=5)
    assert segmenter(random_image(33, 40, channels=5)).overlay().shape == (33, 40, 3)
    image = random_image(33, 40, channels=5)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(
        segmenter(tmp_path / "a.tif").probabilities, segmenter(image).probabilities
    )
    with pytest.raises(ModelError, match=r"5 channels.*give it an array"):
        segmenter(Image.fromarray(image[..., :3]))
    Image.fromarray(image[..., :3]).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is no TIFF, which alone has 5 channels"):
        segmenter(tmp_path / "a.png")


def test_a_file_of_format_1_loads_for_ever_and_has_its_stored_miou() -> None:
    segmenter = Segmenter.load(KEPT)
    report = evaluate(segmenter, Patterns())
    assert report.scores.miou == pytest.approx(segmenter.metadata["scores"]["miou"], abs=1e-6)
    assert 0.1 < report.scores.miou < 0.9


# A network of segmentation_models_pytorch


@pytest.fixture(scope="module")
def foreign() -> Segmenter:
    torch.manual_seed(0)
    network = SmpNetwork(SmpPlan("PSPNet", "tu-mobilenetv3_small_050", 3)).eval()
    return Segmenter(network, LABELS, FACTS)


def test_a_foreign_segmenter_comes_back_equal_to_the_bit_and_the_byte(
    foreign: Segmenter, tmp_path: Path
) -> None:
    file, image = tmp_path / "segmenter.safetensors", random_image(45, 70)
    foreign.save(file)
    _unreached.cache_clear()  # as a process finds it that has built no network yet
    loaded = Segmenter.load(file)
    assert loaded.network.plan == foreign.network.plan
    assert np.array_equal(loaded(image).probabilities, foreign(image).probabilities)
    facts = read_header(file)
    assert facts["network"]["kind"] == "smp" and facts["network"]["architecture"] == "PSPNet"
    assert facts["mean"] == [0.485, 0.456, 0.406]
    before = file.read_bytes()
    loaded.save(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"architecture": "FPN"}, "do not fit"),
        ({"architecture": "Net"}, "architecture must be one of"),
        ({"encoder": "vgg19_bn"}, "do not fit"),
        ({"encoder": "tu-hf-hub:org/name"}, "no such encoder"),
        ({"encoder": "mit_b5"}, "do not fit"),
        ({"classes": 4}, "3 class names"),
        ({"library": "another 1.0", "encoder": "resnet18"}, "another 1.0 wrote it, here is seg"),
    ],
)
def test_a_wrong_foreign_plan_is_refused_before_memory_is_taken(
    foreign: Segmenter,
    tmp_path: Path,
    change: dict[str, Any],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "segmenter.safetensors"
    foreign.save(file)
    build, devices = kinds.build, []

    def noting(plan: kinds.AnyPlan) -> kinds.Network:
        devices.append(torch.get_default_device().type)
        return build(plan)

    monkeypatch.setattr(kinds, "build", noting)
    _rewritten(file, lambda facts: facts | {"network": facts["network"] | change})
    with pytest.raises(ModelError, match=says) as caught:
        Segmenter.load(file)
    assert "\n" not in str(caught.value)
    assert set(devices) <= {"meta"}
