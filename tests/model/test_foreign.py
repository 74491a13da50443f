"""Networks of segmentation_models_pytorch keep the contract of our own."""

import json
import socket
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file, save_file
from test_pretrained import B0_WEIGHTS, timm_network
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from effunet.errors import ModelError, UsageError
from effunet.model import foreign, kinds, pretrained, raw
from effunet.model.architectures import ARCHITECTURES, TWINS
from effunet.model.blocks import MBConv
from effunet.model.decoders.plan import DecoderPlan
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.foreign import SmpNetwork, SmpPlan
from effunet.model.network import EffUNet, NetworkPlan
from effunet.model.scaling import published

SMALL = "tu-mobilenetv3_small_050"


def network(architecture: str = "FPN", encoder: str = SMALL, **options: Any) -> SmpNetwork:
    torch.manual_seed(0)
    return SmpNetwork(SmpPlan(architecture, encoder, 3, **options))


def photo(*size: int) -> torch.Tensor:
    return torch.randint(0, 256, size, dtype=torch.uint8)


# The contract


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        *((architecture, TWINS["b0"]) for architecture in ARCHITECTURES),
        *(("PSPNet", encoder) for encoder in ("efficientnet-b0", "mit_b0", SMALL)),
        ("Segformer", "tu-convnext_atto"),
    ],
)
def test_logits_have_the_images_own_size_and_every_parameter_gets_a_gradient(
    architecture: str, encoder: str
) -> None:
    """A gradient for all, so that several processes need no search for unused ones."""
    with torch.device("meta"):
        net = network(architecture, encoder)
        net(torch.empty(2, 3, 33, 130, dtype=torch.uint8)).sum().backward()
        assert [name for name, weight in net.named_parameters() if weight.grad is None] == []
        for height, width in ((1, 1), (161, 70)):
            image = torch.empty(1, 3, height, width, dtype=torch.uint8)
            assert net.eval()(image).shape == (1, 3, height, width)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_wrapper_only_normalises_continues_the_border_and_crops(architecture: str) -> None:
    net = network(architecture).eval()
    image, least = photo(1, 3, 33, 41), ARCHITECTURES[architecture].least
    sides = [max(least, -(-side // 32) * 32) for side in (33, 41)]
    rows, columns = torch.arange(sides[0]).clamp(max=32), torch.arange(sides[1]).clamp(max=40)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    whole = (image[:, :, rows][..., columns] / 255 - mean) / std

    peer = getattr(smp, architecture)(SMALL, encoder_weights=None, classes=3).eval()
    ours = {
        name.replace("head.", "segmentation_head.", 1) if name.startswith("head.") else name: weight
        for name, weight in net.state_dict().items()
    }
    missing, unknown = nn.Module.load_state_dict(peer, ours, strict=False)
    assert unknown == []
    assert all(name.startswith(tuple(net.left_out)) for name in missing)
    with torch.no_grad():
        expected = peer(whole)[..., :33, :41]
        torch.testing.assert_close(net(image), expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(net(image), net(image.float()))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_left_out_does_not_depend_on_who_asked_first(architecture: str) -> None:
    """The answer is kept for the process: no count, file or prediction may shape it."""
    plan, build = SmpPlan(architecture, SMALL, 3), partial(network, architecture)
    foreign._unreached.cache_clear()
    names = list(build().state_dict())
    foreign._unreached.cache_clear()
    assert list(raw.shapes_of(build).state_dict()) == names
    counted = raw.count_macs(build, 3, 64, 64)
    foreign._unreached.cache_clear()
    with torch.inference_mode():
        assert list(SmpNetwork(plan).state_dict()) == names
    # Of a network with weights that have numbers, through every function: nothing was left out.
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        build().eval()(photo(1, 3, 64, 64))
    assert counter.get_total_flops() // 2 == counted


def test_left_out_is_what_the_decoder_never_reaches() -> None:
    with torch.device("meta"):
        assert network("PSPNet", TWINS["b0"]).left_out == tuple(
            f"encoder.model.blocks.{stage}" for stage in (3, 4, 5, 6)
        )
        assert network("Unet", "efficientnet-b0").left_out == ("encoder._conv_head", "encoder._bn1")
        assert network("Unet", TWINS["b0"]).left_out == ()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architectures_that_pool_globally_are_those_that_need_two_images_a_batch(
    architecture: str,
) -> None:
    net = network(architecture).train()
    if ARCHITECTURES[architecture].pools:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            net(photo(1, 3, 128, 64))
    else:
        net(photo(1, 3, 128, 64))
    net(photo(2, 3, 33, 32))


def test_four_channels_flow_through() -> None:
    numerics = Numerics.for_channels(4)
    net = network(channels=4, mean=numerics.mean, std=numerics.std).eval()
    assert net(photo(1, 4, 40, 40)).shape == (1, 3, 40, 40)


def test_macs_are_those_of_the_padded_image_in_smps_network() -> None:
    ours = network("Unet", TWINS["b0"])
    # smp's Unet takes the reduction-2 feature behind the first stage, as skip=stage1 does.
    own = EffUNet(EfficientNet("b0", skip="stage1"), classes=3, decoder="unet")
    assert ours.macs(64, 96) == ours.macs(33, 65) == own.macs(64, 96)
    assert ours.training and not next(ours.parameters()).is_meta


# The twin of our encoder


def assert_twins(ours: EfficientNet, theirs: SmpNetwork) -> None:
    image = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        expected = ours.double().eval().features(image)
        features = theirs.encoder.double().eval()(image)[1:]
    for feature, other in zip(features, expected, strict=True):
        assert (feature - other).abs().max() <= 1e-9 * other.abs().max()


def test_the_twin_computes_what_our_encoder_does_and_learns_its_statistics_alike(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tf_efficientnet_b0.safetensors"
    save_file(timm_network("b0").state_dict(), path)
    ours = EfficientNet("b0", skip="stage1", numerics=pretrained.numerics_of(path))
    pretrained.load(ours, path)
    theirs = network("Unet", TWINS["b0"])
    theirs.load_encoder(path)
    assert_twins(ours, theirs)
    norms = [
        [(m.eps, m.momentum) for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
        for encoder in (ours, theirs.encoder)
    ]
    assert norms[0] == norms[1]


@pytest.mark.skipif(not B0_WEIGHTS.is_file(), reason="needs the real weights: set B0_WEIGHTS")
@pytest.mark.parametrize("architecture", ["Unet", "PSPNet", "DeepLabV3Plus"])
def test_the_real_file_fits_the_twin(architecture: str) -> None:
    net = network(architecture, TWINS["b0"])
    net.load_encoder(B0_WEIGHTS)
    stored = load_file(B0_WEIGHTS)
    for name, weight in net.encoder.get_submodule("model").named_parameters():
        assert torch.equal(weight, stored[name])


def test_a_file_that_does_not_fit_is_refused_with_what_is_missing_and_changes_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tf_efficientnet_b0.safetensors"
    weights = timm_network("b0").state_dict()
    net = network("FPN", TWINS["b0"])
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    save_file({k: w for k, w in weights.items() if k != "blocks.6.0.bn3.bias"}, path)
    with pytest.raises(ModelError, match=r"lacks blocks\.6\.0\.bn3\.bias"):
        net.load_encoder(path)
    save_file({**weights, "extra.weight": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=r"left over extra\.weight"):
        net.load_encoder(path)
    save_file(weights, path)
    with pytest.raises(ModelError, match=r"tf_efficientnet_b1: lacks .* it looks like b0"):
        network("FPN", TWINS["b1"]).load_encoder(path)
    assert all(torch.equal(before[name], weight) for name, weight in net.state_dict().items())


def test_drop_path_grows_as_ours_does_and_is_the_twins_alone() -> None:
    with torch.device("meta"):
        twin = SmpNetwork(SmpPlan("FPN", TWINS["b0"], 3), drop_path=0.4)
        ours = EfficientNet("b0", drop_path=0.4)
    # timm's block may hold a rate that it has no shortcut for, and never drops then.
    theirs = [m.drop_path.drop_prob for m in twin.modules() if getattr(m, "has_skip", False)]
    assert theirs == pytest.approx(
        [m.drop_path.rate for m in ours.modules() if isinstance(m, MBConv) and m.shortcut]
    )
    with pytest.raises(ValueError, match="take a drop_path"):
        SmpNetwork(SmpPlan("FPN", SMALL, 3), drop_path=0.4)


# The plan


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_plan_survives_json_and_its_classes_shape_the_head_alone(architecture: str) -> None:
    plan = SmpPlan(architecture, SMALL, 5, mean=(0.5,), std=(0.25,))
    stored = json.loads(json.dumps(plan.to_plain()))
    assert kinds.plan_of(stored) == plan
    with torch.device("meta"):
        built, other = kinds.build(plan), kinds.build(replace(plan, classes=3))
    assert built.plan == plan
    assert built.plan.to_plain()["library"].startswith("segmentation_models_pytorch ")
    five, three = built.state_dict(), other.state_dict()
    assert five.keys() == three.keys()
    changed = {name for name in five if five[name].shape != three[name].shape}
    assert changed == {"head.0.weight", "head.0.bias"}


def test_our_own_plan_is_still_our_own() -> None:
    plan = NetworkPlan(published("b0"), DecoderPlan("unet", (8, 8, 8, 8, 8)), classes=3)
    assert "kind" not in plan.to_plain()
    assert kinds.plan_of(plan.to_plain()) == plan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "DPT"}, "architecture must be one of Unet, .*, got 'DPT'"),
        ({"classes": 0}, "classes must lie in"),
        ({"channels": 4}, "mean has 3 numbers for images of 4 channels"),
        ({"std": [0.0, 1.0, 1.0]}, "std must lie in"),
        ({"encoder": 7}, "network.encoder must be a text"),
        ({"_target_": "os.mkdir"}, "network has unknown '_target_'"),
        ({"kind": "tf"}, "network lacks 'decoder'"),
    ],
)
def test_a_senseless_plan_is_a_model_error_of_one_line(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message) as fault:
        kinds.plan_of(SmpPlan("FPN", SMALL, 3).to_plain() | change)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("architecture", "encoder", "message"),
    [
        ("FPN", "resnet33", "no such encoder: there is resnet34"),
        ("FPN", "tu-hf-hub:org/name", "no such encoder"),
        ("FPN", "tu-local-dir:/somewhere", "no such encoder"),
        ("FPN", "timm-efficientnet-b0", "use the tu- one: there is tu-tf_efficientnet_b0"),
        ("Linknet", "mit_b0", "Linknet does not go with network.encoder=mit_b0"),
        ("FPN", "tu-swin_tiny_patch4_window7_224", "does not go with .* match model"),
    ],
)
def test_what_smp_cannot_build_is_refused_in_one_line(
    architecture: str, encoder: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as fault:
        network(architecture, encoder)
    assert "\n" not in str(fault.value)


def test_no_name_of_an_encoder_reaches_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was reached")

    for word in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, word, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with torch.device("meta"):
        for encoder in (SMALL, "resnet18", "mit_b0"):
            network("MAnet", encoder)
        with pytest.raises(UsageError):
            network("MAnet", "tu-hf-hub:org/name")


def test_smp_offers_no_architecture_that_is_not_decided_on() -> None:
    offered = {word for word in dir(smp) if isinstance(getattr(smp, word), type)}
    assert offered - set(ARCHITECTURES) <= {"DPT"}
