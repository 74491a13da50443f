"""Which images make the n-th batch, and with which augmentation: pure functions of the seed.

Nothing random is carried from batch to batch, so there is nothing to save and nothing to restore:
a training resumed at batch n goes on with exactly the batches that it would have seen.
"""

from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
from torch.utils.data import Sampler

from effunet.data.loading.epochs import Draw, Epochs


def sample_seed(seed: int, epoch: int, index: int, time: int = 0) -> int:
    """Seed of one augmentation: 64 well mixed bits of (seed, epoch, index, time)."""
    words = [seed, epoch, index, time] if time else [seed, epoch, index]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


class TrainBatches(Sampler[list[Draw]]):
    """The endless stream of a training's batches, each a list of samples to draw.

    In an epoch each image comes at most once, in a new order, unless `epochs` has weights or aims:
    then an epoch has as many samples, of which some show the same image, each time with another
    augmentation, and some images do not come. Every process takes its share
    rank::world of each global batch, so all have equally many batches of equal size. What is left
    over after an epoch's last whole batch is dropped, other images each time: every step has the
    same size, and BatchNorm never meets a batch of one left over. A dataset smaller than one batch
    gives one batch an epoch, of what there is.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        start: Callable[[], int] = lambda: 0,
        epochs: Epochs | None = None,
    ):
        """Sample `size` images, `batch_size` per process; iterate from batch number `start()`."""
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 <= rank < world <= size:
            raise ValueError(
                f"rank {rank} of {world} processes needs an image each, got {size} images"
            )
        self.size = size
        self.batch_size = min(batch_size, size // world)
        self.seed = seed
        self.rank = rank
        self.world = world
        self.start = start
        self.epochs = epochs or Epochs()
        self.per_epoch = size // (self.batch_size * world)

    def epoch(self, epoch: int) -> list[list[Draw]]:
        """All batches of this process in one epoch."""
        share = self.batch_size * self.world
        draws = self.epochs.draws(self.seed, epoch, self.size, self.per_epoch * share)
        return [
            draws[first : first + share][self.rank :: self.world]
            for first in range(0, len(draws), share)
        ]

    def __iter__(self) -> Iterator[list[Draw]]:
        """The batches from `start()` on, without end: the trainer counts the steps."""
        first, done = divmod(self.start(), self.per_epoch)
        for epoch in count(first):
            yield from self.epoch(epoch)[done:]
            done = 0


class EveryOnce(Sampler[list[int]]):
    """Batches that hold every image once over all processes, in order, without padding.

    Lightning's own sampler repeats images until all processes have equally many, which counts them
    twice in the score; here a process may have one batch less than another, or none.
    """

    def __init__(self, size: int, batch_size: int = 1, rank: int = 0, world: int = 1):
        """Share `size` images out as rank::world."""
        self.indices = range(size)[rank::world]
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Batches of this process."""
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of indices."""
        for first in range(0, len(self.indices), self.batch_size):
            yield list(self.indices[first : first + self.batch_size])
