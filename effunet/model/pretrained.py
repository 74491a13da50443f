"""Foreign weight files -> our encoder, with the padding, eps, mean and std that they need.

In: a local .safetensors file in a known naming. Out: an encoder that holds its weights, all of them
or none. A naming is one Dialect in DIALECTS; a new one is a table of names and the numerics that go
with it. Only safetensors is read: a pickle could run code.
"""

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from effunet.errors import ModelError
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.scaling import VARIANTS, Plan, published

Modules = dict[str, str]
"""Our module names -> those of a dialect; the leaves (weight, bias, ...) are torch's in both."""

CLASSIFIER = ("head.conv", "head.norm", "classifier")
"""Our modules that only an encoder with a classifier has; others may leave their tensors over."""

UNUSED_LEAF = "num_batches_tracked"  # a count that matters only to a norm without momentum


@dataclass(frozen=True)
class Dialect:
    """How one lineage of EfficientNet weights names its tensors, and what it was trained with."""

    name: str
    probe: str  # a tensor that every file in this naming holds
    mark: str  # in the file's name or metadata; lineages of equal naming differ in numerics
    modules: Callable[[Plan], Modules]
    numerics: Callable[[str], Numerics]  # by the label: the file's name and metadata


@dataclass(frozen=True)
class Contents:
    """What a weight file holds, before any tensor is read."""

    source: str
    label: str  # its name, and what its metadata says of the naming
    shapes: dict[str, tuple[int, ...]]


def numerics_of(source: str | Path) -> Numerics:
    """Say which numerics the weights of a file need: build the encoder with them, then load.

    Raises:
        ModelError: the file is unreadable or in no known naming.
    """
    with _opened(source) as file:
        contents = _contents(file, source)
    return _dialect(contents).numerics(contents.label)


def load(encoder: EfficientNet, source: str | Path) -> Numerics:
    """Replace every weight of an encoder by a file's, or none; give the numerics they need.

    Raises:
        ModelError: the file is unreadable, in no known naming, or does not fit the encoder.
    """
    with _opened(source) as file:
        contents = _contents(file, source)
        dialect = _dialect(contents)
        numerics = dialect.numerics(contents.label)
        _check_encoder(encoder, numerics, contents)
        modules = dialect.modules(encoder.plan)
        theirs = _tensor_names(encoder, modules)
        spare = tuple(f"{modules[module]}." for module in CLASSIFIER)
        _check_fit(encoder, theirs, spare, encoder.plan.name, dialect, contents)
        weights = {name: file.get_tensor(other) for name, other in theirs.items()}
    _fill(encoder, weights, theirs, source)
    return numerics


def load_timm(encoder: nn.Module, source: str | Path, name: str, left_out: Sequence[str]) -> None:
    """Replace every weight of timm's own tf_efficientnet by a file's, or none.

    Args:
        encoder: timm's features-only network, whose names are those of the file.
        source: the file.
        name: what to call the encoder in an error.
        left_out: timm's names of modules that the encoder lacks, whose weights may be left over.

    Raises:
        ModelError: the file is unreadable, in no known naming, or does not fit the encoder.
    """
    with _opened(source) as file:
        contents = _contents(file, source)
        dialect = _dialect(contents)
        theirs = {name: name for name in encoder.state_dict() if not name.endswith(UNUSED_LEAF)}
        modules = dialect.modules(published("b0"))  # the head's names are those of every variant
        spare = [f"{module}." for module in (*(modules[ours] for ours in CLASSIFIER), *left_out)]
        _check_fit(encoder, theirs, tuple(spare), name, dialect, contents)
        weights = {name: file.get_tensor(name) for name in theirs}
    _fill(encoder, weights, theirs, source)


def _fill(
    encoder: nn.Module, weights: dict[str, Tensor], theirs: dict[str, str], source: str | Path
) -> None:
    for name, weight in weights.items():
        if not weight.is_floating_point() or not weight.isfinite().all():
            raise ModelError(
                f"{source}: {theirs[name]} ({weight.dtype}) must hold finite real numbers only: "
                f"download the file again or take another"
            )
    encoder.load_state_dict(encoder.state_dict() | weights)


def timm_modules(plan: Plan) -> Modules:
    """Name our modules as timm does.

    timm counts the convolutions and norms within a block, so where nothing is expanded the numbers
    shift, and `conv_pw` is then the projection, which elsewhere is the expansion.
    """
    squeeze = {"squeeze.reduce": "se.conv_reduce", "squeeze.expand": "se.conv_expand"}
    unexpanded = squeeze | {
        "depthwise.conv": "conv_dw",
        "depthwise.norm": "bn1",
        "project.conv": "conv_pw",
        "project.norm": "bn2",
    }
    expanded = squeeze | {
        "expand.conv": "conv_pw",
        "expand.norm": "bn1",
        "depthwise.conv": "conv_dw",
        "depthwise.norm": "bn2",
        "project.conv": "conv_pwl",
        "project.norm": "bn3",
    }
    modules = {
        "stem.conv": "conv_stem",
        "stem.norm": "bn1",
        "head.conv": "conv_head",
        "head.norm": "bn2",
        "classifier": "classifier",
    }
    for row, stage in enumerate(plan.stages):
        parts = expanded if stage.expansion > 1 else unexpanded
        for block in range(stage.repeats):
            for ours, theirs in parts.items():
                modules[f"stages.{row}.{block}.{ours}"] = f"blocks.{row}.{block}.{theirs}"
    return modules


