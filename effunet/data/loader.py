"""Datasets in, batches of tensors out, each a function of (seed, position); speaks Lightning."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NotRequired, Protocol, TypedDict, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Int64, UInt8
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from effunet.data.augment import Augment
from effunet.data.faults import Fault, Patience, Skipped, may_be_skipped, skip_limit
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


class _Read(TypedDict):
    """A batch on its way from a worker, with what was skipped for it: index and line."""

    batch: NotRequired[Batch]  # absent when every image of it is skipped
    faults: list[tuple[int, str]]


GRACE = 5
"""Seconds that a worker goes on after a SIGTERM, which is also how a program ends its last ones."""

Item = tuple[np.ndarray, np.ndarray, int]
Items = tuple[Item | None, list[Fault]]
"""A sample, or none in its place, and the faults met on the way to it."""


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
        skip: bool = False,
        notify: Callable[[str], None] = print,
    ):
        """Batch sizes are per process; `val_batch_size` above 1 needs images of one size.

        `start_method` of the workers is fork, spawn or forkserver; None leaves it to Python.
        With `skip`, an unreadable training image is replaced by the next one of the dataset, an
        unreadable validation image is left out; `skipped_train` and `skipped_val` count them, and
        `notify` takes a line for each. Otherwise the first one ends the iteration.
        """
        super().__init__()
        self.train = train
        self.val = val
        self.augment = augment
        self.batch_size = batch_size
        self.val_batch_size = val_batch_size
        self.seed = seed
        self.skip = skip
        self.skipped_train = Skipped("training", len(train), notify)
        self.skipped_val = Skipped("validation", len(val), notify)
        self._options: dict[str, Any] = {
            "num_workers": num_workers,
            "persistent_workers": num_workers > 0,
            "multiprocessing_context": start_method if num_workers > 0 else None,
            "worker_init_fn": _start_worker,
            "collate_fn": _collate,
        }

    def batches_per_epoch(self, processes: int) -> int:
        """Steps that see each training image once, but for what is left of the last batch."""
        return self._train_batches(0, processes).per_epoch

    def train_dataloader(self) -> "Loader":
        """Augmented crops without end, going on from the trainer's step whenever iterated."""
        return Loader(
            _Augmented(self.train, self.augment, self.seed, self.skip),
            batch_sampler=self._train_batches(*self._process()),
            pin_memory=self._on_cuda(),
            skipped=self.skipped_train,
            first_step=self._batches_done,
            batches_a_step=self.trainer.accumulate_grad_batches if self.trainer else 1,
            **self._options,
        )

    def val_dataloader(self) -> "Loader":
        """Whole images with their labels as they are, every image once over all processes."""
        batches = EveryOnce(len(self.val), self.val_batch_size, *self._process())
        return Loader(
            _Whole(self.val, self.skip),
            batch_sampler=batches,
            pin_memory=self._on_cuda(),
            skipped=self.skipped_val,
            **self._options,
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
    """A DataLoader that raises a worker's fault as it was raised there, and counts skipped images.

    torch re-raises with the worker's traceback as the message; a user's fault is one line.
    """

    def __init__(
        self,
        dataset: "_Augmented | _Whole",
        *,
        skipped: Skipped,
        first_step: Callable[[], int] | None = None,
        batches_a_step: int = 1,
        **options: Any,
    ):
        """Count into `skipped`; `first_step` numbers the first batch, None outside of steps."""
        super().__init__(dataset, **options)
        self.skipped = skipped
        self.batches_a_step = batches_a_step
        self.first_step = first_step

    def __iter__(self) -> Iterator[Batch]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The batches; raises the EffunetError that reading one of them met."""
        step = self.first_step() if self.first_step is not None else None
        return self._batches(super().__iter__(), step)

    def _batches(self, reads: Iterator[Any], step: int | None) -> Iterator[Batch]:
        for read in reads:
            if isinstance(read, Fault):
                raise self._placed(read, step)
            if isinstance(read, EffunetError):
                raise read
            for index, line in read["faults"]:
                self.skipped.add(index, line)
            if "batch" in read:
                yield read["batch"]
            step = step + 1 if step is not None else None

    def _placed(self, fault: Fault, step: int | None) -> EffunetError:
        """Return the error with the place of the image, still of its own kind."""
        error = fault.error
        place = f"{self.skipped.kind} image {fault.index}"
        place += f", step {step // self.batches_a_step}" if step is not None else ""
        error.args = (f"{error} ({place})", *error.args[1:])
        return error

    def state_dict(self) -> dict[str, Any]:
        """Nothing: batches are a function of the step. That it exists tells Lightning so."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""


class _Augmented(TorchDataset[Items | Fault]):
    def __init__(self, pairs: Pairs, augment: Augment, seed: int, skip: bool):
        self.pairs, self.augment, self.seed, self.skip = pairs, augment, seed, skip
        self.patience = Patience()

    def __getitem__(self, at: tuple[int, int]) -> Items | Fault:
        epoch, index = at
        faults: list[Fault] = []
        read = _read(self.pairs, index, self.patience)
        # The next one by its index, whichever process asks: all of them agree on it.
        while isinstance(read, Fault):
            if not (self.skip and may_be_skipped(read.error)):
                return read
            faults.append(read)
            if len(faults) > skip_limit(len(self.pairs)):
                return None, faults  # which are too many to go on
            read = _read(self.pairs, (read.index + 1) % len(self.pairs), self.patience)
        image, mask, index = read
        return (*self.augment(image, mask, sample_seed(self.seed, epoch, index)), index), faults


class _Whole(TorchDataset[Items | Fault]):
    def __init__(self, pairs: Pairs, skip: bool):
        self.pairs, self.skip = pairs, skip
        self.patience = Patience()

    def __getitem__(self, index: int) -> Items | Fault:
        read = _read(self.pairs, index, self.patience)
        if not isinstance(read, Fault):
            return read, []
        return (None, [read]) if self.skip and may_be_skipped(read.error) else read


def _read(pairs: Pairs, index: int, patience: Patience) -> Item | Fault:
    pair = patience(pairs.__getitem__, index)
    return pair if isinstance(pair, Fault) else (pair.image, pair.mask, index)


def _collate(reads: Sequence[Items | Fault]) -> _Read | EffunetError | Fault:
    items: list[Item] = []
    faults: list[tuple[int, str]] = []
    for read in reads:
        if isinstance(read, Fault):
            return read
        item, met = read
        items += [item] if item is not None else []
        faults += [(fault.index, str(fault.error)) for fault in met]
    if not items:
        return {"faults": faults}
    images, masks, indices = zip(*items, strict=True)
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        return UsageError(
            f"a batch needs images of one size and number of channels, got {shapes[0]} and "
            f"{shapes[-1]}: set a crop for training, val_batch_size=1 for validation"
        )
    batch: Batch = {
        "image": torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),
        "mask": torch.from_numpy(np.stack(masks)),
        "index": torch.tensor(indices, dtype=torch.int64),
    }
    return {"batch": batch, "faults": faults}


def _start_worker(_: int) -> None:
    """Workers are the parallelism: more threads than cores only wait for one another.

    A signal to the whole group, as a terminal or `timeout` sends it, is the training's to answer,
    which still needs its workers for the step that it finishes. So they leave the group, and where
    each process is signalled by itself they serve on for GRACE seconds.
    """
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):
        os.setpgrp()
        # Whose default is to end the process.
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))
