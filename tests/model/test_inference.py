"""The inference form computes what the network does, however it is cut, padded and normalised."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from effunet.model.decoders.plan import DecoderPlan
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.inference import InferenceForm, Latest, encoder, folded, rows
from effunet.model.network import EffUNet
from effunet.model.scaling import compound

NARROW = DecoderPlan("unet", (24, 16, 12, 8, 6))
DECODERS = {
    "unet": NARROW,
    "efficient": DecoderPlan("efficient", (24, 16, 12), (2, 1, 1)),
}
TINY = compound(-12)


chosen = {"decoder": NARROW}


@pytest.fixture(autouse=True, params=DECODERS)
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each claim holds with every decoder: that of network_of()."""
    monkeypatch.setitem(chosen, "decoder", DECODERS[request.param])
    return request.param


def network_of(variant: Any = TINY, classes: int = 5, **options: Any) -> EffUNet:
    """With statistics and weights of norms that are not the identity."""
    torch.manual_seed(0)
    network = EffUNet(EfficientNet(variant, **options), classes, chosen["decoder"])
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def photo(*size: int) -> Tensor:
    return torch.randint(0, 256, size, dtype=torch.uint8)


@torch.no_grad()
def difference(network: EffUNet, image: Tensor) -> float:
    """Of the logits, as a share of the largest."""
    expected, found = network(image), InferenceForm(network)(image)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    assert expected.std() > 0.01
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.fixture
def strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut everything into strips as thin as they come."""
    monkeypatch.setattr(rows, "LARGE", 0)
    monkeypatch.setattr(rows, "STRIP", 1)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("variant", ["b0", "b1", "b2", "b3"])
def test_the_form_of_each_size_is_the_network_to_1e_5_and_to_1e_9_in_float64(
    variant: str, cut: bool, request: pytest.FixtureRequest
) -> None:
    if cut:
        request.getfixturevalue("strips")
    network, image = network_of(variant), photo(1, 3, 70, 45)
    assert difference(network, image) < 1e-5
    assert difference(network.double(), image) < 1e-12


NUMERICS = [
    Numerics(padding, eps, mean, std)
    for padding in ("same", "symmetric", "same_native")
    for eps, mean, std in ((1e-3, (0.5,), (0.25,)), (1e-5, (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)))
]


@pytest.mark.parametrize("numerics", NUMERICS, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (33, 64), (96, 31)])
def test_every_padding_epsilon_and_normalisation_is_folded_exactly(
    numerics: Numerics, size: tuple[int, int]
) -> None:
    network = network_of(numerics=numerics).double()
    assert difference(network, photo(1, 3, *size)) < 1e-12


@pytest.mark.usefixtures("strips")
@pytest.mark.parametrize("numerics", NUMERICS[::2], ids=str)
@pytest.mark.parametrize("size", [(97, 40), (128, 64), (180, 33)])
def test_strips_leave_no_seam_whatever_the_padding(
    numerics: Numerics, size: tuple[int, int]
) -> None:
    network = network_of(numerics=numerics).double()
    assert difference(network, photo(1, 3, *size)) < 1e-12


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("skip", ["stem", "stage1", "smp"])
def test_batches_and_every_choice_of_skips_and_sizes_between_the_published(
    skip: str, batch: int
) -> None:
    for phi in (-12, -3.5):
        network = network_of(compound(phi), skip=skip).double()
        assert difference(network, photo(batch, 3, 40, 50)) < 1e-12


@pytest.mark.parametrize("classes", [1, 2, 19])
def test_any_number_of_channels_and_classes(classes: int) -> None:
    network = network_of(classes=classes, channels=5, numerics=Numerics.for_channels(5))
    assert difference(network, photo(1, 5, 40, 50)) < 1e-5


def test_without_the_fused_operators_torch_computes_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, image = network_of(), photo(1, 3, 64, 64)
    form = InferenceForm(network)
    fused = form(image)
    monkeypatch.setattr(folded, "_fused_operators_work", lambda: False)
    plain = form(image)
    torch.testing.assert_close(fused, plain, rtol=0, atol=1e-5 * float(plain.abs().max()))


def test_uint8_and_the_same_values_in_any_float_give_equal_logits() -> None:
    form, image = InferenceForm(network_of()), photo(2, 3, 40, 50)
    for dtype in (torch.float32, torch.float64, torch.float16):
        assert torch.equal(form(image.to(dtype)), form(image))


def test_the_strips_cover_the_image_once_from_top_to_bottom(strips: None, decoder: str) -> None:
    form, image = InferenceForm(network_of()), photo(1, 3, 100, 50)
    parts = list(form.strips(image))
    heights = [part.shape[2] for part in parts]
    assert (
        heights
        == {
            "unet": [16] * 6 + [4],
            "efficient": [4] * 25,
        }[decoder]
    )
    assert all(part.is_contiguous() for part in parts[:-1])
    assert torch.equal(torch.cat(parts, 2), form(image))


def test_no_norm_and_nothing_to_train_is_left_and_the_network_stays_as_it_was() -> None:
    network = network_of().train()
    before = copy.deepcopy(network.state_dict())
    form = InferenceForm(network)
    form(photo(1, 3, 40, 40))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in form.modules())
    assert not any(weight.requires_grad for weight in form.parameters())
    assert network.training and all(weight.requires_grad for weight in network.parameters())
    assert not form.training
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    with torch.no_grad():
        kept = form(photo(1, 3, 40, 40).fill_(7))
        for weight in network.parameters():
            weight.zero_()
    assert torch.equal(form(photo(1, 3, 40, 40).fill_(7)), kept)


def whole(latest: Latest, network: nn.Module, image: Tensor) -> Tensor:
    return torch.cat(list(latest.strips(network, image)), 2)


def step(network: EffUNet) -> None:
    """One optimizer step, with the running statistics of its batch."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, fused=True)
    network.train()(photo(2, 3, 64, 64)).square().mean().backward()
    optimizer.step()
    network.eval()


