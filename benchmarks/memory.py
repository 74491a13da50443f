"""What a training step holds in memory for its backward pass."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def saved_bytes(forward: Callable[[], Tensor], own: Iterable[Tensor]) -> int:
    """Bytes that autograd saves in a forward pass, each storage once, without those of `own`."""
    known = {tensor.untyped_storage().data_ptr() for tensor in own}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor  # which keeps the storage, so that no other takes its address

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = forward()
    del loss
    return sum(found.values())


class _Storages(TorchDispatchMode):
    """Storages that operators have made, without keeping them."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator, and note what it returns."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                reference = StorageWeakRef(storage)
                self.made[reference.cdata] = (reference, storage.nbytes())
        return result

    def alive(self, known: set[int]) -> int:
        """Bytes of those that somebody still keeps."""
        kept = [
            nbytes
            for cdata, (reference, nbytes) in self.made.items()
            if cdata not in known and not reference.expired()
        ]
        return sum(kept)


def held_bytes(forward: Callable[[], Tensor], own: Iterable[Tensor]) -> int:
    """Bytes that are still there when only the loss is kept, by whatever way they are.

    What a function keeps outside of autograd's saved tensors is here, and not in `saved_bytes`.
    """
    known = {tensor.untyped_storage()._cdata for tensor in own}
    with _Storages() as storages:
        loss = forward()
    alive = storages.alive(known)
    del loss
    return alive
