"""The training step of each row: network, batch, loss and optimizer as its user writes them.

A row's name says what it is: `smp`, `unet` or `efficient`, then what is different about it. smp's
are as its users write them: float images that are normalised already, int64 masks, AdamW as torch
builds it. Ours are as `train.py` trains: raw uint8 images and masks, channels_last, fused AdamW,
on a CPU with large blocks kept. Autocast and scaler are as Lightning's mixed precision has them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from networks import NETWORKS
from torch import Tensor, nn

from effunet.allocator import keep_large_blocks
from effunet.model.network import EffUNet, NetworkPlan
from effunet.training.config.recipe import Optim
from effunet.training.recipe.losses.build import build_loss
from effunet.training.recipe.optim import build_optimizer

IGNORE, IGNORED = 255, 0.05  # the share of the pixels
BLOCK = 16  # pixels a side of an area of one class
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MIXED = {"32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
ROWS = {
    "smp": "eager, NCHW",
    "smp-cl": "channels_last",
    "smp-tuned": "with glibc tuned to keep freed memory",
    "unet": "our U-Net decoder, with smp's weights",
    "efficient": "our efficient decoder",
    "unet-checkpointing": "encoder.checkpointing=true",
    "efficient-checkpointing": "encoder.checkpointing=true",
    "smp-cl-compile": "torch.compile",
    "unet-compile": "torch.compile",
    "efficient-compile": "torch.compile",
}


@dataclass(frozen=True)
class Setting:
    """What all rows have in common."""

    encoder: str
    size: int  # height and width of the images
    batch: int
    classes: int
    device: torch.device
    precision: str  # a key of MIXED


class Step:
    """One training step, done when called; returns its loss."""

    def __init__(self, row: str, setting: Setting, weights: Path) -> None:
        """Build the row's network; the U-Nets start from `weights`, as `write_weights` writes."""
        name, *options = row.split("-")
        self.setting = setting
        self.network = _network(name, setting, weights).to(setting.device).train()
        self.optimizer = self._optimizer(ours=name != "smp")
        if name != "smp" or "cl" in options:
            self.network.to(memory_format=torch.channels_last)
        if "checkpointing" in options:
            encoder: Any = self.network.encoder
            encoder.checkpointing = True
        if name != "smp" and setting.device.type == "cpu":
            keep_large_blocks()
        raw, mask = batch_of(setting)
        if name == "smp":
            layout = torch.channels_last if "cl" in options else torch.contiguous_format
            self.image = normalised(raw).to(setting.device).contiguous(memory_format=layout)
            self.mask = mask.long().to(setting.device)
            self.loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
        else:
            self.image, self.mask = raw.to(setting.device), mask.to(setting.device)
            self.loss = build_loss("cross_entropy", setting.classes)
        self.compiled = "compile" in options
        self.run: Callable[[Tensor], Tensor] = self.network
        if self.compiled:
            self.run = torch.compile(self.network)
        half = setting.precision == "fp16"
        self.scaler = torch.amp.GradScaler(setting.device.type, enabled=half)

    def _optimizer(self, *, ours: bool) -> torch.optim.Optimizer:
        if not ours:
            return torch.optim.AdamW(self.network.parameters())
        return build_optimizer(self.network, Optim(), fused=self.setting.precision != "fp16")

    def forward(self) -> Tensor:
        """The loss alone."""
        dtype = MIXED[self.setting.precision]
        kind = self.setting.device.type
        with torch.autocast(kind, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            return self.loss(self.run(self.image), self.mask)

    def __call__(self) -> Tensor:
        """Forward, backward, and the optimizer's step."""
        self.optimizer.zero_grad()
        loss = self.forward()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    def own(self) -> list[Tensor]:
        """Parameters and buffers."""
        return [*self.network.parameters(), *self.network.buffers()]


def cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """As a user of smp writes it."""
    return F.cross_entropy(logits, mask, ignore_index=IGNORE)


def batch_of(setting: Setting) -> tuple[Tensor, Tensor]:
    """Raw images, uint8 in channels_last, and masks, uint8 in blocks; the same in every process."""
    noise = torch.Generator().manual_seed(0)
    size, batch = setting.size, setting.batch
    image = torch.randint(0, 256, (batch, size, size, 3), generator=noise, dtype=torch.uint8)
    side = -(-size // BLOCK)
    blocks = torch.randint(0, setting.classes, (batch, side, side), generator=noise)
    blocks[torch.rand(blocks.shape, generator=noise) < IGNORED] = IGNORE
    mask = blocks.repeat_interleave(BLOCK, 1).repeat_interleave(BLOCK, 2)
    return image.permute(0, 3, 1, 2), mask[:, :size, :size].to(torch.uint8).contiguous()


def normalised(raw: Tensor) -> Tensor:
    """Images as smp takes them: ImageNet's mean and deviation, float32 or as `raw` is."""
    mean, std = (raw.new_tensor(row, dtype=(raw / 255).dtype).view(3, 1, 1) for row in IMAGENET)
    return (raw / 255 - mean) / std


def write_weights(smp: nn.Module, ours: EffUNet, path: Path) -> None:
    """Write two U-Nets of one function for the rows."""
    plan: Any = ours.plan.to_plain()
    torch.save({"smp": smp.state_dict(), "ours": ours.state_dict(), "plan": plan}, path)


def _network(name: str, setting: Setting, weights: Path) -> nn.Module:
    torch.manual_seed(0)
    if name == "efficient":
        return NETWORKS[name](setting.encoder, setting.classes)
    found = torch.load(weights, weights_only=True)
    if name == "smp":
        network = NETWORKS[name](setting.encoder, setting.classes)
        network.load_state_dict(found["smp"])
        return network
    network = EffUNet.from_plan(NetworkPlan.from_plain(found["plan"]))
    network.load_state_dict(found["ours"])
    return network
