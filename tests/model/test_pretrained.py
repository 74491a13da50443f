import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

from effunet.errors import ModelError
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.pretrained import load, numerics_of, of_contents, save_timm, to_timm
from effunet.model.pretrained.files import Contents

SHARED = Path(__file__).resolve().parents[3] / "shared"
B0_WEIGHTS = Path(
    os.environ.get("B0_WEIGHTS")
    or SHARED / "weights" / "tf_efficientnet_b0_imagenet_encoder.safetensors"
)


Weights = dict[str, torch.Tensor]


def timm_network(variant: str, **options: object) -> nn.Module:
    """timm's network with random weights and random statistics: no tensor is a neutral one."""
    torch.manual_seed(0)
    network = timm.create_model(f"tf_efficientnet_{variant}", pretrained=False, **options).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


@pytest.fixture(scope="module")
def b0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tf_efficientnet_b0.safetensors"
    save_file(timm_network("b0").state_dict(), path)
    return path


def assert_equal_features(encoder: EfficientNet, peer: nn.Module, height: int, width: int) -> None:
    image = torch.randn(1, 3, height, width, dtype=torch.float64)
    with torch.no_grad():
        features = encoder.double().eval().features(image)
        expected = peer.double().eval()(image)
    for feature, other in zip(features, expected, strict=True):
        assert feature.shape == other.shape
        assert (feature - other).abs().max() <= 1e-9 * other.abs().max()


@pytest.mark.skipif(not B0_WEIGHTS.is_file(), reason="needs the real weights: set B0_WEIGHTS")
def test_the_real_file_gives_timms_features() -> None:
    encoder = EfficientNet("b0", skip="stage1", numerics=numerics_of(B0_WEIGHTS))
    assert load(encoder, B0_WEIGHTS) == Numerics("same", 1e-3)
    peer = timm.create_model("tf_efficientnet_b0", pretrained=False, features_only=True)
    peer.load_state_dict(
        {name: value for name, value in load_file(B0_WEIGHTS).items() if name in peer.state_dict()}
    )
    assert_equal_features(encoder, peer, 96, 75)


