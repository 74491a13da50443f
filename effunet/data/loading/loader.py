"""Batches of a training and a validation, each a function of (seed, position); speaks Lightning."""

from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from effunet.data.augment.augment import Augment
from effunet.data.loading.batches import Augmented, Batch, Pairs, Whole, collate, start_worker
from effunet.data.loading.epochs import Epochs
from effunet.data.loading.faults import Fault, Skipped
from effunet.data.loading.sampling import EveryOnce, TrainBatches
from effunet.errors import DataError, EffunetError


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
        epochs: Epochs | None = None,
    ):
        """Batch sizes are per process; `val_batch_size` above 1 needs images of one size.

        `epochs` says how an epoch's samples are drawn and mixed; None: each image once, unmixed.
        `start_method` of the workers is fork, spawn or forkserver; None leaves it to Python.
        With `skip`, an unreadable training image is replaced by the next one of the dataset, an
        unreadable validation image is left out; `skipped_train` and `skipped_val` count them, and
        `notify` takes a line for each. Otherwise the first one ends the iteration.
        """
        super().__init__()
        self.epochs = epochs or Epochs()
        if (self.epochs.mix or self.epochs.copy_paste) and augment.crop is None:
            raise ValueError("samples are mixed in one size: give the augmentation a crop")
        # Weak, for a loader knows this module: in a cycle of garbage torch can no longer tell the
        # workers of a loader to end, and waits five seconds for each of them.
        self._loaders: WeakSet[Loader] = WeakSet()
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
            "worker_init_fn": start_worker,
            "collate_fn": collate,
        }

    def batches_per_epoch(self, processes: int) -> int:
        """Steps that see each training image once, but for what is left of the last batch."""
        return self._train_batches(0, processes).per_epoch

    def train_dataloader(self) -> "Loader":
        """Augmented crops without end, going on from the trainer's step whenever iterated."""
        return self._kept(
            Augmented(self.train, self.augment, self.seed, self.skip, self.epochs.mix),
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
        return self._kept(
            Whole(self.val, self.skip),
            batch_sampler=batches,
            pin_memory=self._on_cuda(),
            skipped=self.skipped_val,
            **self._options,
        )

    def close(self) -> None:
        """End the workers of all loaders."""
        for loader in self._loaders:
            loader.close()
        self._loaders.clear()

    def _kept(self, dataset: "Augmented | Whole", **options: Any) -> "Loader":
        loader = Loader(dataset, **options)
        self._loaders.add(loader)
        return loader

    def _train_batches(self, rank: int, processes: int) -> TrainBatches:
        if len(self.train) < processes:
            raise DataError(
                f"{processes} processes need at least one training image each, "
                f"got {len(self.train)}: lower devices"
            )
        return TrainBatches(
            len(self.train),
            self.batch_size,
            self.seed,
            rank,
            processes,
            self._batches_done,
            self.epochs,
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
        dataset: Augmented | Whole,
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

    def close(self) -> None:
        """End the workers that wait for the next epoch.

        Left to the end of the program, each of a CUDA training's workers is waited for by itself,
        for five seconds, and then killed with a traceback.
        """
        if self._iterator is not None:
            self._iterator._shutdown_workers()  # pyright: ignore # torch has no public word for it
            self._iterator = None

    def state_dict(self) -> dict[str, Any]:
        """Nothing: batches are a function of the step. That it exists tells Lightning so."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""
