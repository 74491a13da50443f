"""A piece of work -> the bytes that its operators move, by kind, counted where they are dispatched.

Every operator reads its tensors and writes its results once, and a view moves nothing; but a batch
norm reads its features twice, for it needs their sums first, and the two kernels behind a
convolution both read the gradient. That is what eager kernels move at least. Works on meta tensors,
so that nothing is computed.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten

CONVOLUTIONS = (aten.convolution, aten.convolution_backward)
EMPTY = (
    aten.empty,
    aten.empty_like,
    aten.new_empty,
    aten.empty_strided,
    aten.new_empty_strided,
)
BLIND = (aten.zero_, aten.fill_, aten.bernoulli_, aten.zeros_like, aten.ones_like, aten.new_zeros)
"""They write without a look at what they are given."""

GATE = "squeeze-and-excitation"
READ_AGAIN = {
    aten.native_batch_norm: 1,
    aten._native_batch_norm_legit: 1,
    aten._batch_norm_with_update: 1,
    aten.cudnn_batch_norm: 1,
    aten.native_batch_norm_backward: 2,
    aten.batch_norm_backward: 2,
    aten.cudnn_batch_norm_backward: 2,
    aten.convolution_backward: 1,
}
"""How many of an operator's first arguments are read twice."""

KINDS = {
    **{packet: "batch norm" for packet in READ_AGAIN if packet is not aten.convolution_backward},
    aten.silu: "SiLU",
    aten.silu_: "SiLU",
    aten.silu_backward: "SiLU",
    aten.sigmoid: GATE,
    aten.sigmoid_backward: GATE,
    aten.constant_pad_nd: "padding",
    aten.replication_pad2d: "padding",
    aten.relu: "ReLU",
    aten.relu_: "ReLU",
    aten.threshold_backward: "ReLU",
    aten._log_softmax: "loss",
    aten._log_softmax_backward_data: "loss",
    aten.nll_loss2d_forward: "loss",
    aten.nll_loss2d_backward: "loss",
    aten._to_copy: "casts",
    aten.clone: "copies",
    aten.copy_: "copies",
    aten.upsample_nearest2d: "upsampling",
    aten.upsample_nearest2d_backward: "upsampling",
    aten.upsample_bilinear2d: "upsampling",
    aten.upsample_bilinear2d_backward: "upsampling",
    aten.cat: "concatenation",
    aten.slice_backward: "concatenation",
}


class Traffic(TorchDispatchMode):
    """Counts while it is entered: `kinds`, bytes by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: Counter[str] = Counter()
        self.outputs: Counter[str] = Counter()
        """Bytes that convolutions of the forward pass write, by kind."""
        self.last_output = 0  # of the last of these

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the operator, and count it."""
        result = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet in EMPTY or _is_view(func):
            return result
        given = [] if packet in BLIND else tree_leaves((args, kwargs or {}))
        kind = _kind(packet, args)
        written = _bytes(tree_leaves(result))
        again = _bytes(args[: READ_AGAIN.get(packet, 0)])
        self.kinds[kind] += _bytes(given) + again + written
        if packet is aten.convolution:
            self.outputs[kind] += written
            self.last_output = written
        return result

    @property
    def total(self) -> int:
        """Bytes of all kinds."""
        return sum(self.kinds.values())


def traffic(work: Callable[[], object]) -> Traffic:
    """Count what a piece of work moves."""
    with Traffic() as counter:
        work()
    return counter


def _is_view(func: Any) -> bool:
    """Whether the result is memory of an argument, under another shape and unchanged."""
    aliases = [result.alias_info for result in func._schema.returns]
    return bool(aliases) and all(alias and not alias.is_write for alias in aliases)


def _bytes(leaves: Iterable[Any]) -> int:
    """Bytes of the tensors; what is expanded from fewer numbers is read as those."""
    return sum(_distinct(leaf) * leaf.itemsize for leaf in leaves if isinstance(leaf, Tensor))


def _distinct(tensor: Tensor) -> int:
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(size for size, stride in pairs if stride != 0 or size == 0)


def _kind(packet: Any, args: tuple[Any, ...]) -> str:
    if packet in CONVOLUTIONS:
        position = 1 if packet is aten.convolution_backward else 0
        return _convolution(args[position], args[position + 1])
    if packet in KINDS:
        return KINDS[packet]
    tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
    shapes = [tensor.shape for tensor in tensors]
    if any(_is_map(shape) for shape in shapes):
        return _of_maps(packet, tensors)
    if any(len(shape) == 4 for shape in shapes):
        return GATE
    return "loss" if any(len(shape) == 3 for shape in shapes) else "rest"


def _of_maps(packet: Any, tensors: list[Tensor]) -> str:
    """Tell what multiplies or adds whole features by the shape of the other factor."""
    if packet in (aten.add, aten.add_):
        return "sums"
    small = [tensor for tensor in tensors if tensor.ndim == 4 and not _is_map(tensor.shape)]
    batch = max(len(tensor) for tensor in tensors if tensor.ndim == 4)
    if any(len(tensor) == 1 < batch for tensor in small) or packet is aten.sub:
        return "normalising"
    if any(tensor.shape[1] == 1 for tensor in small):
        return "drop path"
    # The gradient of a mean is one number a channel, expanded and divided; drop path divides more.
    if packet is aten.div and _distinct(tensors[0]) == tensors[0].numel():
        return "drop path"
    return GATE if packet in (aten.mul, aten.div, aten.sum, aten.mean) else "rest"


def _convolution(given: Tensor, weight: Tensor) -> str:
    if not _is_map(given.shape):
        return GATE
    if weight.shape[1] == 1 and len(weight) > 1:
        return "convolution, depthwise"
    return f"convolution, {'1x1' if weight.shape[2:] == (1, 1) else 'dense'}"


def _is_map(shape: torch.Size) -> bool:
    return len(shape) == 4 and shape[2] * shape[3] > 1