def test_weights_trained_by_advprop_take_images_from_minus_1_to_1(b0: Path, tmp_path: Path) -> None:
    path = tmp_path / "tf_efficientnet_b0.ap_in1k.safetensors"
    path.write_bytes(b0.read_bytes())
    assert numerics_of(path) == Numerics(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert numerics_of(b0) == Numerics()


def test_the_dialect_may_stand_in_the_metadata(b0: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(load_file(b0), path, {"naming": "timm tf_efficientnet_b0"})
    assert numerics_of(path) == Numerics()


HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


@pytest.mark.parametrize(
    ("name", "expected", "told"),
    [
        ("tf_efficientnet_b0.ns_jft_in1k", Numerics(), "tf, by 'tf_efficientnet'"),
        ("tf_efficientnet_b0.ap_in1k", Numerics(**HALF), "tf-advprop, by 'tf_efficientnet'"),
        ("tf_efficientnet_b0_ap-f262efe1", Numerics(**HALF), "tf-advprop, by 'tf_efficientnet'"),
        ("tf_efficientnet_b0_best_ap=0.7", Numerics(), "tf, by 'tf_efficientnet'"),
        ("timm-efficientnet-b0", Numerics(), "tf, by 'timm-efficientnet'"),
        ("efficientnet_b0.ra_in1k", Numerics("symmetric", 1e-5), "timm, by 'efficientnet_b0'"),
        (
            "efficientnet_b0.ra4_e3600_r224_in1k",
            Numerics("symmetric", 1e-5, **HALF),
            "timm-half, by 'efficientnet_b0'",
        ),
    ],
)
def test_what_equal_tensors_leave_open_the_name_of_the_file_tells(
    name: str,
    expected: Numerics,
    told: str,
    b0: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(b0.read_bytes())
    assert numerics_of(path) == expected
    assert f"timm naming, numerics {told} in its name" in capsys.readouterr().out


def test_weights_whose_numerics_nothing_tells_are_refused_until_they_are_told(
    b0: Path, tmp_path: Path
) -> None:
    path = tmp_path / "best.safetensors"
    path.write_bytes(b0.read_bytes())
    with pytest.raises(ModelError, match=r"best.safetensors: .*do not tell .*encoder.numerics=tf"):
        numerics_of(path)
    assert numerics_of(path, numerics="tf") == Numerics()
    assert numerics_of(path, numerics="timm") == Numerics("symmetric", 1e-5)


def test_a_hubs_config_beside_the_weights_tells_their_lineage_mean_and_std(
    b0: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b0.read_bytes())
    config = {
        "architecture": "efficientnet_b0",
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert numerics_of(path) == Numerics("symmetric", 1e-5, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    config["pretrained_cfg"] = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"mean or std of its config.json: std must lie in"):
        numerics_of(path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="do not tell"):
        numerics_of(path)


def as_ours(state: Weights, variant: str = "b0") -> Weights:
    """The state of our encoder that was filled from timm's."""
    encoder = EfficientNet(variant, classifier=True)
    load(encoder, of_contents(Contents("", f"tf_efficientnet_{variant}", state, {})))
    return encoder.state_dict()


@pytest.mark.parametrize("prefix", ["encoder.", "model.encoder.", "module._orig_mod.", "net."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_prefixes_and_what_stands_beside_the_encoder_are_left_away(
    prefix: str, suffix: str, b0: Path, tmp_path: Path
) -> None:
    state = load_file(b0)
    path = tmp_path / f"tf_efficientnet_b0{suffix}"
    wrapped = {f"{prefix}{name}": value for name, value in state.items()}
    wrapped["loss.weight"] = torch.ones(2)
    if suffix == ".pth":
        torch.save({"epoch": 3, "state_dict": wrapped, "lr": [0.1]}, path)
    else:
        save_file(wrapped, path)
    encoder = EfficientNet("b0", classifier=True)
    load(encoder, path)
    for name, value in as_ours(state).items():
        assert torch.equal(encoder.state_dict()[name], value) or name.endswith("tracked")


def test_two_encoders_in_a_file_are_refused(b0: Path, tmp_path: Path) -> None:
    state = load_file(b0)
    path = tmp_path / "tf_efficientnet_b0.pth"
    both = {f"{k}.{name}": value for k in ("student", "teacher") for name, value in state.items()}
    torch.save(both, path)
    assert "holds 2 EfficientNets, under 'student.', 'teacher.'" in refusal(
        EfficientNet("b0"), path
    )


def test_half_precision_and_missing_counters_do_no_harm(b0: Path, tmp_path: Path) -> None:
    state = load_file(b0)
    path = tmp_path / b0.name
    half = {k: v.half() for k, v in state.items() if not k.endswith("num_batches_tracked")}
    save_file(half, path)
    encoder = EfficientNet("b0")
    load(encoder, path)
    for name, value in encoder.state_dict().items():
        assert value.dtype == (torch.int64 if name.endswith("tracked") else torch.float32)
    stem = encoder.get_parameter("stem.conv.weight")
    assert torch.equal(stem, state["conv_stem.weight"].half().float())


@pytest.mark.parametrize("variant", ["b0", "b5"])
def test_torchvisions_larger_variants_keep_tensorflows_eps(variant: str) -> None:
    with torch.device("meta"):
        peer = getattr(torchvision.models, f"efficientnet_{variant}")(weights=None)
    weights = of_contents(Contents("a.pth", "a.pth", peer.state_dict(), {}))
    assert weights.numerics == Numerics("symmetric", 1e-5 if variant == "b0" else 1e-3)
    assert next(m for m in peer.modules() if isinstance(m, nn.BatchNorm2d)).eps == (
        weights.numerics.eps
    )


def test_the_way_back_gives_timms_own_tensors_and_a_file_that_tells_its_numerics(
    b0: Path, tmp_path: Path
) -> None:
    encoder = EfficientNet("b0", classifier=True)
    load(encoder, b0)
    state, back = load_file(b0), to_timm(encoder)
    assert back.keys() == {name for name in state if not name.endswith("num_batches_tracked")}
    assert all(torch.equal(value, state[name]) for name, value in back.items())
    missing = timm.create_model("tf_efficientnet_b0").load_state_dict(back, strict=False)
    assert not missing.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)

    odd = EfficientNet("b0", numerics=Numerics("same_native", 1e-4, (0.1, 0.2, 0.3), (1, 2, 3)))
    save_timm(odd, tmp_path / "any.safetensors")
    assert numerics_of(tmp_path / "any.safetensors") == odd.numerics
    again = EfficientNet("b0", numerics=odd.numerics)
    load(again, tmp_path / "any.safetensors")
    for name, value in odd.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


@pytest.mark.parametrize(
    ("channels", "rule", "share"),
    [
        (1, "sum", (1, 1, 1)),
        (4, "sum", (1, 1, 1)),
        (1, "mean", (1 / 3, 1 / 3, 1 / 3)),
        (13, "mean", (13 / 3, 13 / 3, 13 / 3)),
        (1, "repeat", (3, 0, 0)),
        (4, "repeat", (1.5, 0.75, 0.75)),
        (13, "repeat", (15 / 13, 12 / 13, 12 / 13)),
        (6, "repeat", (1, 1, 1)),
    ],
)
def test_a_constant_image_of_any_channels_gets_the_response_that_the_rule_promises(
    channels: int, rule: str, share: tuple[float, ...], b0: Path
) -> None:
    """`share` is what each colour of the RGB stem adds, of what it adds there."""
    rgb = EfficientNet("b0")
    load(rgb, b0)
    numerics = numerics_of(b0, channels=channels, stem=rule)
    other = EfficientNet("b0", channels=channels, numerics=numerics)
    load(other, b0, stem=rule)
    constant = torch.full((1, channels, 8, 8), 0.7)
    colours = torch.tensor(share).view(1, 3, 1, 1) * torch.full((1, 3, 8, 8), 0.7)
    with torch.no_grad():
        found, expected = other.stem.conv(constant), rgb.stem.conv(colours)
    assert torch.allclose(found, expected, atol=1e-6)
    assert len(numerics.mean) in (1, channels)
    assert len(set(numerics.mean)) <= 3


def test_only_the_stem_is_changed_for_other_channels(b0: Path) -> None:
    rgb, grey = (
        EfficientNet("b0"),
        EfficientNet("b0", channels=1, numerics=numerics_of(b0, channels=1)),
    )
    load(rgb, b0)
    load(grey, b0)
    state = grey.state_dict()
    for name, value in rgb.state_dict().items():
        assert name == "stem.conv.weight" or torch.equal(state[name], value)


def refusal(encoder: EfficientNet, path: Path) -> str:
    """The line that loading is refused with; the encoder must be as it was."""
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(ModelError) as fault:
        load(encoder, path)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert "\n" not in str(fault.value)
    return str(fault.value)


def test_a_file_of_another_variant_is_refused_and_named(b0: Path, tmp_path: Path) -> None:
    line = refusal(EfficientNet("b1"), b0)
    assert "does not fit b1: lacks " in line
    assert line.endswith("it looks like b0, build that one")
    path = tmp_path / "tf_efficientnet_b1.safetensors"
    save_file(timm_network("b1").state_dict(), path)
    assert "has left over blocks." in refusal(EfficientNet("b0"), path)
    assert refusal(EfficientNet("b0"), path).endswith("it looks like b1, build that one")
    assert "has other shapes: " in refusal(EfficientNet("b2"), path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda w: w.pop("blocks.6.0.conv_pwl.weight"), "lacks blocks.6.0.conv_pwl.weight"),
        (lambda w: w.update({"extra.bias": torch.zeros(1)}), "has left over extra.bias"),
        (
            lambda w: w.update({"conv_stem.weight": torch.zeros(32, 1, 3, 3)}),
            r"other shapes: conv_stem.weight (32, 1, 3, 3) for (32, 3, 3, 3)",
        ),
        (lambda w: w["blocks.6.0.bn3.bias"].fill_(torch.nan), "blocks.6.0.bn3.bias"),
        (
            lambda w: w.update({"bn1.bias": torch.zeros(32, dtype=torch.int32)}),
            "bn1.bias (torch.int32) must hold finite real numbers",
        ),
    ],
)
def test_a_file_with_a_faulty_tensor_changes_nothing(
    edit: Callable[[Weights], object], message: str, b0: Path, tmp_path: Path
) -> None:
    weights = load_file(b0)
    edit(weights)
    path = tmp_path / b0.name
    save_file(weights, path)
    assert message in refusal(EfficientNet("b0"), path)


def test_a_classifier_is_not_filled_from_a_file_without_one(b0: Path, tmp_path: Path) -> None:
    path = tmp_path / b0.name
    save_file({k: v for k, v in load_file(b0).items() if not k.startswith("classifier.")}, path)
    load(EfficientNet("b0"), path)
    line = refusal(EfficientNet("b0", classifier=True), path)
    assert "lacks classifier.weight, classifier.bias" in line


def test_an_encoder_with_other_numerics_is_refused(b0: Path) -> None:
    encoder = EfficientNet("b0", numerics=Numerics("symmetric", 1e-5))
    assert "build it with numerics=numerics_of(source)" in refusal(encoder, b0)


class Canary:
    """Its pickle would create a file, were it ever read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_a_pickle_under_any_name_is_refused_and_never_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for suffix in (".safetensors", ".pth", ".pt", ".bin", ".ckpt"):
        path = tmp_path / f"tf_efficientnet_b0{suffix}"
        path.write_bytes(pickle.dumps({"conv_stem.weight": Canary(canary)}))
        assert str(path) in refusal(EfficientNet("b0"), path)
        torch.save({"conv_stem.weight": Canary(canary)}, path)
        line = refusal(EfficientNet("b0"), path)
        assert "could run code" in line or suffix == ".safetensors"
    assert not canary.exists()


def test_a_torch_file_cut_short_or_without_tensors_is_refused(b0: Path, tmp_path: Path) -> None:
    path = tmp_path / "tf_efficientnet_b0.pth"
    torch.save(load_file(b0), path)
    path.write_bytes(path.read_bytes()[:100_000])
    assert "is no readable .pth file" in refusal(EfficientNet("b0"), path)
    torch.save([torch.ones(3)], path)
    assert "holds a list and no named tensors" in refusal(EfficientNet("b0"), path)


def test_a_pruned_network_is_refused_as_one(tmp_path: Path) -> None:
    with torch.device("meta"):
        state = timm.create_model("efficientnet_b1_pruned").state_dict()
    weights = of_contents(Contents("p", "efficientnet_b1_pruned.in1k", state, {}))
    encoder = EfficientNet("b1", numerics=weights.numerics)
    with pytest.raises(ModelError, match="a pruned network has widths of its own"):
        load(encoder, weights)


@pytest.mark.parametrize("content", [b"", b"no weights, but a longer text " * 9, None])
def test_what_is_no_whole_safetensors_file_is_refused(
    content: bytes | None, b0: Path, tmp_path: Path
) -> None:
    path = tmp_path / b0.name
    path.write_bytes(b0.read_bytes()[:100_000] if content is None else content)
    assert "is no readable .safetensors file" in refusal(EfficientNet("b0"), path)


def test_other_weights_in_safetensors_are_refused_with_what_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "resnet.safetensors"
    save_file({f"layer1.{index}.weight": torch.zeros(1) for index in range(5)}, path)
    line = refusal(EfficientNet("b0"), path)
    assert "no EfficientNet in a known naming (timm, torchvision, lukemelas)" in line
    assert line.endswith("layer1.0.weight, layer1.1.weight, layer1.2.weight, ... (5 in all)")


@pytest.mark.parametrize(
    "source", ["https://example.org/w.safetensors", "hf:timm/tf_efficientnet_b0", "file:///w"]
)
def test_no_address_is_fetched(source: str) -> None:
    with pytest.raises(ModelError, match=r"from a local file, from hf://org/name\[@revision\]"):
        numerics_of(source)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    with pytest.raises(ModelError, match=r"none.safetensors: there is no such weight file"):
        numerics_of(path)
