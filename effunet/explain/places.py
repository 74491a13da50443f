"""The features of a network that a map can be made at, by names that tell how coarse they are.

`encoder/32` is the coarsest of the encoder, `decoder/4` one of the decoder at a quarter of the
image's sides; and any module that gives a feature, by its own dotted name.
"""

from __future__ import annotations

import difflib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from effunet.errors import UsageError
from effunet.model.foreign import SmpNetwork
from effunet.model.kinds import Network
from effunet.model.network import EffUNet
from effunet.model.scaling import pyramid_blocks
from effunet.tensors import Feature

PROBE = 128
"""Side of the image by which the features of a network that is not ours are found."""


@dataclass(frozen=True)
class Place:
    """Where a feature comes out."""

    name: str
    module: str  # dotted, within the network
    item: int | None = None  # of the list that the module gives; None: it gives the feature


def places(network: Network) -> list[Place]:
    """The named features, from the finest of the encoder to the last of the decoder."""
    if isinstance(network, EffUNet):
        return _ours(network)
    return _foreign(network)


def place(network: Network, name: str) -> Place:
    """The one of a name.

    Raises:
        UsageError: there is none, nor a module of that name.
    """
    named = {one.name: one for one in places(network)}
    if name in named:
        return named[name]
    modules = [other for other, _ in network.named_modules() if other]
    if name in modules:
        return Place(name, name)
    near = difflib.get_close_matches(name, [*named, *modules], 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise UsageError(
        f"--layer {name}: no such feature{hint}: there are {', '.join(named)}, and the network's"
        " modules by their dotted names"
    )


@contextmanager
def tapped(network: nn.Module, where: Place) -> Generator[list[Feature]]:
    """Within it, a forward pass leaves the feature in the list, as a leaf that gradients reach.

    The graph begins there: what lies before it costs no memory.
    """
    found: list[Feature] = []

    def hook(_: nn.Module, __: Any, output: Any) -> Any:
        feature = output if where.item is None else output[where.item]
        if not isinstance(feature, Tensor) or feature.ndim != 4:
            kind = type(feature).__name__
            raise UsageError(f"--layer {where.name}: gives {kind}, not a feature of B D h w")
        kept = feature.detach().clone().requires_grad_()
        found.append(kept)
        # Not the leaf itself: what follows may work in place.
        passed = kept.clone()
        if where.item is None:
            return passed
        parts = [*output]
        parts[where.item] = passed
        return type(output)(parts)

    handle = network.get_submodule(where.module).register_forward_hook(hook)
    try:
        yield found
    finally:
        handle.remove()


def _ours(network: EffUNet) -> list[Place]:
    encoder, decoder = network.encoder, network.decoder
    blocks = [
        f"encoder.stages.{stage}.{block}"
        for stage, block in sorted(pyramid_blocks(encoder.plan, encoder.skip))
    ]
    taps = blocks if encoder.skip == "stage1" else ["encoder.stem", *blocks]
    found = [Place(f"encoder/{2 ** (n + 1)}", module) for n, module in enumerate(taps)]
    part = "levels" if hasattr(decoder, "levels") else "steps"
    count = len([*decoder.get_submodule(part).children()])
    return found + [Place(f"decoder/{16 // 2**n}", f"decoder.{part}.{n}") for n in range(count)]


def _foreign(network: SmpNetwork) -> list[Place]:
    """Look at what comes out of encoder and decoder, and which module each feature is of.

    The gradient at a module's result is of all that follows; at the feature as the encoder hands it
    over it would be of the decoder's skip alone.
    """
    results: dict[str, Any] = {}  # in the order in which they come; kept, so that no two are equal

    def note(name: str) -> Any:
        return lambda _, __, result: results.update({name: result})  # type: ignore[misc]

    handles = [
        part.register_forward_hook(note(name)) for name, part in network.named_modules() if name
    ]
    weight = next(network.parameters())
    image = torch.zeros(1, network.plan.channels, PROBE, PROBE, device=weight.device)
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(image)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    makers = {id(result): name for name, result in results.items() if name[:8] == "encoder."}
    found: dict[str, Place] = {}
    for item, feature in enumerate(results["encoder"]):
        # The first is the image itself, or nothing; of two of one size the later one knows more.
        if item and feature.numel():
            name, maker = f"encoder/{_reduction(feature)}", makers.get(id(feature))
            found[name] = Place(name, maker) if maker else Place(name, "encoder", item)
    if isinstance(results["decoder"], Tensor):
        name = f"decoder/{_reduction(results['decoder'])}"
        found[name] = Place(name, "decoder")
    return [*found.values()]


def _reduction(feature: Float[Tensor, "B D h w"]) -> int:
    return PROBE // feature.shape[-1]