def timm_tf_numerics(label: str) -> Numerics:
    """Give TensorFlow's numerics; the AdvProp weights (".ap_in1k", "_ap") take images in -1..1."""
    if re.search(r"[._]ap(?![a-z])", label):
        return Numerics(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return Numerics()


DIALECTS = (
    Dialect(
        name="timm tf_efficientnet",
        probe="conv_stem.weight",
        mark="tf_efficientnet",
        modules=timm_modules,
        numerics=timm_tf_numerics,
    ),
)


@contextmanager
def _opened(source: str | Path) -> Generator[Any]:
    # Any: the open file of safetensors has no public type.
    if re.match(r"\w{2,}:", str(source)):  # a single letter is a drive
        raise ModelError(
            f"{source}: weights are read from a local file: download it, give the .safetensors path"
        )
    path = Path(source)
    if not path.is_file():
        raise ModelError(f"{path}: there is no such weight file: check the path")
    if path.suffix != ".safetensors":
        raise ModelError(
            f"{path}: weights are read from .safetensors files only, because others can run code: "
            f"look for one in that format"
        )
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as fault:
        raise ModelError(
            f"{path}: is no readable safetensors file ({fault}): it may be cut short or another "
            f"format renamed; get it again"
        ) from fault


def _contents(file: Any, source: str | Path) -> Contents:
    naming = (file.metadata() or {}).get("naming", "")
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    return Contents(str(source), f"{Path(source).stem} {naming}", shapes)


def _dialect(contents: Contents) -> Dialect:
    named_so = [dialect for dialect in DIALECTS if dialect.probe in contents.shapes]
    for dialect in named_so:
        if dialect.mark in contents.label:
            return dialect
    if named_so:
        marks = " or ".join(repr(dialect.mark) for dialect in named_so)
        raise ModelError(
            f"{contents.source}: the tensors' names do not tell which padding and eps the weights "
            f"need: if they are {marks}, say so in the file's name"
        )
    known = ", ".join(dialect.name for dialect in DIALECTS)
    raise ModelError(
        f"{contents.source}: no EfficientNet in a known naming ({known}): "
        f"it holds {_few(list(contents.shapes))}"
    )


def _tensor_names(encoder: EfficientNet, modules: Modules) -> dict[str, str]:
    """Map each of the encoder's tensors to the dialect's name for it."""
    names: dict[str, str] = {}
    for name in encoder.state_dict():
        module, _, leaf = name.rpartition(".")
        if leaf != UNUSED_LEAF:
            names[name] = f"{modules[module]}.{leaf}"
    return names


def _check_encoder(encoder: EfficientNet, numerics: Numerics, contents: Contents) -> None:
    if encoder.channels != 3:
        raise ModelError(
            f"{contents.source}: the weights take 3 channels, the encoder {encoder.channels}: "
            f"use images of 3 channels, or no pretrained weights"
        )
    if encoder.numerics != numerics:
        raise ModelError(
            f"{contents.source}: the weights need {numerics}, the encoder has {encoder.numerics}: "
            f"build it with numerics=numerics_of(source)"
        )


def _check_fit(
    encoder: nn.Module,
    theirs: dict[str, str],
    spare: tuple[str, ...],
    encoder_name: str,
    dialect: Dialect,
    contents: Contents,
) -> None:
    weights, shapes = encoder.state_dict(), contents.shapes
    wanted = {other: weights[name].shape for name, other in theirs.items()}
    missing = [name for name in wanted if name not in shapes]
    left_over = [
        name
        for name in shapes
        if name not in wanted and not name.endswith(UNUSED_LEAF) and not name.startswith(spare)
    ]
    other = [
        f"{name} {shapes[name]} for {tuple(shape)}"
        for name, shape in wanted.items()
        if name in shapes and shapes[name] != shape
    ]
    faults = [("lacks", missing), ("has left over", left_over), ("has other shapes:", other)]
    if missing or left_over or other:
        found = " and ".join(f"{fault} {_few(names)}" for fault, names in faults if names)
        likely = _variant(dialect, contents)
        mend = f": it looks like {likely}, build that one" if likely else ""
        raise ModelError(f"{contents.source}: does not fit {encoder_name}: {found}{mend}")


def _variant(dialect: Dialect, contents: Contents) -> str | None:
    """Name the published variant whose blocks and widths a file has, if there is one."""
    for name in reversed(VARIANTS):  # B1 before B0, whose blocks it holds too
        plan = published(name)
        modules = dialect.modules(plan)
        blocks = {
            f"{modules[f'stages.{row}.{block}.project.conv']}.weight": stage.width
            for row, stage in enumerate(plan.stages)
            for block in range(stage.repeats)
        }
        if all(contents.shapes.get(tensor, (0,))[0] == width for tensor, width in blocks.items()):
            return name
    return None


def _few(names: list[str]) -> str:
    """List the first three names, and say how many there are."""
    more = f", ... ({len(names)} in all)" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
