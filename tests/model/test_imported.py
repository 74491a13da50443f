"""A whole smp.Unet becomes an EffUNet with its logits, or is refused in one line."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn

from effunet.cli import main
from effunet.errors import ModelError, UsageError
from effunet.model.imported import network_of
from effunet.model.pretrained.files import Contents
from effunet.segmenter import Segmenter

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
pytestmark = pytest.mark.filterwarnings("ignore:`timm-` encoders are deprecated:DeprecationWarning")


def unet(encoder: str, build: Callable[..., nn.Module] = smp.Unet, **options: Any) -> nn.Module:
    """smp's network with no tensor at a neutral value."""
    torch.manual_seed(0)
    options = {"encoder_weights": None, "classes": 3, **options}
    network = build(encoder, **options).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


def contents(network: nn.Module, prefix: str = "") -> Contents:
    tensors = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    return Contents("unet.ckpt", "unet.ckpt", tensors, {})


@torch.no_grad()
def logits(network: nn.Module, image: Tensor, mean: Any = MEAN, std: Any = STD) -> Tensor:
    """As a user of smp feeds it."""
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (mean, std))
    return network((image / 255 - mean) / std)


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-5 * (theirs.max() - theirs.min())


@pytest.mark.parametrize(
    ("encoder", "numerics"),
    [
        ("efficientnet-b0", "auto"),  # whose reduction-16 feature is taken early
        ("efficientnet-b1", "auto"),  # padded for 240 x 240, whatever comes
        ("timm-efficientnet-b0", "auto"),
        ("tu-tf_efficientnet_b0", "tf"),
        ("tu-efficientnet_b0", "timm"),
    ],
)
@torch.no_grad()
def test_logits_are_those_of_the_whole_smp_network(encoder: str, numerics: str) -> None:
    theirs = unet(encoder)
    ours, _ = network_of(contents(theirs), numerics=numerics)
    for size in ((64, 96), (160, 32)):
        image = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
        assert_equal(ours(image), logits(theirs, image))


@torch.no_grad()
def test_other_widths_channels_and_normalisation_come_along() -> None:
    theirs = unet("efficientnet-b0", decoder_channels=(64, 32, 16, 16, 8), in_channels=4)
    mean, std = (0.1, 0.2, 0.3, 0.4), (0.5, 0.6, 0.7, 0.8)
    ours, _ = network_of(contents(theirs, "model."), mean=mean, std=std)
    assert ours.plan.decoder.widths == (64, 32, 16, 16, 8) and ours.plan.channels == 4
    image = torch.randint(0, 256, (1, 4, 64, 64), dtype=torch.uint8)
    assert_equal(ours(image), logits(theirs, image, mean, std))
    with pytest.raises(UsageError, match="mean has 3 numbers for images of 4 channels"):
        network_of(contents(theirs), mean=MEAN, std=STD)


def test_mean_and_std_are_those_told_then_those_of_the_numerics_asked_for_then_imagenets() -> None:
    state = contents(unet("efficientnet-b0", in_channels=3))
    half = {"numerics": "lukemelas-advprop"}
    for options, expected in (
        ({}, (MEAN, STD)),
        (half, ((0.5,) * 3, (0.5,) * 3)),
        ({**half, "std": STD}, ((0.5,) * 3, STD)),
        ({"mean": (0.1,), "std": (0.2,)}, ((0.1,), (0.2,))),
    ):
        plan = network_of(state, **options)[0].plan
        assert (plan.mean, plan.std) == expected
    # In a hub's file name "ap" is AdvProp; in that of a whole network, average precision.
    plan = network_of(replace(state, label="best_ap=0.7.ckpt"))[0].plan
    assert plan.mean == MEAN
    grey = network_of(contents(unet("efficientnet-b0", in_channels=1)))[0].plan
    assert (grey.mean, grey.std) == ((0.5,), (0.25,))


