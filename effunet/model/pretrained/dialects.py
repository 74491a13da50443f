"""How each lineage names the tensors of one EfficientNet, and how to tell the namings apart.

A dialect maps our modules to its own; the leaves (weight, bias, ...) are torch's in all of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from effunet.errors import ModelError
from effunet.model.scaling import VARIANTS, Plan, published

Modules = dict[str, str]
"""Our module names -> those of a dialect."""

Shapes = dict[str, tuple[int, ...]]

CLASSIFIER = ("head.conv", "head.norm", "classifier")
"""Our modules that only an encoder with a classifier has; others may leave their tensors over."""

UNUSED_LEAF = "num_batches_tracked"  # a count that matters only to a norm without momentum

SQUEEZE = ("squeeze.reduce", "squeeze.expand")
EXPAND, DEPTHWISE, PROJECT = (
    (f"{part}.conv", f"{part}.norm") for part in ("expand", "depthwise", "project")
)


@dataclass(frozen=True)
class Dialect:
    """A way of naming the tensors."""

    name: str
    probe: str  # a tensor that every file in this naming holds, and no other
    modules: Callable[[Plan], Modules]


def detect(names: Iterable[str], source: str) -> tuple[Dialect, str]:
    """Tell the dialect of a file by its tensors' names, and the prefix that they all stand under.

    Lightning, DDP, torch.compile and smp put an encoder under names of their own.

    Raises:
        ModelError: no EfficientNet in a known naming, or more than one.
    """
    names = list(names)
    found = [
        (dialect, name.removesuffix(dialect.probe))
        for dialect in DIALECTS
        for name in names
        if name == dialect.probe or name.endswith(f".{dialect.probe}")
    ]
    if not found:
        known = ", ".join(dialect.name for dialect in DIALECTS)
        raise ModelError(
            f"{source}: no EfficientNet in a known naming ({known}): it holds {few(names)}"
        )
    if len(found) > 1:
        places = ", ".join(repr(prefix) for _, prefix in found)
        raise ModelError(
            f"{source}: holds {len(found)} EfficientNets, under {places}: "
            "give a file with one of them alone"
        )
    return found[0]


def variant_of(dialect: Dialect, shapes: Shapes) -> str | None:
    """Name the published variant whose blocks and widths a file has, if there is one."""
    for name in reversed(VARIANTS):  # B1 before B0, whose blocks it holds too
        plan = published(name)
        modules = dialect.modules(plan)
        blocks = {
            f"{modules[f'stages.{row}.{block}.project.conv']}.weight": stage.width
            for row, stage in enumerate(plan.stages)
            for block in range(stage.repeats)
        }
        if all((shapes.get(tensor) or (0,))[0] == width for tensor, width in blocks.items()):
            return name
    return None


def timm_modules(plan: Plan) -> Modules:
    """Name our modules as timm does.

    timm counts the convolutions and norms within a block, so where nothing is expanded the numbers
    shift, and `conv_pw` is then the projection, which elsewhere is the expansion.
    """
    squeeze = dict(zip(SQUEEZE, ("se.conv_reduce", "se.conv_expand"), strict=True))
    whole = ((EXPAND, ("conv_pw", "bn1")), (DEPTHWISE, ("conv_dw", "bn2")))
    expanded = _pairs(*whole, (PROJECT, ("conv_pwl", "bn3"))) | squeeze
    plain = _pairs((DEPTHWISE, ("conv_dw", "bn1")), (PROJECT, ("conv_pw", "bn2"))) | squeeze
    modules = {
        "stem.conv": "conv_stem",
        "stem.norm": "bn1",
        "head.conv": "conv_head",
        "head.norm": "bn2",
        "classifier": "classifier",
    }
    for row, block, _, expands in _blocks(plan):
        for ours, theirs in (expanded if expands else plain).items():
            modules[f"stages.{row}.{block}.{ours}"] = f"blocks.{row}.{block}.{theirs}"
    return modules


def torchvision_modules(plan: Plan) -> Modules:
    """Name our modules as torchvision does, which numbers everything, the stem as stage 0."""
    modules = {
        "stem.conv": "features.0.0",
        "stem.norm": "features.0.1",
        "head.conv": f"features.{len(plan.stages) + 1}.0",
        "head.norm": f"features.{len(plan.stages) + 1}.1",
        "classifier": "classifier.1",
    }
    for row, block, _, expands in _blocks(plan):
        parts = (EXPAND, DEPTHWISE, SQUEEZE, PROJECT) if expands else (DEPTHWISE, SQUEEZE, PROJECT)
        for number, part in enumerate(parts):
            inner = ("fc1", "fc2") if part is SQUEEZE else ("0", "1")
            for ours, theirs in zip(part, inner, strict=True):
                name = f"features.{row + 1}.{block}.block.{number}.{theirs}"
                modules[f"stages.{row}.{block}.{ours}"] = name
    return modules


def lukemelas_modules(plan: Plan) -> Modules:
    """Name our modules as efficientnet_pytorch does, which counts the blocks of all stages."""
    parts = _pairs(
        (EXPAND, ("_expand_conv", "_bn0")),
        (DEPTHWISE, ("_depthwise_conv", "_bn1")),
        (SQUEEZE, ("_se_reduce", "_se_expand")),
        (PROJECT, ("_project_conv", "_bn2")),
    )
    modules = {
        "stem.conv": "_conv_stem",
        "stem.norm": "_bn0",
        "head.conv": "_conv_head",
        "head.norm": "_bn1",
        "classifier": "_fc",
    }
    for row, block, number, expands in _blocks(plan):
        for ours, theirs in parts.items():
            if expands or ours not in EXPAND:
                modules[f"stages.{row}.{block}.{ours}"] = f"_blocks.{number}.{theirs}"
    return modules


TIMM = Dialect("timm", "conv_stem.weight", timm_modules)
TORCHVISION = Dialect("torchvision", "features.0.0.weight", torchvision_modules)
LUKEMELAS = Dialect("lukemelas", "_conv_stem.weight", lukemelas_modules)
DIALECTS = (TIMM, TORCHVISION, LUKEMELAS)


def few(names: list[str]) -> str:
    """List the first three names, and say how many there are."""
    more = f", ... ({len(names)} in all)" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _pairs(*parts: tuple[tuple[str, ...], tuple[str, ...]]) -> Modules:
    return {our: their for ours, theirs in parts for our, their in zip(ours, theirs, strict=True)}


def _blocks(plan: Plan) -> Iterable[tuple[int, int, int, bool]]:
    """Stage, block within it, block of all, and whether it expands."""
    number = 0
    for row, stage in enumerate(plan.stages):
        for block in range(stage.repeats):
            yield row, block, number, stage.expansion > 1
            number += 1
