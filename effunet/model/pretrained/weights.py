"""What `encoder.weights` names -> tensors in a known naming, with the numerics that they need."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

from torch import Tensor

from effunet.errors import ModelError
from effunet.model import facts, hub, presets
from effunet.model.encoder import Numerics
from effunet.model.lineages import LINEAGES
from effunet.model.pretrained.dialects import TIMM, TORCHVISION, Dialect, detect, variant_of
from effunet.model.pretrained.files import Contents, read

OWN_NUMERICS = "numerics"
"""The key of our own metadata in a file that `export.save_timm` wrote."""

HALF = re.compile(r"[._]ap_in1k|efficientnet_b\d_ap(?![a-z=])|advprop|\badv-|ra4_e3600")
"""Marks of weights that take images in -1..1; not those of a file called best_ap."""

TENSORFLOW = re.compile(r"tf_efficientnet|timm-efficientnet|noisy-student")
"""Marks of TensorFlow's weights in timm's naming."""


@dataclass(frozen=True)
class Weights:
    """Tensors in the naming of a dialect, without prefixes."""

    source: str  # as the user named them
    label: str
    dialect: Dialect
    tensors: dict[str, Tensor]
    numerics: Numerics  # for the three channels that they were trained with
    told: str  # which lineage, and by what

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}


def find(
    source: str | Path,
    *,
    numerics: str = "auto",
    variant: str = "",
    notify: Callable[[str], None] = print,
) -> Weights:
    """Read the weights of an encoder.

    Args:
        source: a .safetensors or torch.save file; `hf://org/name[@revision][:file]`; or a preset,
            one of presets.names(), of a published variant. Only the last two reach the network.
        numerics: one of LINEAGES, or "auto": what the source says.
        variant: the encoder's name, for a preset.
        notify: takes the line that says which numerics were taken, and the one that pins an
            address without a revision.

    Raises:
        ModelError: nothing there, unreadable, in no known naming, or with untold numerics.
    """
    text, by = str(source), "as asked for"
    if text in presets.names():
        preset = presets.preset(variant, text)
        address = hub.Address(preset.repository, preset.revision, preset.file)
        path = hub.fetch(address, notify)
        title = f"{text} ({preset.repository})"
        if numerics == "auto":
            numerics, by = preset.numerics, "by the preset"
        contents = read(path, title, preset.repository)
    elif hub.is_address(text):
        address = hub.parse(text)
        path = hub.fetch(address, notify)
        beside = str(PurePosixPath(address.file).with_name("config.json"))
        if path.name == "model.safetensors" and not (
            hub.fetch_optional(replace(address, file=beside))
        ):
            notify(f"notice    {text}: no config.json, so mean and std go by the names")
        contents = read(path, text, address.repository)
    elif re.match(r"\w{2,}:", text):  # a single letter is a drive
        raise ModelError(
            f"{text}: weights are read from a local file, from hf://org/name[@revision], or by one "
            f"of the words {', '.join(presets.names())}: download it and give its path"
        )
    else:
        contents = read(Path(source), text)
    found = of_contents(contents, numerics=numerics, by=by)
    notify(f"notice    {found.source}: {found.dialect.name} naming, {found.told}")
    return found


def of_contents(contents: Contents, *, numerics: str = "auto", by: str = "as asked for") -> Weights:
    """Tell naming and numerics of what a file holds.

    Args:
        contents: the file's.
        numerics: one of LINEAGES, or "auto": what names and metadata tell.
        by: words for who chose a lineage other than "auto".

    Raises:
        ModelError: no known naming, or numerics that nothing tells.
    """
    dialect, prefix = detect(contents.tensors, contents.source)
    tensors = {
        name.removeprefix(prefix): tensor
        for name, tensor in contents.tensors.items()
        if name.startswith(prefix)
    }
    others = [name for name in contents.tensors if not name.startswith(prefix)]
    whole_smp = prefix.endswith("encoder.") and any(".decoder." in f".{name}" for name in others)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if numerics == "auto":
        found, told = _told(dialect, contents, whole_smp, variant_of(dialect, shapes))
    else:
        found, told = named(numerics), f"numerics {numerics}, {by}"
    return Weights(contents.source, contents.label, dialect, tensors, found, told)


def _told(
    dialect: Dialect, contents: Contents, whole_smp: bool, variant: str | None
) -> tuple[Numerics, str]:
    """The numerics that a file tells, and the words for which they are and what told them."""
    own = contents.facts.get(OWN_NUMERICS)
    if own is not None:
        return _own(own, contents.source), "numerics by the file's metadata"
    label = contents.label.lower()
    half = "-advprop" if HALF.search(label) else ""
    if dialect is TORCHVISION:
        lineage = "torchvision-tf" if variant in ("b5", "b6", "b7") else "torchvision"
        why = "by the tensors' names and widths"
    elif dialect is not TIMM:
        lineage, why = f"lukemelas{half}", "by the tensors' names"
    elif whole_smp:
        lineage, why = "timm", "as smp runs its timm-efficientnet"
    elif mark := TENSORFLOW.search(label):
        lineage, why = f"tf{half}", f"by {mark.group()!r} in its name"
    elif mark := re.search(r"(?<![a-z])efficientnet_b\d", label):
        lineage, why = "timm-half" if half else "timm", f"by {mark.group()!r} in its name"
    else:
        raise ModelError(
            f"{contents.source}: the tensors' names do not tell which padding and eps the weights "
            "need: say encoder.numerics=tf (--numerics tf) for those of timm's tf_efficientnet, "
            "timm for its efficientnet, or leave the model's name in the file's name"
        )
    numerics, mean, std = named(lineage), contents.facts.get("mean"), contents.facts.get("std")
    if mean is not None and std is not None:
        try:
            numerics = replace(numerics, mean=_floats(mean), std=_floats(std))
        except (TypeError, ValueError) as fault:
            raise ModelError(
                f"{contents.source}: mean or std of its config.json: {fault}"
            ) from fault
        why += ", mean and std by config.json"
    return numerics, f"numerics {lineage}, {why}"


def _floats(values: object) -> tuple[float, ...]:
    return tuple(float(value) for value in cast("list[Any]", values))


def named(lineage: str) -> Numerics:
    """The numerics of one of LINEAGES."""
    facts_ = LINEAGES[lineage]
    numerics = Numerics(facts_.padding, facts_.eps)
    return replace(numerics, mean=(0.5,) * 3, std=(0.5,) * 3) if facts_.half else numerics


def _own(text: str, source: str) -> Numerics:
    try:
        plain: Mapping[str, Any] = json.loads(text)
        return facts.read(Numerics, plain, "numerics")
    except ValueError as fault:
        raise ModelError(f"{source}: its metadata is damaged: {fault}") from fault
