"""Datasets in, batches of tensors out, each a function of (seed, position); speaks Lightning."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypedDict, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Int64, UInt8
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from effunet.data.augment import Augment
from effunet.data.sampling import EveryOnce, TrainBatches, sample_seed
from effunet.errors import DataError, EffunetError, UsageError


@runtime_checkable
class Pair(Protocol):
    """What a dataset gives for one index: effunet.data.dataset.Sample."""

    @property
    def image(self) -> np.ndarray:
        """uint8 H W C."""
        ...

    @property
    def mask(self) -> np.ndarray:
        """uint8 H W of class indices and IGNORE."""
        ...


@runtime_checkable
class Pairs(Protocol):
    """A dataset as this file needs it: effunet.data.dataset.Dataset is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Pair: ...


class Batch(TypedDict):
    """What every step gets."""

    image: UInt8[Tensor, "B C H W"]  # in channels_last memory: rows of pixels, as images are read
    mask: UInt8[Tensor, "B H W"]
    index: Int64[Tensor, " B"]  # in the dataset


Item = tuple[np.ndarray, np.ndarray, int]


class SegmentationData(LightningDataModule):
    """The training and validation batches of a run, sharded over Lightning's processes.

    The Trainer must not replace our samplers: Trainer(use_distributed_sampler=False).
    """

    def __init__(
        self,
        train: Pairs,
        val: Pairs,
        augment: Augment,
        *,
        batch_size: int,
        seed: int,
        num_workers: int = 0,
        val_batch_size: int = 1,
        start_method: str | None = None,
    ):
        """Batch sizes are per process; `val_batch_size` above 1 needs images of one size.

        `start_method` of the workers is fork, spawn or forkserver; None leaves it to Python.
        """
        super().__init__()
        self.train = train
        self.val = val
        self.augment = augment
        self.batch_size = batch_size
        self.val_batch_size = val_batch_size
        self.seed = seed
        self._options: dict[str, Any] = {
            "num_workers": num_workers,
            "persistent_workers": num_workers > 0,
            "multiprocessing_context": start_method if num_workers > 0 else None,
            "worker_init_fn": _one_thread,
            "collate_fn": _collate,
        }

    def batches_per_epoch(self, processes: int) -> int:
        """Steps that see each training image once, but for what is left of the last batch."""
        return self._train_batches(0, processes).per_epoch

    def train_dataloader(self) -> "Loader":
        """Augmented crops without end, going on from the trainer's step whenever iterated."""
        return Loader(
            _Augmented(self.train, self.augment, self.seed),
            batch_sampler=self._train_batches(*self._process()),
            pin_memory=self._on_cuda(),
            **self._options,
        )

    def val_dataloader(self) -> "Loader":
        """Whole images with their labels as they are, every image once over all processes."""
        batches = EveryOnce(len(self.val), self.val_batch_size, *self._process())
        return Loader(
            _Whole(self.val), batch_sampler=batches, pin_memory=self._on_cuda(), **self._options
        )

    def _train_batches(self, rank: int, processes: int) -> TrainBatches:
        if len(self.train) < processes:
            raise DataError(
                f"{processes} processes need at least one training image each, "
                f"got {len(self.train)}: lower devices"
            )
        return TrainBatches(
            len(self.train), self.batch_size, self.seed, rank, processes, self._batches_done
        )

    def _batches_done(self) -> int:
        """From optimizer steps: Lightning's own batch counters are one behind after a resume."""
        if self.trainer is None:
            return 0
        return self.trainer.global_step * self.trainer.accumulate_grad_batches

    def _process(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _on_cuda(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"


class Loader(DataLoader[Any]):
    """A DataLoader that raises a worker's fault as it was raised there.

    torch re-raises with the worker's traceback as the message; a user's fault is one line.
    """

    def __iter__(self) -> Iterator[Batch]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The batches; raises the EffunetError that reading one of them met."""
        return _raise_faults(super().__iter__())

    def state_dict(self) -> dict[str, Any]:
        """Nothing: batches are a function of the step. That it exists tells Lightning so."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""


class _Augmented(TorchDataset[Item | EffunetError]):
    def __init__(self, pairs: Pairs, augment: Augment, seed: int):
        self.pairs, self.augment, self.seed = pairs, augment, seed

    def __getitem__(self, at: tuple[int, int]) -> Item | EffunetError:
        epoch, index = at
        item = _read(self.pairs, index)
        if isinstance(item, EffunetError):
            return item
        image, mask, _ = item
        return *self.augment(image, mask, sample_seed(self.seed, epoch, index)), index


class _Whole(TorchDataset[Item | EffunetError]):
    def __init__(self, pairs: Pairs):
        self.pairs = pairs

    def __getitem__(self, index: int) -> Item | EffunetError:
        return _read(self.pairs, index)


def _read(pairs: Pairs, index: int) -> Item | EffunetError:
    try:
        pair = pairs[index]
    except EffunetError as fault:
        return fault
    return pair.image, pair.mask, index


def _collate(items: Sequence[Item | EffunetError]) -> Batch | EffunetError:
    for item in items:
        if isinstance(item, EffunetError):
            return item
    images, masks, indices = zip(*items, strict=True)
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        return UsageError(
            f"a batch needs images of one size and number of channels, got {shapes[0]} and "
            f"{shapes[-1]}: set a crop for training, val_batch_size=1 for validation"
        )
    return {
        "image": torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),
        "mask": torch.from_numpy(np.stack(masks)),
        "index": torch.tensor(indices, dtype=torch.int64),
    }


def _raise_faults(batches: Iterator[Batch | EffunetError]) -> Iterator[Batch]:
    for batch in batches:
        if isinstance(batch, EffunetError):
            raise batch
        yield batch


def _one_thread(_: int) -> None:
    """Workers are the parallelism: more threads than cores only wait for one another."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
