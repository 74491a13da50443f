import json
import random
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from torch.utils.flop_counter import FlopCounterMode

from effunet.errors import ModelError
from effunet.model.decoders.plan import DecoderPlan, decoder_plan
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.network import EffUNet, NetworkPlan
from effunet.model.scaling import compound, published

TINY = compound(-12)
NARROW = DecoderPlan("unet", (16, 8, 8, 4, 4))
CHEAP = DecoderPlan("efficient", (16, 12, 8), (2, 1, 1))
DECODERS = pytest.mark.parametrize("decoder", [NARROW, CHEAP], ids=["unet", "efficient"])


def tiny(decoder: DecoderPlan = CHEAP, **options: Any) -> EffUNet:
    torch.manual_seed(0)
    return EffUNet(EfficientNet(TINY, **options), classes=3, decoder=decoder)


def photo(*size: int) -> torch.Tensor:
    return torch.randint(0, 256, size, dtype=torch.uint8)


@DECODERS
def test_logits_have_the_images_own_size_for_every_size(decoder: DecoderPlan) -> None:
    """Each height and each width from 1 to 70, and pairs of 33 to 70 by sample."""
    network = tiny(decoder).eval()
    draw = random.Random(0)
    sizes = [(height, 1 + 37 * height % 70) for height in range(1, 71)]  # 37 and 70 are coprime
    sizes += [(draw.randint(33, 70), draw.randint(33, 70)) for _ in range(40)]
    sizes += [(1, 1), (1, 70), (70, 1)]
    for height, width in sizes:
        with torch.no_grad():
            assert network(photo(1, 3, height, width)).shape == (1, 3, height, width)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 1), (31, 33), (64, 32)])
