"""What a module is made of: whether it still is what it was built as.

Training steps on a CPU and the inference form compute a network in other steps than its modules
do. They may where the modules are those that they were made for; whoever has exchanged a part,
dilated a filter or replaced a forward gets what the modules compute.
"""

from torch import nn

Outline = tuple[tuple[str, type[nn.Module], tuple[object, ...]], ...]


def outline(module: nn.Module) -> Outline:
    """Name, type and geometry of each part, the module itself among them; not its weights."""
    return tuple((name, type(part), _facts(part)) for name, part in module.named_modules())


def _facts(part: nn.Module) -> tuple[object, ...]:
    own = "forward" in vars(part)  # set on this one object, as adapters and quantisers do
    if isinstance(part, nn.Conv2d):
        native = getattr(part, "native", None)
        shape = part.kernel_size, part.stride, part.padding, part.dilation, part.groups
        return (own, *shape, part.padding_mode, native)
    if isinstance(part, nn.BatchNorm2d):
        return own, part.eps, part.affine, part.track_running_stats, part.momentum is None
    return (own,)
