"""The whole validation split through the network, every image once over all processes.

Driven here and not by Lightning's loop: it then starts where the step says, also in a training that
is resumed in its middle, and ends early when a signal comes. In float32, whatever the precision of
the training is: as the segmenter will be used, so that metrics.json is what `evaluate` says.
"""

from __future__ import annotations

import copy

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor, nn

from effunet import processes
from effunet.data.loading.loader import Loader, SegmentationData
from effunet.model.inference import Latest
from effunet.training.module import Batch, Training
from effunet.training.stop import Stop


class Validation:
    """Validates a module on the val split of its data, as often as it is called."""

    def __init__(self, data: SegmentationData, stop: Stop) -> None:
        """Read from `data`; look at `stop` between two images."""
        self.data = data
        self.stop = stop
        self._loader: Loader | None = None
        self._spare: nn.Module | None = None
        self._latest = Latest()

    @torch.no_grad()
    def run(self, trainer: pl.Trainer, module: Training) -> bool:
        """Count every image into the module's tally and validation loss.

        Returns:
            Whether it came to its end; False when a signal cut it short.
        """
        # One loader for all validations: its workers, and what they have read, stay.
        self._loader = self._loader or self.data.val_dataloader()
        network = module.network
        _equal_on_all(network)
        training = network.training
        network.eval()
        module.on_validation_epoch_start()
        try:
            # As many rounds on each process, of which some get no image in the last one.
            batches = iter(self._loader)
            for number in range(-(-len(self.data.val) // trainer.world_size)):
                if self.stop.agreed():
                    return False
                batch = next(batches, None)
                if batch is None:
                    continue
                self._step(module, trainer.strategy.batch_to_device(batch), number)
        finally:
            network.train(training)
            self._spare = None
        module.val_loss.sum_over_processes()
        return True

    def _step(self, module: Training, batch: Batch, number: int) -> None:
        """Count one batch; where the device's memory is too small for it, on the CPU.

        Not in tiles: the squeeze-and-excitation gates see the whole image, so that tiles give
        another number, and only in the validations that met a full memory.
        """
        try:
            module.validation_step(batch, number)
            return
        except torch.OutOfMemoryError:
            pass  # handled outside, where the exception holds no activations any more
        if self._spare is None:
            torch.cuda.empty_cache()  # what the training step has left
            self._spare = copy.deepcopy(module.network).cpu()
            height, width = batch["image"].shape[-2:]
            print(
                f"notice    the device's memory is too small to validate {height} x {width} pixels:"
                " done on the CPU, with the same result; a smaller batch_size frees memory",
                flush=True,
            )
        cpu = {name: value.cpu() for name, value in batch.items() if isinstance(value, Tensor)}
        module.count(self._latest.strips(self._spare, cpu["image"]), batch)


def _equal_on_all(network: nn.Module) -> None:
    """Give every process the first one's running statistics, which each has gathered by itself."""
    if processes.world() > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)
