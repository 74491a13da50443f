"""What the header of a segmenter file describes: a network and its classes; reads no weights."""

from typing import Any

import torch

from effunet.artifact import Header
from effunet.errors import EffunetError, ModelError, UsageError
from effunet.labels import IGNORE, LabelMap
from effunet.model import kinds
from effunet.model.foreign import SmpPlan
from effunet.model.kinds import AnyPlan, Network
from effunet.model.raw import shapes_of

TYPES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.bool: "BOOL",
}
"""The types that a network's weights and counters have, by safetensors' names."""


def derived(plan: AnyPlan) -> dict[str, Any]:
    """Facts that a header repeats, for programs that cannot read a plan."""
    return {
        "ignore_index": IGNORE,
        "channels": plan.channels,
        "value_range": [0, 255],
        "mean": list(plan.mean),
        "std": list(plan.std),
    }


def described(header: Header) -> tuple[Network, LabelMap]:
    """Build what the metadata describes, with fresh weights, if the header's tensors are its own.

    Compared on torch's meta device first, so that a description of a giant allocates nothing.

    Raises:
        ModelError: the header contradicts itself, or names a network that cannot be built here.
    """
    facts = header.metadata
    try:
        plan = kinds.plan_of(facts["network"])
        labels = LabelMap.from_plain(facts["labels"], where=str(header.path))
    except EffunetError as error:
        raise ModelError(f"{header.path}: {error}") from error
    for key, value in derived(plan).items():
        if facts[key] != value:
            raise ModelError(
                f"{header.path} contradicts itself: {key} is {facts[key]}, its network has {value}"
            )
    if len(labels) != plan.classes:
        raise ModelError(
            f"{header.path} contradicts itself: {len(labels)} class names, "
            f"and a network of {plan.classes} classes"
        )
    if not isinstance(plan, SmpPlan) and plan.encoder.blocks > len(header.tensors):
        raise ModelError(
            f"{header.path}: weights and network do not fit: "
            f"{len(header.tensors)} weights for {plan.encoder.blocks} blocks"
        )
    try:
        _compare(header, shapes_of(lambda: kinds.build(plan)))
        return kinds.build(plan), labels
    except UsageError as error:  # smp's, who cannot build this one
        raise ModelError(f"{header.path}: {error}") from error


def _compare(header: Header, network: Network) -> None:
    """Raise unless the file holds exactly the network's tensors, by name, shape and type."""
    found, wanted = header.tensors, network.state_dict()
    faults = [f"{name} is missing" for name in wanted if name not in found]
    faults += [f"{name} is unknown" for name in found if name not in wanted]
    for name in wanted.keys() & found.keys():
        shape, dtype = tuple(wanted[name].shape), TYPES[wanted[name].dtype]
        if (found[name].shape, found[name].dtype) != (shape, dtype):
            faults.append(
                f"{name} is {found[name].dtype} {list(found[name].shape)} "
                f"instead of {dtype} {list(shape)}"
            )
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ModelError(
            f"{header.path}: weights and network do not fit: {'; '.join(sorted(faults)[:3])}{more}"
            f"{_other_library(header, network)}"
        )


def _other_library(header: Header, network: Network) -> str:
    """What may explain weights that do not fit: another smp, or timm, has named or shaped them."""
    wrote = header.metadata["network"].get("library")
    if not isinstance(network.plan, SmpPlan) or wrote == network.plan.library:
        return ""
    return f"; {wrote} wrote it, here is {network.plan.library}: install those versions"
