"""A whole smp.Unet becomes an EffUNet with its logits, or is refused in one line."""

from collections.abc import Callable
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
from effunet.errors import ModelError
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
    assert ours.plan.widths == (64, 32, 16, 16, 8) and ours.plan.channels == 4
    image = torch.randint(0, 256, (1, 4, 64, 64), dtype=torch.uint8)
    assert_equal(ours(image), logits(theirs, image, mean, std))
    with pytest.raises(ModelError, match="mean has 3 numbers for images of 4 channels"):
        network_of(contents(theirs), mean=MEAN, std=STD)


@torch.no_grad()
def test_one_logit_becomes_two_classes_with_the_sigmoids_probability() -> None:
    theirs = unet("efficientnet-b0", classes=1)
    ours, _ = network_of(contents(theirs))
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    expected = logits(theirs, image).sigmoid()[:, 0]
    torch.testing.assert_close(ours(image).softmax(1)[:, 1], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: unet("resnet18"), "no EfficientNet in a known naming"),
        (lambda: unet("efficientnet-b0", smp.FPN), "holds no whole smp.Unet"),
        (lambda: unet("efficientnet-b0", smp.UnetPlusPlus), "holds no whole smp.Unet"),
        (lambda: unet("efficientnet-b0", decoder_attention_type="scse"), "attention gates"),
        (lambda: unet("efficientnet-b0", aux_params={"classes": 2}), "a classification head"),
        (lambda: unet("efficientnet-b0", decoder_use_norm=False), "is no plain smp.Unet: lacks"),
        (
            lambda: unet("efficientnet-b0", encoder_depth=4, decoder_channels=(64, 32, 16, 8)),
            "its decoder has 4 steps",
        ),
        (lambda: unet("tu-efficientnet_b0"), "do not tell .* encoder.numerics"),
        (lambda: smp.encoders.get_encoder("efficientnet-b0", weights=None), "no whole smp.Unet"),
    ],
)
def test_what_is_no_plain_unet_with_an_efficientnet_is_refused(
    make: Callable[[], nn.Module], message: str
) -> None:
    with pytest.raises(ModelError, match=message) as fault:
        network_of(contents(make()))
    assert "\n" not in str(fault.value)


def test_missing_and_left_over_tensors_of_the_decoder_are_listed() -> None:
    tensors = unet("efficientnet-b0").state_dict()
    del tensors["decoder.blocks.1.conv1.0.weight"]
    tensors["decoder.blocks.1.extra"] = torch.ones(1)
    with pytest.raises(ModelError, match=r"lacks decoder.steps.1.* left over decoder.blocks.1.ex"):
        network_of(Contents("x", "x", tensors, {}))


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

    classes.write_text(yaml.safe_dump({"classes": ["road", "car"]}))
    assert main(words) == 4
    assert "has 3 classes, and" in capsys.readouterr().err and not out.exists()
    classes.write_text(yaml.safe_dump({"classes": ["road", "car", "sky"]}))
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "numerics lukemelas" in said and "padding same_native" in said
    assert f"effunet predict {out}" in said.replace("\n", "")

    segmenter = Segmenter.load(out)
    assert segmenter.labels.names == ("road", "car", "sky")
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None]
    expected = logits(theirs, batch).softmax(1)[0]
    assert np.abs(segmenter(image).probabilities - expected.numpy()).max() <= 1e-5
