import pytest
import torch
from torch import nn

from effunet.model import raw
from effunet.model.blocks import DropPath
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.scaling import VARIANTS, compound

TINY = compound(-6)

PARAMETERS = {
    "b0": 5_288_548,
    "b1": 7_794_184,
    "b2": 9_109_994,
    "b3": 12_233_232,
    "b4": 19_341_616,
    "b5": 30_389_784,
    "b6": 43_040_704,
    "b7": 66_347_960,
}
"""With a 1000-class head, as torchvision publishes them (`num_params`)."""


def parameters(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_the_published_number_of_parameters(name: str) -> None:
    network = raw.shapes_of(lambda: EfficientNet(name, classifier=True))
    assert parameters(network) == PARAMETERS[name]


@pytest.mark.parametrize("skip", ["stem", "stage1"])
@pytest.mark.parametrize("name", VARIANTS)
def test_the_pyramid_has_the_announced_widths_and_halves_five_times(name: str, skip: str) -> None:
    encoder = raw.shapes_of(lambda: EfficientNet(name, skip=skip))
    with torch.device("meta"):
        pyramid = encoder.features(torch.empty(1, 3, 64, 96))
    expected = [(1, width, 64 >> k, 96 >> k) for k, width in enumerate(encoder.widths, start=1)]
    assert [tuple(feature.shape) for feature in pyramid] == expected


@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_an_odd_size_is_rounded_up_at_every_level(padding: str) -> None:
    encoder = EfficientNet(TINY, numerics=Numerics(padding=padding)).eval()
    sizes = [feature.shape[-2:] for feature in encoder.features(torch.randn(1, 3, 33, 1))]
    assert sizes == [(17, 1), (9, 1), (5, 1), (3, 1), (2, 1)]


@pytest.mark.parametrize("skip", ["stem", "stage1"])
def test_every_parameter_of_an_encoder_without_classifier_gets_a_gradient(skip: str) -> None:
    encoder = EfficientNet(TINY, drop_path=0, skip=skip)
    sum(
        feature.square().sum() for feature in encoder.features(torch.randn(2, 3, 64, 64))
    ).backward()
    assert [name for name, weight in encoder.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("channels", [1, 2, 4, 12])
def test_any_number_of_channels_goes_in(channels: int) -> None:
    encoder = EfficientNet(TINY, channels=channels)
    assert len(encoder.features(torch.randn(2, channels, 64, 64))) == 5
    assert (encoder.numerics.mean, encoder.numerics.std) == ((0.5,), (0.25,))


def test_a_mean_for_other_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="mean has 3 numbers for images of 4 channels: give 4, or"):
        EfficientNet(TINY, channels=4, numerics=Numerics())


def test_drop_path_grows_linearly_from_0_and_stays_below_its_rate() -> None:
    encoder = EfficientNet("b0", drop_path=0.2)
    blocks = [block for stage in encoder.stages for block in stage.children()]
    rates = [block.drop_path.rate for block in blocks]
    assert [index for index, rate in enumerate(rates) if rate] == [2, 4, 6, 7, 9, 10, 12, 13, 14]
    assert all(rate in (0, 0.2 * index / 16) for index, rate in enumerate(rates))
    assert sum(isinstance(module, DropPath) for module in encoder.modules()) == 16


def test_every_norm_has_the_given_eps_and_tensorflows_momentum() -> None:
    encoder = EfficientNet(TINY, classifier=True, numerics=Numerics("symmetric", eps=1e-5))
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.01)}


def test_checkpointing_changes_neither_gradients_nor_statistics() -> None:
    image = torch.randn(4, 3, 64, 64)
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        encoder = EfficientNet(TINY, drop_path=0.5, checkpointing=checkpointing)
        encoder.features(image)[-1].square().sum().backward()
        gradients = {
            name: weight.grad
            for name, weight in encoder.named_parameters()
            if weight.grad is not None
        }
        results.append((gradients, dict(encoder.named_buffers())))
    for plain, checkpointed in zip(*results, strict=True):
        assert plain.keys() == checkpointed.keys()
        assert all(torch.equal(plain[name], checkpointed[name]) for name in plain)


def test_checkpointing_keeps_less_memory_for_the_backward_pass() -> None:
    kept = {}
    for checkpointing in (False, True):
        encoder = EfficientNet(TINY, checkpointing=checkpointing)
        sizes: dict[int, int] = {}

        def keep(tensor: torch.Tensor, sizes: dict[int, int] = sizes) -> torch.Tensor:
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            encoder.features(torch.randn(2, 3, 128, 128))
        kept[checkpointing] = sum(sizes.values())
    assert kept[True] < 0.5 * kept[False]


def test_a_classifier_gives_one_score_a_class() -> None:
    encoder = EfficientNet(TINY, classifier=True, classes=7)
    assert encoder(torch.randn(2, 3, 40, 50)).shape == (2, 7)


def test_an_encoder_without_classifier_says_how_to_get_one() -> None:
    with pytest.raises(ValueError, match="build it with classifier=True"):
        EfficientNet(TINY)(torch.randn(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"eps": -1.0}, "eps must lie in .*, got -1.0"),
        ({"std": (0.0, 1.0, 1.0)}, "std must lie in .*, got 0.0"),
        ({"mean": (0.5,)}, "one number a channel each"),
    ],
)
def test_senseless_numerics_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Numerics(**values)
