"""Part of a network that keeps its inputs for the backward pass, and computes all else again.

After Chen et al., Training Deep Nets with Sublinear Memory Cost (arXiv 1604.06174).
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

T = TypeVar("T")


def run(
    part: Callable[..., T], *inputs: object, within: Sequence[nn.Module], checkpointing: bool
) -> T:
    """Call `part`; with `checkpointing`, keep only its inputs where gradients are computed.

    Args:
        part: what to call.
        inputs: its arguments.
        within: modules that hold every batch norm it calls.
        checkpointing: whether to compute it again in the backward pass.
    """
    training = any(module.training for module in within)
    if not (checkpointing and training and torch.is_grad_enabled()):
        return part(*inputs)
    again = partial(_first_and_second_run, within)
    return checkpoint(part, *inputs, use_reentrant=False, context_fn=again)


def _first_and_second_run(
    within: Sequence[nn.Module],
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _statistics_kept(within)


@contextmanager
def _statistics_kept(within: Sequence[nn.Module]) -> Generator[None]:
    # The second run sees the same batch, which must not enter the running statistics twice.
    # Momentum 0 leaves them as they are; copying them back would break autograd, which watches the
    # versions of the tensors it saved.
    norms = [norm for part in within for norm in part.modules() if isinstance(norm, nn.BatchNorm2d)]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, counted in before:
            norm.momentum, norm.num_batches_tracked = momentum, counted
