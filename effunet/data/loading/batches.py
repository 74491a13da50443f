"""Places in a dataset in, batches of tensors out: what a worker of the loader does."""

import os
import signal
from collections.abc import Sequence
from typing import NotRequired, Protocol, TypedDict, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from effunet.data.augment.augment import Augment
from effunet.data.augment.mix import MIXES, paste
from effunet.data.augment.mix import Sample as Pixels
from effunet.data.loading.epochs import Draw
from effunet.data.loading.faults import Fault, Patience, may_be_skipped, skip_limit
from effunet.data.loading.sampling import sample_seed
from effunet.errors import EffunetError, UsageError


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


class Read(TypedDict):
    """A batch on its way from a worker, with what was skipped for it: index and line."""

    batch: NotRequired[Batch]  # absent when every image of it is skipped
    faults: list[tuple[int, str]]


GRACE = 5
"""Seconds that a worker goes on after a SIGTERM, which is also how a program ends its last ones."""

Item = tuple[np.ndarray, np.ndarray, int]
Items = tuple[Item | None, list[Fault]]
"""A sample, or none in its place, and the faults met on the way to it."""


class Augmented(TorchDataset[Items | Fault]):
    """Training samples by their draws: crops drawn by the seed of their place.

    With `skip`, the next readable sample stands in for one that cannot be read, with a crop that is
    aimed at nothing; and a sample goes without what it should be mixed with, if that is unreadable.
    """

    def __init__(
        self, pairs: Pairs, augment: Augment, seed: int, skip: bool, mix: str | None = None
    ):
        self.pairs, self.augment, self.seed, self.skip = pairs, augment, seed, skip
        self.mix = MIXES[mix] if mix is not None else None
        self.patience = Patience()

    def __getitem__(self, at: Draw) -> Items | Fault:
        faults: list[Fault] = []
        read = _read(self.pairs, at.image, self.patience)
        # The next one by its index, whichever process asks: all of them agree on it.
        while isinstance(read, Fault):
            if not (self.skip and may_be_skipped(read.error)):
                return read
            faults.append(read)
            if len(faults) > skip_limit(len(self.pairs)):
                return None, faults  # which are too many to go on
            read = _read(self.pairs, (read.index + 1) % len(self.pairs), self.patience)
        image, mask, index = read
        seed = sample_seed(self.seed, at.epoch, index, at.time)
        pixels = self.augment(image, mask, seed, at.pixel if index == at.image else None)
        mixed = self._mixed(pixels, at, seed, faults)
        return mixed if isinstance(mixed, Fault) else ((*mixed, index), faults)

    def _mixed(self, pixels: Pixels, at: Draw, seed: int, faults: list[Fault]) -> Pixels | Fault:
        """The sample with what the draw pastes into it and mixes it with; adds to `faults`."""
        if at.paste is None and at.mix is None:
            return pixels
        of_paste, of_mix = np.random.SeedSequence(seed).spawn(2)
        if at.paste is not None:
            other = self._other(at.paste.image, of_paste, at.paste.pixel, faults)
            if isinstance(other, Fault):
                return other
            if other is not None:
                pixels = paste(pixels, other, at.paste.label, np.random.default_rng(of_paste))
        if at.mix is not None:
            assert self.mix is not None
            other = self._other(at.mix, of_mix, None, faults)
            if isinstance(other, Fault):
                return other
            if other is not None:
                pixels = self.mix(pixels, other, np.random.default_rng(of_mix))
        return pixels

    def _other(
        self,
        index: int,
        seeds: np.random.SeedSequence,
        pixel: tuple[int, int] | None,
        faults: list[Fault],
    ) -> Pixels | Fault | None:
        """Another sample under an augmentation of its own; None where it is skipped."""
        read = _read(self.pairs, index, self.patience)
        if isinstance(read, Fault):
            if not (self.skip and may_be_skipped(read.error)):
                return read
            faults.append(read)
            return None
        image, mask, _ = read
        return self.augment(image, mask, int(seeds.generate_state(1, np.uint64)[0]), pixel)


class Whole(TorchDataset[Items | Fault]):
    """Validation samples by index, as they are; with `skip`, none that cannot be read."""

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


def collate(reads: Sequence[Items | Fault]) -> Read | EffunetError | Fault:
    """Stack samples; what went wrong travels as a value, for torch would rewrite an error."""
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


def start_worker(_: int) -> None:
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
