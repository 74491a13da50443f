"""The LightningModule: one training step, one validation step, the optimiser; no network detail.

Every random draw on the device (drop_path) is a function of (seed, step, rank), so that a resumed
training draws what an uninterrupted one would have drawn.
"""

from __future__ import annotations

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from effunet.errors import DivergedError
from effunet.metrics import ConfusionMatrix
from effunet.model.kinds import Network
from effunet.training.optim import parameter_groups, schedule
from effunet.training.schema import Optim

Batch = dict[str, Tensor]
"""`image` uint8 B C H W, `mask` uint8 B H W of class indices and IGNORE, `index` int64 B."""


class Training(pl.LightningModule):
    """What a network learns from a batch, and what is measured on the validation split."""

    def __init__(
        self, network: Network, loss: nn.Module, optim: Optim, total_steps: int, seed: int
    ) -> None:
        """Hold a network and its loss; `optim` is the recipe over `total_steps` steps."""
        super().__init__()
        self.network = network
        self.loss = loss
        self.optim = optim
        self.total_steps = total_steps
        self.seed = seed
        self.confusion = ConfusionMatrix(network.plan.classes)
        self.train_loss = MeanSince()
        self.val_loss = MeanSince()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the device's draws of this step."""
        words = np.random.SeedSequence([self.seed, self.global_step, self.global_rank])
        torch.manual_seed(int(words.generate_state(1, np.uint64)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch.

        Raises:
            DivergedError: the loss is no finite number.
        """
        loss = self.loss(self.network(batch["image"]), batch["mask"])
        if not torch.isfinite(loss):
            images = ", ".join(str(int(index)) for index in batch["index"])
            raise DivergedError(
                f"step {self.global_step}: the loss is {loss.item()} on training images {images}:"
                f" lower optim.lr (now {self.optim.lr}) or set optim.clip=1.0"
            )
        self.train_loss.add(loss.detach(), 1)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start counting from nothing."""
        self.confusion.reset()
        self.val_loss.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count one batch of whole images into the confusion matrix."""
        logits = self.network(batch["image"])
        self.val_loss.add(self.loss(logits, batch["mask"]).detach(), len(logits))
        # max is several times faster than argmax on a CPU; both return the first of equals.
        self.confusion.update(logits.max(1).indices, batch["mask"])

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW with a learning rate that is a pure function of the step."""
        recipe = self.optim
        groups = parameter_groups(
            self.network, recipe.lr, recipe.encoder_lr_factor, recipe.weight_decay
        )
        warmup = round(recipe.warmup * self.total_steps)
        # Lightning refuses to clip the gradients of a fused optimizer in mixed precision.
        fused = recipe.clip is None
        optimizer = torch.optim.AdamW(groups, lr=recipe.lr, fused=fused)
        law = schedule(optimizer, total=self.total_steps, warmup=warmup, power=recipe.power)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": law, "interval": "step"}}


class MeanSince:
    """A weighted mean of scalars since the last reset, without a synchronisation per step."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.total: Tensor | None = None
        self.weight = 0

    def add(self, value: Tensor, weight: int) -> None:
        """Take in one scalar."""
        value = value.double() * weight
        self.total = value if self.total is None else self.total + value
        self.weight += weight

    def mean(self) -> float:
        """Return the mean, nan when nothing was added."""
        return float(self.total) / self.weight if self.total is not None else float("nan")
