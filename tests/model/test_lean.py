from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from effunet.model import lean
from effunet.model.blocks import ConvNormAct, MBConv
from effunet.model.decoders.unet import UNetDecoder
from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet
from effunet.model.scaling import compound

TINY = compound(-6)
Outcome = dict[str, Tensor]


@pytest.fixture
def as_plain(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], Any]:
    """Calls something with the modules' own forwards."""

    def call(compute: Callable[[], Any]) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(lean, "applies", lambda *_: False)
            return compute()

    return call


def vary(module: nn.Module) -> None:
    """Leave no norm and no bias at the identity that it starts with."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight, part.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (part.bias, part.running_mean):
                nn.init.normal_(tensor)


def outcome(
    build: Callable[[], nn.Module],
    inputs: list[Tensor],
    prepare: Callable[[nn.Module], object] = lambda _: None,
    call: Callable[[nn.Module, list[Tensor]], Tensor] = lambda module, inputs: module(*inputs),
) -> Outcome:
    """Results, every gradient and every buffer of two steps of a module in float64."""
    torch.manual_seed(0)
    module = build().double().train()
    vary(module)
    prepare(module)
    leaves = [one.clone().requires_grad_(one.is_floating_point()) for one in inputs]
    found: Outcome = {}
    for step in range(2):
        torch.manual_seed(step)
        result = call(module, leaves)
        (result * torch.randn(result.shape, dtype=result.dtype)).sum().backward()
        found[f"result {step}"] = result.detach()
    named = [(f"input {number}", leaf) for number, leaf in enumerate(leaves)]
    for name, leaf in (*named, *module.named_parameters()):
        if leaf.grad is not None:
            found[f"gradient {name}"] = leaf.grad
    return found | dict(module.named_buffers())


def assert_equal(found: Outcome, expected: Outcome) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-9, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
        )


def images(*shape: int, last: bool = True) -> Tensor:
    noise = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    return noise.contiguous(memory_format=torch.channels_last) if last else noise


def freeze_norms(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval().requires_grad_(False)


BLOCKS = [
    {"stride": stride, "expansion": expansion, "kernel": kernel, "padding": padding}
    for stride, expansion, kernel, padding in product(
        (1, 2), (1, 4), (3, 5), ("same", "symmetric", "same_native")
    )
]


@pytest.mark.parametrize("shape", [(2, 6, 8, 12), (3, 6, 7, 9), (1, 6, 5, 5)])
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: "-".join(map(str, block.values())))
def test_an_mbconv_has_the_modules_results_gradients_and_statistics(
    as_plain: Callable[..., Any], block: dict[str, Any], shape: tuple[int, ...]
) -> None:
    def compute() -> Outcome:
        outputs = 6 if block["stride"] == 1 else 10
        return outcome(
            lambda: MBConv(6, outputs, native=9, drop_path=0.5, **block), [images(*shape)]
        )

    assert_equal(compute(), as_plain(compute))


@pytest.mark.parametrize("last", [False, True])
def test_either_memory_layout_goes_in_and_comes_out(
    as_plain: Callable[..., Any], last: bool
) -> None:
    def compute() -> Outcome:
        inputs = [images(2, 6, 8, 8, last=last)]
        return outcome(lambda: MBConv(6, 6, kernel=3, stride=1, expansion=4), inputs)

    found = compute()
    assert_equal(found, as_plain(compute))
    layout = torch.channels_last if last else torch.contiguous_format
    assert found["result 0"].is_contiguous(memory_format=layout)


@pytest.mark.parametrize(
    "prepare",
    [
        freeze_norms,
        lambda module: module.depthwise.requires_grad_(False),
        lambda module: module.squeeze.requires_grad_(False),
        lambda module: module.project.conv.requires_grad_(False),
        lambda module: module.requires_grad_(False),
    ],
    ids=["norms", "depthwise", "squeeze", "projection", "all"],
)
def test_what_is_frozen_gets_no_gradient_and_the_rest_its_own(
    as_plain: Callable[..., Any], prepare: Callable[[nn.Module], object]
) -> None:
    def compute() -> Outcome:
        build = lambda: MBConv(6, 6, kernel=5, stride=1, expansion=4)  # noqa: E731
        return outcome(build, [images(2, 6, 8, 8)], prepare)

    assert_equal(compute(), as_plain(compute))


def test_a_stem_has_the_modules_results_gradients_and_statistics(
    as_plain: Callable[..., Any],
) -> None:
    def compute() -> Outcome:
        return outcome(lambda: ConvNormAct(3, 8, 3, stride=2), [images(2, 3, 9, 8)])

    assert_equal(compute(), as_plain(compute))


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_decoder_has_the_modules_results_gradients_and_statistics(
    as_plain: Callable[..., Any], checkpointing: bool, frozen: bool
) -> None:
    widths = (4, 6, 5, 7, 9)
    pyramid = [images(2, width, 32 >> level, 48 >> level) for level, width in enumerate(widths)]

    def compute() -> Outcome:
        return outcome(
            lambda: UNetDecoder(widths, (8, 7, 6, 5, 4)),
            pyramid,
            freeze_norms if frozen else lambda _: None,
            lambda decoder, inputs: decoder(tuple(inputs), checkpointing=checkpointing),
        )

    assert_equal(compute(), as_plain(compute))


def test_a_decoder_takes_levels_that_do_not_double(as_plain: Callable[..., Any]) -> None:
    pyramid = tuple(images(2, 4, side, side) for side in (33, 17, 9, 5, 3))
    decoder = UNetDecoder((4,) * 5, (4,) * 5).double()
    assert not decoder.is_lean(pyramid)
    assert decoder(pyramid).shape == (2, 4, 66, 66)


DECODERS = pytest.mark.parametrize("decoder", ["efficient", "unet"])


def network(decoder: Any = "unet", **options: Any) -> EffUNet:
    return EffUNet(EfficientNet(TINY, drop_path=0.5, **options), 5, decoder)


@DECODERS
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_network_has_the_modules_results_gradients_and_statistics(
    as_plain: Callable[..., Any], checkpointing: bool, decoder: str
) -> None:
    image = torch.randint(0, 256, (2, 3, 70, 64), dtype=torch.uint8)

    def compute(checkpointing: bool) -> Outcome:
        return outcome(lambda: network(decoder, checkpointing=checkpointing), [image])

    assert_equal(compute(checkpointing), as_plain(lambda: compute(False)))


@DECODERS
def test_two_trainings_of_equal_seed_are_equal_bit_by_bit(decoder: str) -> None:
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    once, again = (outcome(lambda: network(decoder), [image]) for _ in range(2))
    assert all(torch.equal(once[name], again[name]) for name in once)


def kept(module: nn.Module, compute: Callable[[], object]) -> int:
    """Bytes that are kept for the backward pass, each storage once, without the parameters."""
    parameters = {weight.untyped_storage().data_ptr() for weight in module.parameters()}
    storages: dict[int, tuple[int, Tensor]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            storages[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = compute()
    del result
    return sum(size for size, _ in storages.values())


def test_less_is_kept_for_the_backward_pass(as_plain: Callable[..., Any]) -> None:
    encoder = EfficientNet("b0")
    image = images(2, 3, 128, 128).float()
    compute = lambda: encoder.features(image)  # noqa: E731
    assert kept(encoder, compute) < 0.45 * as_plain(lambda: kept(encoder, compute))


@DECODERS
def test_checkpointing_keeps_a_seventh_of_what_the_modules_keep(
    as_plain: Callable[..., Any], decoder: Any
) -> None:
    image = torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8)
    bytes_kept = []
    for checkpointing in (False, True):
        net = EffUNet(EfficientNet("b0", checkpointing=checkpointing), 5, decoder)
        bytes_kept.append(kept(net, lambda net=net: net(image)))
    plain = EffUNet(EfficientNet("b0"), 5, decoder)
    whole = as_plain(lambda: kept(plain, lambda: plain(image)))
    assert bytes_kept[0] < whole / 2.5
    assert bytes_kept[1] < whole / 7


def nodes(result: Tensor) -> set[str]:
    """Names of the steps that autograd has recorded."""
    found, waiting = set(), [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found.add(node)
            waiting += [before for before, _ in node.next_functions]
    return {node.name() for node in found}


def test_a_training_on_a_cpu_is_lean() -> None:
    image = torch.rand(2, 3, 64, 64)
    assert {"NormGateProjectBackward", "NormActConvBackward"} < nodes(network()(image))


def hook(module: nn.Module) -> None:
    module.register_forward_hook(lambda *_: None)


def dilate(conv: nn.Conv2d) -> None:
    conv.dilation = conv.padding = (2, 2)


CHANGES: dict[str, Callable[[MBConv], object]] = {
    "a hook": hook,
    "a hook on a part": lambda block: hook(block.squeeze.expand),
    "a backward hook": lambda block: block.register_full_backward_hook(lambda *_: None),
    "another norm": lambda block: setattr(block.project, "norm", nn.SyncBatchNorm(8)),
    "no running statistics": lambda block: setattr(
        block.project, "norm", nn.BatchNorm2d(8, track_running_stats=False)
    ),
    "a parametrised weight": lambda block: weight_norm(block.project.conv),
    "a dilated filter": lambda block: dilate(block.depthwise.conv),
    "another border": lambda block: setattr(block.depthwise.conv, "padding_mode", "reflect"),
    "another activation": lambda block: setattr(block.expand, "act", nn.ReLU()),
    "another activation of the gate": lambda block: setattr(block.squeeze, "act", nn.ReLU()),
    "no gate": lambda block: setattr(block, "squeeze", nn.Identity()),
    "no norm": lambda block: setattr(block.expand, "norm", nn.Identity()),
    "a forward of its own": lambda block: setattr(
        block.depthwise.conv, "forward", block.depthwise.conv.forward
    ),
    "evaluation": lambda block: block.eval(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_would_notice_is_computed_by_the_modules(change: str) -> None:
    block, feature = MBConv(8, 8, kernel=3, stride=1, expansion=4), torch.rand(2, 8, 4, 4)
    assert lean.applies(feature, block, block.built)
    CHANGES[change](block)
    assert not lean.applies(feature, block, block.built)


@DECODERS
def test_an_exchanged_part_of_the_decoder_is_computed_by_the_modules(
    as_plain: Callable[..., Any], decoder: str
) -> None:
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)

    def exchange(net: nn.Module) -> None:
        dilate(next(p for p in net.decoder.modules() if getattr(p, "kernel_size", 0) == (3, 3)))

    compute = lambda: outcome(lambda: network(decoder), [image], exchange)  # noqa: E731
    assert_equal(compute(), as_plain(compute))


# torch's own forward derivatives, not effunet, script a function.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
def test_second_derivatives_are_had_from_plain_modules_and_forward_ones_as_they_are() -> None:
    block = MBConv(4, 4, kernel=3, stride=1, expansion=2).double()
    feature = torch.rand(2, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    with lean.plain():
        assert not lean.applies(feature, block, block.built)
        assert torch.autograd.gradgradcheck(block, feature)
    assert lean.applies(feature, block, block.built)
    assert torch.autograd.gradcheck(block, feature, check_forward_ad=True)
    assert lean.applies(feature, block, block.built)


def test_without_gradients_under_autocast_in_half_or_elsewhere_the_modules_compute() -> None:
    block, feature = MBConv(8, 8, kernel=3, stride=1, expansion=4), torch.rand(2, 8, 4, 4)
    with torch.no_grad():
        assert not lean.applies(feature, block, block.built)
    with torch.autocast("cpu", torch.bfloat16):
        assert not lean.applies(feature, block, block.built)
    assert not lean.applies(feature.bfloat16(), block, block.built)
    assert not lean.applies(feature.to("meta"), block, block.built)


@DECODERS
def test_a_hook_set_anywhere_makes_a_network_call_every_module(decoder: str) -> None:
    net, called = network(decoder), []
    for name, module in net.named_modules():
        module.register_forward_hook(lambda *_, name=name: called.append(name))
    net(torch.rand(2, 3, 64, 64))
    last = "steps.4.conv2.1" if decoder == "unet" else "levels.2.mix.0.project.1"
    assert f"decoder.{last}" in called
    assert "encoder.stages.0.0.squeeze.expand" in called


@DECODERS
def test_an_export_in_training_mode_sees_torchs_operators_alone(decoder: str) -> None:
    program = torch.export.export(network(decoder), (torch.rand(2, 3, 64, 64),), strict=False)
    targets = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert any(target.startswith("aten.batch_norm") for target in targets), targets
    assert not [target for target in targets if "autograd" in target or "native_batch" in target]


def test_one_value_a_channel_is_refused_as_torch_refuses_it(as_plain: Callable[..., Any]) -> None:
    block, feature = MBConv(8, 8, kernel=3, stride=2, expansion=4), torch.rand(1, 8, 2, 2)
    for compute in (lambda: block(feature), lambda: as_plain(lambda: block(feature))):
        with pytest.raises(ValueError, match="more than 1 value per channel when training"):
            compute()
