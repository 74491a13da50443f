import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from effunet.errors import ModelError
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.pretrained import load, numerics_of

SHARED = Path(__file__).resolve().parents[3] / "shared"
B0_WEIGHTS = Path(
    os.environ.get("B0_WEIGHTS")
    or SHARED / "weights" / "tf_efficientnet_b0_imagenet_encoder.safetensors"
)


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


@pytest.mark.parametrize(
    ("variant", "sizes"),
    [("b0", [(224, 224), (64, 96), (75, 53)]), ("b1", [(64, 41)]), ("b3", [(47, 64)])],
)
def test_features_equal_timms(variant: str, sizes: list[tuple[int, int]], tmp_path: Path) -> None:
    # features_only taps the end of the first stage; it has no head, so it leaves tensors of the
    # whole network over, as ours does.
    whole = timm_network(variant)
    path = tmp_path / f"tf_efficientnet_{variant}.safetensors"
    save_file(whole.state_dict(), path)
    peer = timm_network(variant, features_only=True)
    peer.load_state_dict(
        {name: value for name, value in whole.state_dict().items() if name in peer.state_dict()}
    )
    encoder = EfficientNet(variant, skip="stage1", numerics=numerics_of(path))
    load(encoder, path)
    for height, width in sizes:
        assert_equal_features(encoder, peer, height, width)


def test_logits_equal_timms(tmp_path: Path) -> None:
    peer = timm_network("b0").double()
    path = tmp_path / "tf_efficientnet_b0.safetensors"
    save_file(peer.state_dict(), path)
    encoder = EfficientNet("b0", classifier=True).double().eval()
    load(encoder, path)
    image = torch.randn(2, 3, 64, 50, dtype=torch.float64)
    torch.testing.assert_close(encoder(image), peer(image), rtol=1e-9, atol=1e-9)


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


def test_weights_whose_numerics_nothing_tells_are_refused(b0: Path, tmp_path: Path) -> None:
    path = tmp_path / "efficientnet_b0.safetensors"  # the same names, but padded symmetrically
    path.write_bytes(b0.read_bytes())
    with pytest.raises(
        ModelError, match="if they are 'tf_efficientnet', say so in the file's name"
    ):
        numerics_of(path)


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


Weights = dict[str, torch.Tensor]


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


def test_an_encoder_for_other_channels_is_refused(b0: Path) -> None:
    assert "take 3 channels, the encoder 4" in refusal(EfficientNet("b0", channels=4), b0)


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
    assert not canary.exists()


@pytest.mark.parametrize("content", [b"", b"no weights, but a longer text " * 9, None])
def test_what_is_no_whole_safetensors_file_is_refused(
    content: bytes | None, b0: Path, tmp_path: Path
) -> None:
    path = tmp_path / b0.name
    path.write_bytes(b0.read_bytes()[:100_000] if content is None else content)
    assert "is no readable safetensors file" in refusal(EfficientNet("b0"), path)


def test_other_weights_in_safetensors_are_refused_with_what_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "resnet.safetensors"
    save_file({f"layer1.{index}.weight": torch.zeros(1) for index in range(5)}, path)
    line = refusal(EfficientNet("b0"), path)
    assert "no EfficientNet in a known naming (timm tf_efficientnet)" in line
    assert line.endswith("layer1.0.weight, layer1.1.weight, layer1.2.weight, ... (5 in all)")


@pytest.mark.parametrize(
    "source", ["https://example.org/w.safetensors", "hf:timm/tf_efficientnet_b0", "file:///w"]
)
def test_no_address_is_fetched(source: str) -> None:
    with pytest.raises(ModelError, match="read from a local file: download it, give the"):
        numerics_of(source)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    with pytest.raises(ModelError, match=r"none.safetensors: there is no such weight file"):
        numerics_of(path)
