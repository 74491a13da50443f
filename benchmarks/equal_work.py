"""smp's U-Net and ours with its weights, proved to be one function before anything is timed.

On the CPU, their losses in evaluation and in training without drop path agree, and the gradients
of a training step in float64. (In float32 smp's own gradients move by about a hundredth of their
norm from NCHW to channels_last, so that they would prove little.) The imported network keeps smp's
own padding, features and normalisation.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from networks import NETWORKS
from steps import IMAGENET, Setting, batch_of, cross_entropy, normalised, write_weights
from torch import Tensor, nn

from effunet.model.blocks import DropPath
from effunet.model.imported import network_of
from effunet.model.network import EffUNet
from effunet.model.pretrained.files import read
from effunet.training.recipe.losses.build import build_loss

LOSS, GRADIENTS = 1e-5, 1e-9  # relative; float32, and float64 by the norm of all together
LARGEST = {"size": 128, "batch": 2}  # a larger batch would prove no more


def prepare(setting: Setting, path: Path) -> dict[str, float]:
    """Write equal weights to `path`; return the greatest differences that were found.

    Raises:
        SystemExit: the two do not do the same work.
    """
    torch.manual_seed(0)
    smp = NETWORKS["smp"](setting.encoder, setting.classes)
    torch.save(smp.state_dict(), path)
    ours, _ = network_of(read(path, str(path)))
    write_weights(smp, ours, path)
    small = {name: min(getattr(setting, name), most) for name, most in LARGEST.items()}
    return check(smp, ours, replace(setting, **small))


def check(smp: nn.Module, ours: EffUNet, setting: Setting) -> dict[str, float]:
    """Compare losses and gradients; both networks are left without drop path."""
    encoder: Any = smp.encoder
    encoder._drop_connect_rate = 0.0
    for module in ours.modules():
        if isinstance(module, DropPath):
            module.rate = 0.0
    ours.to(memory_format=torch.channels_last)
    raw, mask = batch_of(setting)
    loss = build_loss("cross_entropy", setting.classes)
    differences: dict[str, float] = {}
    for mode in ("evaluation", "training"):
        for network in (smp, ours):
            network.train(mode == "training")
        # With gradients: without them, a network may take another way than in a training.
        theirs = cross_entropy(smp(normalised(raw).contiguous()), mask.long())
        differences[mode] = _relative(theirs, loss(ours(raw), mask))
    smp.double()
    ours.double()
    # float32's rounding of mean and std would be enough to move features across a ReLU's zero.
    for buffer, row in zip((ours.mean, ours.std), IMAGENET, strict=True):
        buffer.copy_(255 * torch.tensor(row, dtype=torch.float64).view(3, 1, 1))
    for logits in (smp(normalised(raw.double())), ours(raw)):
        cross_entropy(logits, mask.long()).backward()
    differences["gradients"] = _relative(*_gradients(smp, ours))
    for name, difference in differences.items():
        if not difference <= (GRADIENTS if name == "gradients" else LOSS):
            raise SystemExit(f"not the same work: {name} differ by {difference:.1e}")
    return differences


def _gradients(smp: nn.Module, ours: nn.Module) -> tuple[Tensor, Tensor]:
    """All gradients in one row; both networks register their weights in the order of their use."""
    # smp keeps a head of the encoder that it never runs.
    theirs = [weight for weight in smp.parameters() if weight.grad is not None]
    mine = list(ours.parameters())
    if [weight.shape for weight in theirs] != [weight.shape for weight in mine]:
        raise SystemExit("not the same work: the weights do not pair")
    rows = ([w.grad.flatten() for w in weights if w.grad is not None] for weights in (theirs, mine))
    first, second = (torch.cat(row) for row in rows)
    return first, second


def _relative(theirs: Tensor, mine: Tensor) -> float:
    return ((theirs - mine).norm() / theirs.norm()).item()