@torch.no_grad()
def test_one_logit_becomes_two_classes_with_the_sigmoids_probability() -> None:
    theirs = unet("efficientnet-b0", classes=1)
    ours, _ = network_of(contents(theirs))
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    expected = logits(theirs, image).sigmoid()[:, 0]
    torch.testing.assert_close(ours(image).softmax(1)[:, 1], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("prefix", ["model.", "module._orig_mod.", "net.0."])
def test_prefixes_and_what_stands_beside_the_network_are_left_away(prefix: str) -> None:
    theirs = unet("timm-efficientnet-b0")
    state = contents(theirs, prefix)
    state.tensors["loss.weight"] = torch.ones(3)
    ours, _ = network_of(state)
    for name, value in network_of(contents(theirs))[0].state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


OTHERS = ("UnetPlusPlus", "Linknet", "MAnet", "FPN", "DeepLabV3Plus", "UPerNet", "PSPNet", "PAN")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *(
            (lambda name=name: unet("efficientnet-b0", getattr(smp, name)), f"is an smp.*{name}")
            for name in (*OTHERS, "Segformer")
        ),
        (lambda: unet("resnet18"), "no EfficientNet in a known naming .* encoder.conv1.weight"),
        (lambda: unet("mobilenet_v2"), "its encoder is none of EfficientNet's B0 to B7"),
        (lambda: unet("vgg11"), "it has a center block"),
        (lambda: unet("timm-tf_efficientnet_lite0"), r"lacks blocks.0.0.se.conv_reduce.weight"),
        (lambda: unet("efficientnet-b0", decoder_attention_type="scse"), "attention gates"),
        (lambda: unet("efficientnet-b0", aux_params={"classes": 2}), "a classification head"),
        (lambda: unet("efficientnet-b0", decoder_use_norm=False), "no norm in its decoder"),
        (lambda: unet("efficientnet-b0", decoder_use_norm="layernorm"), "lacks .*running_mean"),
        (lambda: unet("efficientnet-b0", classes=256), r"classes must lie in \[1, 255\], got 256"),
        (
            lambda: unet("efficientnet-b0", encoder_depth=4, decoder_channels=(64, 32, 16, 8)),
            "its decoder has 4 steps",
        ),
        (lambda: unet("tu-efficientnet_b0"), "do not tell .* encoder.numerics"),
        (lambda: smp.encoders.get_encoder("efficientnet-b0", weights=None), "no whole smp.Unet"),
        (lambda: nn.ModuleList([unet("efficientnet-b0")] * 2), "holds 2 Unets, under '0.', '1.'"),
    ],
)
def test_what_is_no_plain_unet_with_an_efficientnet_is_refused(
    make: Callable[[], nn.Module], message: str
) -> None:
    with pytest.raises(ModelError, match=message) as fault:
        network_of(contents(make()))
    assert "\n" not in str(fault.value)


def test_a_unet_of_another_encoder_does_not_take_an_efficientnet_beside_it() -> None:
    state = contents(unet("resnet18"), "student.")
    teacher = contents(unet("efficientnet-b0"), "teacher.").tensors
    state.tensors.update({k: v for k, v in teacher.items() if ".encoder." in k})
    with pytest.raises(ModelError, match="no EfficientNet in a known naming"):
        network_of(state)