def load(network: EffUNet) -> None:
    network.load_state_dict({n: 1.5 * v for n, v in network.state_dict().items()})


def statistics_alone(network: EffUNet) -> None:
    with torch.no_grad():
        network.train()(photo(2, 3, 64, 64))
    network.eval()


@pytest.mark.parametrize("change", [step, load, statistics_alone])
def test_a_network_that_changes_is_never_answered_from_before(change: Any) -> None:
    network, image, latest = network_of(), photo(1, 3, 40, 50), Latest()
    stale = whole(latest, network, image)
    change(network)
    fresh = whole(latest, network, image)
    assert torch.equal(fresh, InferenceForm(network)(image))
    assert not torch.allclose(fresh, stale, atol=1e-3)
    other = network_of(skip="stage1")
    assert torch.equal(whole(latest, other, image), InferenceForm(other)(image))


def test_the_form_is_made_once_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[EffUNet] = []
    original = InferenceForm.__init__

    def counted(self: InferenceForm, network: EffUNet) -> None:
        made.append(network)
        original(self, network)

    monkeypatch.setattr(InferenceForm, "__init__", counted)
    network, latest = network_of(), Latest()
    for size in (40, 64, 40):
        whole(latest, network, photo(1, 3, size, size))
    assert made == [network]


def test_a_network_in_training_or_of_another_kind_computes_for_itself() -> None:
    image, latest = photo(2, 3, 64, 64).float(), Latest()
    other = nn.Conv2d(3, 2, 1)
    (logits,) = latest.strips(other, image)
    assert torch.equal(logits, other(image))
    network = network_of(drop_path=0.0).train()
    (logits,) = latest.strips(network, image)
    with torch.no_grad():
        assert torch.equal(logits, network(image))


class Planes(nn.Module):
    """A decoder that is none of ours."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, chosen["decoder"].widths[-1], 1)

    def forward(self, pyramid: tuple[Tensor, ...], **_: Any) -> Tensor:
        return nn.functional.interpolate(self.conv(pyramid[0]), scale_factor=2.0)


def test_a_network_with_a_decoder_that_has_no_form_computes_for_itself() -> None:
    network, image = network_of(), photo(1, 3, 64, 64)
    network.decoder = Planes(network.encoder.widths[0])  # type: ignore[assignment]
    (logits,) = Latest().strips(network.eval(), image)
    with torch.no_grad():
        assert torch.equal(logits, network(image))


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_the_form_of_any_number_of_levels_is_the_network(
    levels: int, strips: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = DecoderPlan("efficient", (16, 12, 12, 8)[:levels], (1, 2, 1, 1)[:levels])
    monkeypatch.setitem(chosen, "decoder", plan)
    assert difference(network_of().double(), photo(1, 3, 97, 40)) < 1e-12


def relu(network: EffUNet) -> None:
    network.encoder.stem.act = nn.ReLU()


def dilation(network: EffUNet) -> None:
    conv = network.encoder.stages[-1][0].depthwise.conv
    conv.dilation = conv.padding = (2, 2)


@pytest.mark.parametrize("change", [relu, dilation])
def test_a_network_of_which_a_part_was_exchanged_computes_for_itself(change: Any) -> None:
    network, image, latest = network_of(), photo(1, 3, 64, 64), Latest()
    before = latest.logits(network, image)
    change(network)
    with torch.no_grad():
        expected = network(image)
    assert torch.equal(latest.logits(network, image), expected)
    assert not torch.allclose(before, expected, atol=1e-3)


SIZES = ((1, 3, 64, 64), (1, 3, 45, 70), (2, 3, 64, 64), (1, 3, 64, 64))


def test_weights_in_onednns_order_compute_what_the_plain_ones_do_for_every_size_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    form = InferenceForm(network_of("b0"))
    images = [photo(*size) for size in SIZES]
    found: list[list[Tensor]] = []
    for heavy in (0, 2**40):
        monkeypatch.setattr(folded, "HEAVY", heavy)
        found.append([form(image) for image in images])
    for ordered, plain in zip(*found, strict=True):
        torch.testing.assert_close(ordered, plain, rtol=0, atol=1e-5 * float(plain.abs().max()))


@pytest.mark.parametrize("cheap", [0, 2**40])
def test_a_gate_scales_the_input_or_the_weights_of_a_projection_alike(
    cheap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "CHEAP", cheap)
    assert difference(network_of().double(), photo(1, 3, 70, 45)) < 1e-12


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda form: pickle.loads(pickle.dumps(form))])
def test_a_form_that_has_computed_can_be_copied_and_written(copied: Any) -> None:
    form, image = InferenceForm(network_of("b0")), photo(1, 3, 64, 64)
    assert torch.equal(form(image), copied(form)(image))


def test_threads_with_images_of_several_sizes_share_a_form() -> None:
    form = InferenceForm(network_of("b0"))
    images = [photo(*size) for size in SIZES[:3]] * 3
    alone = [form(image) for image in images]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(form, images))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize("height", [1, 31, 33, 64])
def test_whole_logits_are_the_strips_one_below_the_other(height: int, strips: None) -> None:
    network, image, latest = network_of(), photo(2, 3, height, 50), Latest()
    assert torch.equal(latest.logits(network, image), whole(latest, network, image))
