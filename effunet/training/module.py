"""The LightningModule: one training step, one validation step, the optimiser; no network detail.

Every random draw on the device (drop_path) is a function of (seed, step, batch of the step, rank),
so that a resumed training draws what an uninterrupted one would have drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from effunet import processes
from effunet.metrics.tally import Tally
from effunet.model.deciding import most_probable
from effunet.model.inference import Latest
from effunet.model.kinds import Network
from effunet.training.config.schema import Config
from effunet.training.recipe.finite import FiniteGuard
from effunet.training.recipe.freeze import Freeze
from effunet.training.recipe.optim import build_optimizer
from effunet.training.recipe.schedule import schedule

Batch = dict[str, Any]
"""`image` uint8 B C H W, `mask` uint8 B H W of class indices and IGNORE, `index` int64 B."""


class Training(pl.LightningModule):
    """What a network learns from a batch, and what is measured on the validation split."""

    def __init__(
        self,
        network: Network,
        loss: nn.Module,
        config: Config,
        total_steps: int,
        tally: Callable[[], Tally],
    ) -> None:
        """Hold a network and its loss; `config` gives the recipe over `total_steps` steps.

        `tally` makes an empty tally of the validation split.
        """
        super().__init__()
        self.network = network
        self.loss = loss
        self.config = config
        self.total_steps = total_steps
        self.new_tally = tally
        self.tally = tally()
        self.train_loss = MeanSince()
        self.val_loss = MeanSince()
        encoder, recipe = config.encoder, config.optim
        self.freezing = Freeze.of_shares(encoder.freeze, encoder.freeze_norms, total_steps)
        # What the last step does not train, none does: optimizer and DDP never see it.
        self.freezing.apply(network.encoder, total_steps - 1)
        self.guard = FiniteGuard(
            network,
            config.max_nonfinite,
            recipe.clip,
            f"lower optim.lr (now {recipe.lr}) or set optim.clip=1.0",
        )
        self._latest = Latest()
        self._batch = 0  # of the present step; more than one where gradients are accumulated
        self._losses: list[Tensor] = []
        self._learning: tuple[bool, bool] | None = None  # what freezing last set; None: unknown
        # Not a submodule: it shares the network's weights, which would be saved twice.
        self._forward = [torch.compile(network) if config.compile else network]

    def on_train_start(self) -> None:
        """Hold on to the recipe: a resumed optimizer brings its old one, which may be changed."""
        (optimizer,) = self.trainer.optimizers
        (law,) = self.trainer.lr_scheduler_configs
        scheduler = law.scheduler
        assert isinstance(scheduler, LambdaLR)
        scheduler.base_lrs = [group["lr"] for group in self._recipe]
        pairs = zip(optimizer.param_groups, self._recipe, scheduler.lr_lambdas, strict=True)
        for group, recipe, factor in pairs:
            rate = recipe["lr"]
            group.update(recipe, initial_lr=rate, lr=rate * factor(scheduler.last_epoch))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the device's draws of this batch, and set what learns at this step."""
        if self._batch == 0:
            learning = self.freezing.at(self.global_step)
            # Walking over all modules takes a tenth of a step on a fast device.
            if learning != self._learning or not self.network.training:
                self.network.train()
                self.freezing.apply(self.network.encoder, self.global_step)
                self._learning = learning
            self.guard.begin()
        numbers = [self.config.seed, self.global_step, self._batch, self.global_rank]
        words = np.random.SeedSequence(numbers)
        torch.manual_seed(int(words.generate_state(1, np.uint64)[0]))
        self._batch += 1

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        image = batch["image"] if self.config.channels_last else batch["image"].contiguous()
        loss = self.loss(self._forward[0](image), batch["mask"])
        self._losses.append(loss.detach())
        self.guard.see(loss, batch["index"])
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradient, or leave the step out where it is not finite.

        Raises:
            DivergedError: for too many steps in a row.
        """
        if self.guard.passes(self.global_step):
            for loss in self._losses:
                self.train_loss.add(loss, 1)
        self._losses.clear()
        self._batch = 0

    def on_validation_epoch_start(self) -> None:
        """Start counting from nothing."""
        self._learning = None  # a validation and its pictures leave other modes behind
        self.tally = self.new_tally()
        self.val_loss.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count one batch of whole images into the tally."""
        self.count(self._latest.strips(self.network, batch["image"]), batch)

    def count(self, strips: Iterable[Tensor], batch: Batch) -> None:
        """Count the logits of a validation batch, strips from top to bottom of all its images."""
        parts = [part.to(self.device) for part in strips]
        loss = self.loss(torch.cat(parts, 2), batch["mask"]).detach()
        # Of the probabilities, strip by strip, as the segmenter decides: they may be equal where
        # logits are not, and softmax rounds by the shape of what it is given.
        decided = [most_probable(part.softmax(1)) for part in parts]
        predicted, confidence = (torch.cat(strips, 1) for strips in zip(*decided, strict=True))
        arrays = batch["mask"], predicted, confidence.float()
        images = zip(*(array.cpu().numpy() for array in arrays), strict=True)
        for index, image in zip(batch["index"].tolist(), images, strict=True):
            self.tally.add(index, *image)
        # Last: what lacks memory before is counted anew.
        self.val_loss.add(loss, len(predicted))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimizer with a learning rate that is a pure function of the step."""
        recipe = self.config.optim
        scaled = self._trainer is not None and self._trainer.precision == "16-mixed"
        optimizer = build_optimizer(self.network, recipe, fused=not scaled)
        own = ("lr", "weight_decay", "momentum", "nesterov")
        self._recipe = [
            {name: group[name] for name in own if name in group} for group in optimizer.param_groups
        ]
        law = schedule(optimizer, recipe, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": law, "interval": "step"}}

    def counters(self) -> dict[str, Any]:
        """Return what was counted since the last validation, as plain values."""
        return {"train_loss": self.train_loss.state_dict(), "guard": self.guard.state_dict()}

    def take_up(self, counters: dict[str, Any]) -> None:
        """Go on counting where the run that is resumed was."""
        self.train_loss.load_state_dict(counters["train_loss"])
        self.guard.load_state_dict(counters["guard"])


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
        if self.total is None or not self.weight:
            return float("nan")
        return float(self.total) / self.weight

    def sum_over_processes(self) -> None:
        """Take in what the other processes have; called by all of them."""
        if processes.world() > 1:
            both = self._share()
            dist.all_reduce(both)
            self.total, self.weight = both[0], int(both[1])

    def state_dict(self) -> dict[str, list[list[float]]]:
        """Return sum and weight of each process, as plain values; called by all of them."""
        own = self._share()
        if processes.world() == 1:
            return {"shares": [own.tolist()]}
        shares = [torch.empty_like(own) for _ in range(processes.world())]
        dist.all_gather(shares, own)
        return {"shares": [share.tolist() for share in shares]}

    def load_state_dict(self, state: dict[str, list[list[float]]]) -> None:
        """Take up a mean that was saved: this process's share, so that sums add up as before."""
        shares = state["shares"]
        if len(shares) != processes.world():  # the first of another number of processes takes all
            shares = [[sum(parts) for parts in zip(*shares, strict=True)]]
        total, weight = shares[processes.rank()] if processes.rank() < len(shares) else (0.0, 0)
        self.weight = int(weight)
        self.total = torch.tensor(total, dtype=torch.float64) if self.weight else None

    def _share(self) -> Tensor:
        """Return sum and weight where a collective of all processes takes them."""
        total = float(self.total) if self.total is not None else 0.0
        device = "cuda" if processes.world() > 1 and dist.get_backend() == "nccl" else "cpu"
        return torch.tensor([total, self.weight], dtype=torch.float64, device=device)
