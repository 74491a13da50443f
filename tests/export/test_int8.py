"""8 bits: what the sensitivity pass takes, what a loss refuses, and whole models of both kinds."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_trees import plain_folder
from numpy import ndarray
from test_graph import lively
from tiny_segmenter import LABELS, Patterns, random_image, saved, tiny_segmenter

from effunet import runtime
from effunet.cli import main
from effunet.data.catalog import open_dataset
from effunet.errors import ModelError
from effunet.evaluation.evaluate import evaluate
from effunet.evaluation.report import Report
from effunet.evaluation.split import report_of, tally_of
from effunet.export.formats import FORMATS
from effunet.export.graph import Graph
from effunet.export.int8 import (
    FLOAT,
    GROUPS,
    OPERATORS,
    OnnxQuantiser,
    OpenvinoQuantiser,
    crops,
    group_of,
)
from effunet.export.losses import Losses
from effunet.export.onnx import to_bytes as onnx_bytes
from effunet.export.proof import Run
from effunet.export.sensitivity import MOST, search
from effunet.labels import IGNORE
from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet


def truth(height: int, width: int) -> ndarray:
    """Class 1 below a row and 0 above it."""
    return (np.arange(height)[:, None].repeat(width, 1) >= height // 2).astype(np.uint8)


def answering(wrong: float) -> Run:
    """Names the other class on a share of the columns."""

    def run(images: ndarray) -> ndarray:
        named = truth(*images.shape[2:])
        named[:, : round(wrong * images.shape[3])] ^= 1
        return np.stack([1.0 - named, named.astype(float)])[None].astype(np.float32)

    return run


def broken_by(harm: dict[str, float], asked: list[tuple[str, ...]], wrong: float = 0):
    """A quantiser of a network whose groups each do their own harm."""

    def quantised(kept: Sequence[str]) -> Run:
        asked.append(tuple(kept))
        return answering(wrong + sum(part for group, part in harm.items() if group not in kept))

    return quantised


IMAGES = [random_image(40, 1000, seed).transpose(2, 0, 1)[None] for seed in range(2)]
SAMPLES = [(image, truth(40, 1000)) for image in IMAGES]


def test_a_network_that_bears_8_bits_is_tried_once() -> None:
    asked: list[tuple[str, ...]] = []
    trials = search(answering(0), broken_by({"head": 0.004}, asked), SAMPLES, 2)
    assert asked == [()] and trials[-1].kept == () and 0.7 < trials[-1].lost <= MOST


def test_what_breaks_the_network_stays_in_float32_and_nothing_else() -> None:
    asked: list[tuple[str, ...]] = []
    harm = {"squeeze": 0.3, "early depthwise": 0.2, "head": 0.001, "late pointwise": 0.001}
    trials = search(answering(0), broken_by(harm, asked), SAMPLES, 2)
    assert set(trials[-1].kept) == {"squeeze", "early depthwise"}
    assert 0 < trials[-1].lost <= MOST
    assert len(asked) == 1 + len(GROUPS) + len(GROUPS) - 1


def test_harms_that_add_up_are_taken_from_the_least_on() -> None:
    harm = {"early depthwise": 0.006, "squeeze": 0.001, "decoder": 0.001, "head": 0.001}
    trials = search(answering(0), broken_by(harm, []), SAMPLES, 2, 1.0)
    assert "head" in trials[-1].taken and trials[-1].kept == ("early depthwise",)
    assert trials[-1].lost <= 1


def test_where_more_may_be_lost_more_is_taken() -> None:
    harm = {"early depthwise": 0.02, "squeeze": 0.01, "decoder": 0.01, "head": 0.005}
    whole = search(answering(0), broken_by(harm, []), SAMPLES, 2, 20)
    assert len(whole) == 1 and whole[0].kept == () and MOST < whole[0].lost < 20


def test_a_network_that_is_often_wrong_is_judged_by_what_it_loses_and_not_by_how_it_errs() -> None:
    """Wrong on the left half before, and on as many columns of the right half in 8 bits."""

    def mirrored(kept: Sequence[str]) -> Run:
        return lambda images: answering(0.5)(images)[..., ::-1].copy()

    trials = search(answering(0.5), mirrored, SAMPLES, 2)
    assert len(trials) == 1 and trials[0].miou[0] == trials[0].miou[1] < 0.5


def test_a_class_that_no_mask_shows_is_not_lost_by_a_pixel_that_is_called_so() -> None:
    def scored(images: ndarray, rare: float) -> ndarray:
        scores = np.concatenate([answering(0)(images), np.zeros((1, 1, *images.shape[2:]))], 1)
        scores[0, 2, 0, 0] = rare
        return scores.astype(np.float32)

    trials = search(lambda i: scored(i, 0), lambda _: lambda i: scored(i, 2), SAMPLES, 3)
    assert len(trials) == 1 and 0 < trials[0].lost < 0.1


def test_images_without_a_labelled_pixel_judge_nothing() -> None:
    blank = [(image, np.full((40, 1000), IGNORE, np.uint8)) for image in IMAGES]
    with pytest.raises(ModelError, match=r"no pixel is labelled; take --precision fp16"):
        search(answering(0), broken_by({}, []), blank, 2)


def test_every_convolution_belongs_to_one_group() -> None:
    names = {
        "encoder.stem.1/Conv_14": "stem",
        "encoder.stages.0.0.depthwise.0/Conv_17": "early depthwise",
        "encoder.stages.1.0.expand.0/Conv_30": "early pointwise",
        "encoder.stages.2.0.squeeze.reduce/Conv_50": "squeeze",
        "encoder.stages.2.0.project.0/Conv_51": "late pointwise",
        "encoder.stages.6.0.depthwise.0/Conv_200": "late depthwise",
        "decoder.steps.0/Conv_250": "decoder",
        "head/Conv_280": "head",
    }
    assert {name: group_of(name) for name in names} == names
    assert set(names.values()) == {*FLOAT, *GROUPS}
    assert group_of("image/Pad_13") is None


def test_crops_are_the_middles_of_one_size() -> None:
    images = [random_image(50, 80), random_image(70, 60), random_image(90, 90)]
    found = crops(images, 64)
    assert {crop.shape for crop in found} == {(1, 3, 50, 60)}
    assert np.array_equal(found[1][0].transpose(1, 2, 0), images[1][10:60])


def counted(wrong: dict[int, float]) -> Report:
    """A report of predictions that call a share of a class's pixels the next one."""
    tally = tally_of(Patterns())
    for index in range(3):
        truth = Patterns()[index].mask
        predicted = truth.copy()
        for label, share in wrong.items():
            places = np.flatnonzero(truth == label)
            predicted.flat[places[: round(share * len(places))]] = (label + 1) % 3
        tally.add(index, truth, predicted, None)
    return report_of(tally.counts(), Patterns(), resamples=0)