@DECODERS
def test_padding_continues_the_border(size: tuple[int, int], decoder: DecoderPlan) -> None:
    network = tiny(decoder).eval()
    image = photo(1, 3, *size)
    rows = torch.arange(-(-size[0] // 32) * 32).clamp(max=size[0] - 1)
    columns = torch.arange(-(-size[1] // 32) * 32).clamp(max=size[1] - 1)
    continued = image[:, :, rows][..., columns]
    expected = network(continued)[..., : size[0], : size[1]]
    torch.testing.assert_close(network(image), expected, rtol=0, atol=1e-6)


def test_uint8_and_the_same_values_in_any_float_give_equal_logits() -> None:
    network, image = tiny().eval(), photo(2, 3, 40, 50)
    expected = network(image)
    for dtype in (torch.float32, torch.float64, torch.float16):
        assert torch.equal(network(image.to(dtype)), expected)


def test_the_network_normalises_as_imagenet_does() -> None:
    image = photo(1, 3, 32, 32)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    expected = (image / 255 - mean) / std
    torch.testing.assert_close(tiny().normalise(image), expected, rtol=0, atol=2e-6)


def test_other_channels_are_brought_from_0_255_to_minus_2_to_2() -> None:
    network = tiny(channels=5)
    image = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 5, 32, 2)
    normalised = network.normalise(image)
    assert (normalised.amin().item(), normalised.amax().item()) == (-2, 2)
    assert network(image.expand(2, 5, 32, 2)).shape == (2, 3, 32, 2)


@pytest.mark.parametrize("skip", ["stem", "stage1"])
@DECODERS
def test_every_parameter_gets_a_gradient(skip: str, decoder: DecoderPlan) -> None:
    network = tiny(decoder, drop_path=0, skip=skip)
    network(photo(2, 3, 64, 64)).sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


@DECODERS
def test_channels_last_goes_through_to_the_logits(decoder: DecoderPlan) -> None:
    network = tiny(decoder).eval().to(memory_format=torch.channels_last)
    logits = network(photo(2, 3, 40, 40).to(memory_format=torch.channels_last))
    assert logits.stride(1) == 1


def test_macs_are_those_of_unet_without_its_unused_head() -> None:
    """12.51 G for B0 at 512 x 512 and 19 classes."""
    network = EffUNet(EfficientNet("b0"), classes=19, decoder="unet")
    with torch.device("meta"):
        peer = smp.Unet("efficientnet-b0", encoder_weights=None, classes=19).eval()
        image = torch.empty(1, 3, 512, 512)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        peer(image)
    assert network.macs(512, 512) == counter.get_total_flops() // 2
    assert round(network.macs(512, 512) / 1e9, 2) == 12.51


def test_macs_count_the_padding_and_leave_the_network_as_it_is() -> None:
    network = tiny()
    assert network.macs(33, 1) == network.macs(64, 32) > network.macs(32, 32)
    assert network.training
    assert not network.head.weight.is_meta


PLANS = [
    NetworkPlan(published("b3"), decoder_plan("efficient", published("b3")), classes=19),
    NetworkPlan(compound(-1.5), NARROW, classes=2, skip="stage1"),
    NetworkPlan(TINY, CHEAP, 5, channels=4, numerics=Numerics("symmetric", 1e-5, (0.5,), (0.25,))),
]


@pytest.mark.parametrize("plan", PLANS)
def test_a_plan_survives_json_and_describes_the_network_it_builds(plan: NetworkPlan) -> None:
    assert NetworkPlan.from_plain(json.loads(json.dumps(plan.to_plain()))) == plan
    with torch.device("meta"):
        assert EffUNet.from_plan(plan).plan == plan


def test_weights_load_into_the_network_built_from_the_stored_plan() -> None:
    network = tiny(skip="stage1", numerics=Numerics("symmetric", 1e-5)).eval()
    other = EffUNet.from_plan(NetworkPlan.from_plain(network.plan.to_plain())).eval()
    other.load_state_dict(network.state_dict())
    image = photo(1, 3, 40, 40)
    assert torch.equal(other(image), network(image))


def test_no_fact_of_the_plan_is_stored_among_the_weights() -> None:
    assert not {"mean", "std"} & set(tiny().state_dict())


def edited(path: str, value: object) -> dict[str, Any]:
    """A plain plan with one value replaced; `path` is keys and indices joined by dots."""
    plain = NetworkPlan(published("b0"), NARROW, classes=3).to_plain()
    *parents, last = path.split(".")
    place: Any = plain
    for key in parents:
        place = place[int(key) if key.isdigit() else key]
    place[int(last) if last.isdigit() else last] = value
    return plain


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([], r"network must be a mapping, got \[\]"),
        ({}, "network lacks 'channels', 'classes', 'decoder'"),
        (edited("kind", "x"), "network has unknown 'kind'"),
        (edited("classes", 0), "classes must lie in .*, got 0"),
        (edited("classes", 256), "classes must lie in .*, got 256"),
        (edited("classes", True), "network.classes must be a whole number, got True"),
        (edited("channels", "3"), "network.channels must be a whole number, got '3'"),
        (edited("decoder", "fpn"), "network.decoder.name must be 'efficient' or 'unet', got 'fpn'"),
        (edited("widths", [8, 8]), r"decoder unet takes 5 widths, got \[8, 8\]"),
        (edited("widths", 8), "decoder.widths must be a list, got 8"),
        (edited("widths.0", 0), "decoder.widths must lie in .*, got 0"),
        (edited("repeats", [1]), r"decoder unet takes no repeats, got \[1\]"),
        (edited("decoder", "efficient"), "decoder efficient takes 1 to 4 widths"),
        (edited("skip", ["stem"]), r"skip must be 'stem' or 'stage1' or 'smp', got \['stem'\]"),
        (edited("encoder.name", 3), "network.encoder.name must be a text, got 3"),
        (edited("encoder.dropout", float("nan")), "dropout must lie in .*, got nan"),
        (edited("encoder.stages", []), r"stages must start with stride 1 .*, got strides \[\]"),
        (edited("encoder.stages.1.stride", 1), "hold four of stride 2"),
        (edited("encoder.stages.2.kernel", 4), "kernel must be odd .*, got 4"),
        (edited("encoder.stages.3.repeats", 10**9), "repeats must lie in .*, got 1000000000"),
        (edited("encoder.stages.3.depth", 1), r"network.encoder.stages\[3\] has unknown 'depth'"),
        (edited("numerics.padding", "x"), "padding must be 'same' or .* 'same_native', got 'x'"),
        (edited("numerics.mean", "0.5"), "network.numerics.mean must be a list, got '0.5'"),
        (
            edited("numerics.std", [1, 1, "1"]),
            r"network.numerics.std\[2\] must be a number, got '1'",
        ),
        (edited("channels", 4), "mean has 3 numbers for images of 4 channels"),
    ],
)
def test_a_senseless_plan_is_a_model_error_of_one_line(plain: object, message: str) -> None:
    with pytest.raises(ModelError, match=message) as fault:
        NetworkPlan.from_plain(plain)
    assert "\n" not in str(fault.value)


def test_an_encoder_with_a_classifier_is_refused() -> None:
    with pytest.raises(ValueError, match="build it with classifier=False"):
        EffUNet(EfficientNet(TINY, classifier=True), classes=3)