B0_DECODER = "decoder.blocks.2.conv2.0.weight"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop(B0_DECODER), f"lacks {B0_DECODER}"),
        (lambda t: t.pop("segmentation_head.0.bias"), "lacks segmentation_head.0.bias"),
        (lambda t: t.pop("segmentation_head.0.weight"), "5 steps and no head"),
        (lambda t: t.pop("encoder._bn0.bias"), "does not fit b0: lacks _bn0.bias"),
        (lambda t: t.update({"decoder.x": torch.ones(1)}), "has left over decoder.x"),
        (lambda t: t.update({"edges.0.weight": torch.ones(1)}), "left over edges.0.weight"),
        (lambda t: t.update({"encoder.x": torch.ones(1)}), "has left over x"),
        (lambda t: t.update({B0_DECODER: torch.ones(64, 3)}), rf"shapes: {B0_DECODER} \(64, 3\) f"),
        (lambda t: t.update({B0_DECODER: torch.tensor(1.0)}), f"damaged: {B0_DECODER} is a single"),
        (lambda t: t.update({B0_DECODER: t[B0_DECODER].int()}), r"torch.int32\) must hold finite"),
        (lambda t: t[B0_DECODER].fill_(torch.inf), f"{B0_DECODER} .* must hold finite real"),
        (lambda t: t["decoder.blocks.2.conv2.1.running_var"].fill_(-1), "logits are not those of"),
    ],
)
def test_a_faulty_tensor_is_named(
    edit: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    state = contents(unet("efficientnet-b0"))
    edit(state.tensors)
    with pytest.raises(ModelError, match=message):
        network_of(state)


@pytest.mark.parametrize(
    ("encoder", "numerics"),
    [
        ("efficientnet-b0", "timm"),
        ("efficientnet-b0", "torchvision-tf"),
        # Of B0, TensorFlow's padding is lukemelas': 224 halves as every multiple of 32 does.
        ("efficientnet-b1", "tf"),
        ("timm-efficientnet-b0", "tf"),
        ("tu-efficientnet_b0", "torchvision-tf"),
    ],
)
def test_numerics_under_which_the_logits_are_not_smps_are_refused(
    encoder: str, numerics: str
) -> None:
    with pytest.raises(ModelError, match=rf"its logits are not those of smp's {encoder}: off by"):
        network_of(contents(unet(encoder)), numerics=numerics)


def test_half_precision_and_missing_counters_do_no_harm() -> None:
    state = contents(unet("efficientnet-b0"))
    half = {k: v.half() for k, v in state.tensors.items() if not k.endswith("num_batches_tracked")}
    ours, _ = network_of(replace(state, tensors=half))
    assert torch.equal(ours.head.weight, half["segmentation_head.0.weight"].float())


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
@torch.no_grad()
def test_the_command_writes_a_segmenter_that_predicts_as_smp_did(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = unet("efficientnet-b0")
    checkpoint, classes, out = tmp_path / f"a{suffix}", tmp_path / "c.yaml", tmp_path / "o" / "s.st"
    tensors = contents(theirs, "model.").tensors
    if suffix == ".ckpt":
        torch.save({"state_dict": tensors, "epoch": 3, "global_step": 7}, checkpoint)
    else:
        save_file(tensors, checkpoint)
    words = ["import", "smp", str(checkpoint), "--classes", str(classes), "--out", str(out)]
    classes.write_text(yaml.safe_dump({"classes": ["road", "car", "sky"], "ignore": [255]}))
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "EffUNet b0, 3 classes, 5.8 M parameters" in said
    assert "numerics lukemelas" in said and "padding same_native" in said
    assert "std 0.229 0.224 0.225 of values in 0..1 (mean and std by default" in said
    assert f"next:\n  effunet predict {out} IMAGE_OR_DIR --out out\n" in said

    segmenter = Segmenter.load(out)
    assert segmenter.labels.names == ("road", "car", "sky") and segmenter.labels.ignore == (255,)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None]
    expected = logits(theirs, batch).softmax(1)[0]
    assert np.abs(segmenter(image).probabilities - expected.numpy()).max() <= 1e-5


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"classes": "{classes: [road]}"}, 4, "has 2 classes or one logit, and .* names 1: name 2"),
        ({"classes": "{classes: road}"}, 3, "c.yaml: classes"),
        ({"--classes": "none.yaml"}, 3, "none.yaml cannot be read"),
        ({"checkpoint": "none.ckpt"}, 4, "none.ckpt: there is no such weight file"),
        ({"--mean": "nan"}, 2, "mean and std: mean must lie in"),
        ({"--numerics": "timm"}, 4, "as asked for, its logits are not those of smp's"),
        ({"--out": "s.pth"}, 2, "s.pth: .pth files are pickles, .* name it s.safetensors"),
        ({"--out": "a.safetensors"}, 2, "would replace what is read"),
        ({"--out": "c.yaml"}, 2, "would replace what is read"),
        ({"--out": "c.yaml/s.safetensors"}, 2, "c.yaml is a file: name a folder"),
        ({"--out": f"{'s' * 300}.safetensors"}, 5, "cannot be written .File name too long"),
    ],
)
def test_the_command_refuses_in_one_line_and_writes_nothing(
    change: dict[str, str],
    code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file(unet("efficientnet-b0", classes=1).state_dict(), "a.safetensors")
    Path("c.yaml").write_text(change.get("classes", "{classes: [ground, road]}"))
    words = {"--classes": "c.yaml", "--out": "s.safetensors"} | change
    checkpoint = words.pop("checkpoint", "a.safetensors")
    words.pop("classes", None)
    before = {file: file.read_bytes() for file in Path().iterdir()}
    assert main(["import", "smp", checkpoint, *(w for pair in words.items() for w in pair)]) == code
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and re.search(message, err), err
    assert {file: file.read_bytes() for file in Path().iterdir()} == before