def test_a_loss_beyond_the_allowed_points_is_refused_with_advice() -> None:
    losses = Losses(counted({}), counted({0: 0.05}))
    assert 2 < losses.drop < 10
    losses.check(10, "int8")
    with pytest.raises(ModelError, match=r"loses \d\.\d\d points of mIoU.*--precision fp16"):
        losses.check(1, "int8")


def test_a_class_that_loses_half_of_its_iou_is_refused_whatever_is_allowed() -> None:
    losses = Losses(counted({}), counted({1: 0.6}))
    assert losses.collapsed == ["road"]
    with pytest.raises(ModelError, match="half of the IoU of road"):
        losses.check(100, "int8")


def test_a_class_that_was_never_learnt_cannot_collapse() -> None:
    lost = counted({1: 1.0})
    assert Losses(lost, lost).collapsed == []


@pytest.mark.long
@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_a_model_of_8_bits_is_written_with_its_losses(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The dataset's masks are the segmenter's own answers, so that there is a mIoU to lose."""
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    file = saved(tmp_path)
    data = plain_folder(tmp_path / "data", {"train": 6, "val": 3}, size=(64, 96))
    segmenter = tiny_segmenter()
    for image in data.glob("*/images/*.png"):
        index = int(image.stem[-3:])
        Image.fromarray(random_image(64, 96, index)).save(image)
        mask = segmenter(image).mask
        Image.fromarray(mask).save(image.parent.parent / "masks" / image.name)
    classes = "".join(
        f"  - {{name: {label.name}, values: [{place}]}}\n"
        for place, label in enumerate(LABELS.classes)
    )
    (data / "dataset.yaml").write_text(f"classes:\n{classes}")
    ending = {"onnx": ".onnx", "openvino": ".xml"}[format]
    words = ["export", str(file), "--format", format, "--precision", "int8", "--data", str(data)]
    capsys.readouterr()
    words += ["--max-drop", "100"]  # of noise's own answers: the whole network, at the first trial
    assert main(words) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert said.count("in 8 bits:") == said.count("all parts in 8 bits:") == 1
    assert "mIoU      100.00 -> " in said
    target = tmp_path / f"model_int8{ending}"
    facts = runtime.Model.load(target).facts
    assert facts["precision"] == "int8" and facts["measured"]["miou"][0] == 1.0
    assert main(["evaluate", str(target), "--data", str(data), "--resamples", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["miou"] == facts["measured"]["miou"][1]
    assert evaluate(segmenter, open_dataset(str(data), "val"), resamples=0).scores.miou == 1.0
    if format == "openvino":
        # Depthwise ones (5 dimensions) have few products to add.
        weights = [weight for weight in small_weights(target) if weight.ndim == 4]
        assert len(weights) > 10 and max(abs(weight).max() for weight in weights) <= 64
        ranges = depthwise_ranges(target)
        assert ranges and all(taken == wide for taken, wide in ranges)


@pytest.mark.long
def test_openvino_moves_a_unets_pixels_in_8_bits_and_leaves_the_stem_alone() -> None:
    from effunet.export.openvino import converted

    torch.manual_seed(0)
    network = lively(EffUNet(EfficientNet("b0"), classes=3, decoder="unet"))
    graph = Graph(network, doubling=FORMATS["openvino"].doubling_int8)
    crops = [random_image(64, 96, seed).transpose(2, 0, 1)[None] for seed in range(2)]
    operators = OpenvinoQuantiser(converted(graph), crops).quantised(()).get_ordered_ops()
    moved = [op for op in operators if op.get_type_name() == "DepthToSpace"]
    assert len(moved) == len(graph.body.decoder.steps) == 5
    assert {op.input_value(0).get_node().get_type_name() for op in moved} == {"FakeQuantize"}
    rounded = [
        op.input_value(0).get_node().get_type_name() == "FakeQuantize"
        for op in operators
        if op.get_type_name() == "Convolution" and group_of(op.get_friendly_name()) == "stem"
    ]
    assert rounded == [False]


def depthwise_ranges(file: Path) -> list[tuple[int, int]]:
    """Ranges that the input of each depthwise convolution of 8 bits has, and its channels."""
    import openvino

    found: list[tuple[int, int]] = []
    for op in openvino.Core().read_model(file).get_ordered_ops():
        if op.get_type_name() != "GroupConvolution":
            continue
        given = op.input_value(0).get_node()
        while given.get_type_name() == "Pad":
            given = given.input_value(0).get_node()
        if given.get_type_name() == "FakeQuantize":
            shapes = [given.input(place).get_partial_shape() for place in (1, 0)]
            low, feature = (shape[1].get_length() if len(shape) else 1 for shape in shapes)
            found.append((low, feature))
    return found


def small_weights(file: Path) -> list[ndarray]:
    """Those that are stored as integers of 8 bits."""
    import openvino

    operators = openvino.Core().read_model(file).get_ordered_ops()
    constants = [op for op in operators if op.get_type_name() == "Constant"]
    return [op.data.astype(int) for op in constants if op.get_element_type() == openvino.Type.i8]


def flattened(parts: str) -> Graph:
    """Of a network in which norms whose name ends so give next to nothing."""
    network = tiny_segmenter().network
    with torch.no_grad():
        for name, norm in network.encoder.stages.named_modules():
            if isinstance(norm, torch.nn.BatchNorm2d) and name.endswith(parts):
                norm.weight *= 1e-6  # Sigmoid gives 0.5 and little else
                norm.bias.zero_()
                norm.running_mean.zero_()
    return Graph(network)


def quantiser(parts: str, folder: Path) -> OnnxQuantiser:
    return OnnxQuantiser(onnx_bytes(flattened(parts)), IMAGES, folder)


def test_activations_that_hardly_vary_stay_in_float32_and_convolutions_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    quantised = OnnxQuantiser._quantised

    def recorded(self: OnnxQuantiser, operators: list[str], kept: Sequence[str]) -> bytes:
        asked.append(operators)
        return quantised(self, operators, kept)

    monkeypatch.setattr(OnnxQuantiser, "_quantised", recorded)
    (tmp_path / "model.onnx").write_bytes(quantiser("expand.norm", tmp_path).quantised(()))
    assert asked == [OPERATORS, ["Conv"]]
    answer = runtime.open_file(tmp_path / "model.onnx")[1](IMAGES[0])
    assert answer.shape == (1, len(LABELS), 40, 1000)


@pytest.mark.long
def test_openvino_takes_the_ends_of_values_that_hardly_vary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from effunet.export.openvino import converted

    tried, quantised = list[bool](), OpenvinoQuantiser._quantised

    def recorded(self: OpenvinoQuantiser, names: list[str], ranges: object) -> object:
        tried.append(ranges is not None)
        return quantised(self, names, ranges)

    monkeypatch.setattr(OpenvinoQuantiser, "_quantised", recorded)

    model = OpenvinoQuantiser(converted(flattened("expand.norm")), IMAGES).quantised(())
    assert any(op.get_type_name() == "FakeQuantize" for op in model.get_ordered_ops())
    assert tried == [True, False]


def test_a_network_of_which_no_ranges_can_be_taken_is_refused_with_a_way_out(
    tmp_path: Path,
) -> None:
    with pytest.raises(ModelError, match=r"hardly differ .* --precision fp16"):
        quantiser("norm", tmp_path).quantised(())
