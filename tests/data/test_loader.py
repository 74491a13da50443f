import pickle
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given
from hypothesis import strategies as st

from effunet.data.augment import Augment
from effunet.data.loader import SegmentationData
from effunet.data.sampling import EveryOnce, TrainBatches, sample_seed
from effunet.errors import DataError, UsageError
from effunet.labels import UnknownValues


@dataclass(frozen=True)
class Sample:
    image: np.ndarray
    mask: np.ndarray
    name: str


class Pictures:
    """A dataset in memory; every image has its own size when `sizes` is a range."""

    def __init__(self, count=10, height=24, width=32, grow=0):
        self.count, self.height, self.width, self.grow = count, height, width, grow

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        draw = np.random.default_rng(index)
        size = (self.height + self.grow * index, self.width)
        return Sample(
            draw.integers(0, 256, (*size, 3), dtype=np.uint8),
            draw.integers(0, 4, size, dtype=np.uint8),
            f"picture {index}",
        )


class Broken(Pictures):
    def __getitem__(self, index):
        if index == 3:
            raise UnknownValues("masks/3.png: value 200 in 17 pixels", {200: 17})
        return super().__getitem__(index)


def data(train=None, val=None, preset="street", crop=(16, 16), **changes):
    options = {"batch_size": 4, "seed": 7} | changes
    return SegmentationData(
        train or Pictures(), val or Pictures(), Augment(preset, crop), **options
    )


def first(module, count):
    return list(islice(iter(module.train_dataloader()), count))


def equal(one, other):
    return all(torch.equal(one[key], other[key]) for key in ("image", "mask", "index"))


# --- which images make a batch ------------------------------------------------------------------

sizes = st.integers(1, 60)
worlds = st.integers(1, 5)


@given(size=sizes, batch_size=st.integers(1, 70), seed=st.integers(0, 2**31), n=st.integers(0, 99))
def test_the_stream_from_batch_n_is_the_rest_of_the_stream(size, batch_size, seed, n):
    whole = TrainBatches(size, batch_size, seed)
    rest = TrainBatches(size, batch_size, seed, start=lambda: n)
    assert list(islice(rest, 20)) == list(islice(whole, n, n + 20))


@given(size=sizes, batch_size=st.integers(1, 9), world=worlds, epoch=st.integers(0, 3))
def test_processes_share_an_epoch_without_overlap_in_equally_many_equal_batches(
    size, batch_size, world, epoch
):
    world = min(world, size)
    shares = [TrainBatches(size, batch_size, 1, rank, world) for rank in range(world)]
    epochs = [share.epoch(epoch) for share in shares]
    assert len({len(batches) for batches in epochs}) == 1
    assert {len(batch) for batches in epochs for batch in batches} == {shares[0].batch_size}
    seen = [pair for batches in epochs for batch in batches for pair in batch]
    assert len(seen) == len(set(seen)) and {at for at, _ in seen} == {epoch}
    # Only what does not fill a last global batch is left out.
    assert size - len(seen) < shares[0].batch_size * world


def test_two_processes_train_on_the_global_batches_of_one():
    one = TrainBatches(23, 8, seed=5).epoch(2)
    two = [TrainBatches(23, 4, seed=5, rank=rank, world=2).epoch(2) for rank in range(2)]
    assert [set(batch) for batch in one] == [{*a, *b} for a, b in zip(*two, strict=True)]


def test_epochs_have_orders_of_their_own_and_leave_out_other_images():
    batches = TrainBatches(9, 4, seed=0)
    orders = [tuple(i for batch in batches.epoch(e) for _, i in batch) for e in range(20)]
    assert len(set(orders)) == 20
    assert set(chain(*orders)) == set(range(9))
    left_out = {(set(range(9)) - set(order)).pop() for order in orders}
    assert len(left_out) > 4


def test_another_seed_gives_another_order():
    assert TrainBatches(50, 4, seed=0).epoch(0) != TrainBatches(50, 4, seed=1).epoch(0)


def test_a_dataset_smaller_than_a_batch_gives_one_batch_of_what_there_is():
    batches = TrainBatches(3, 8, seed=0)
    assert batches.per_epoch == 1
    assert [sorted(i for _, i in batch) for batch in islice(batches, 4)] == [[0, 1, 2]] * 4
    assert data(train=Pictures(3), batch_size=8).batches_per_epoch(1) == 1
    assert first(data(train=Pictures(3), batch_size=8), 1)[0]["image"].shape[0] == 3


def test_more_processes_than_images_are_refused_in_one_line():
    with pytest.raises(DataError, match="4 processes need at least one training image each, got 3"):
        data(train=Pictures(3)).batches_per_epoch(4)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        data(batch_size=0).batches_per_epoch(1)
    with pytest.raises(ValueError, match="rank 2 of 2"):
        TrainBatches(9, 4, 0, rank=2, world=2)


@given(size=st.integers(0, 40), batch_size=st.integers(1, 7), world=worlds)
def test_every_image_is_measured_once_over_all_processes(size, batch_size, world):
    shares = [EveryOnce(size, batch_size, rank, world) for rank in range(world)]
    assert sorted(chain(*chain(*shares))) == list(range(size))
    for share in shares:
        assert len(share) == len(list(share))
        assert all(1 <= len(batch) <= batch_size for batch in share)


def test_sample_seeds_are_distinct_in_all_three_arguments():
    seeds = {sample_seed(s, e, i) for s in range(10) for e in range(10) for i in range(10)}
    assert len(seeds) == 1000


# --- batches ------------------------------------------------------------------------------------


def test_a_batch_is_bytes_in_channels_last_memory_with_the_indices_of_its_images():
    (batch,) = first(data(preset="none", crop=None), 1)
    assert set(batch) == {"image", "mask", "index"}
    assert batch["image"].shape == (4, 3, 24, 32) and batch["image"].dtype == torch.uint8
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)
    assert batch["mask"].shape == (4, 24, 32) and batch["mask"].dtype == torch.uint8
    assert batch["index"].dtype == torch.int64
    for image, mask, index in zip(*batch.values(), strict=True):
        sample = Pictures()[int(index)]
        assert np.array_equal(image.permute(1, 2, 0), sample.image)
        assert np.array_equal(mask, sample.mask)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(workers):
    alone, helped = first(data(), 7), first(data(num_workers=workers), 7)
    assert all(equal(a, b) for a, b in zip(alone, helped, strict=True))
    assert helped[0]["image"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.long  # the worker imports everything anew
def test_a_spawned_worker_draws_the_same_batches():
    alone, spawned = first(data(), 3), first(data(num_workers=1, start_method="spawn"), 3)
    assert all(equal(a, b) for a, b in zip(alone, spawned, strict=True))


def test_what_a_worker_gets_can_be_pickled():
    module = data()
    for loader in (module.train_dataloader(), module.val_dataloader()):
        parts = (loader.dataset, loader.collate_fn, loader.worker_init_fn)
        dataset, collate, start = pickle.loads(pickle.dumps(parts))
        assert type(dataset) is type(loader.dataset)
        assert (collate, start) == (loader.collate_fn, loader.worker_init_fn)


def test_samples_differ_between_epochs_workers_and_images():
    module = data(train=Pictures(8), num_workers=2)
    crops = [bytes(crop.numpy()) for batch in first(module, 16) for crop in batch["image"]]
    assert len(crops) == 64 and len(set(crops)) > 0.95 * 64


def test_a_seed_gives_the_same_batches_and_another_seed_others():
    assert all(equal(a, b) for a, b in zip(first(data(), 5), first(data(), 5), strict=True))
    assert not any(
        equal(a, b) for a, b in zip(first(data(), 5), first(data(seed=8), 5), strict=True)
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_validation_sees_every_image_once_whole_and_its_labels_untouched(workers):
    pictures = Pictures(5, grow=3)
    loader = data(val=pictures, num_workers=workers).val_dataloader()
    for _ in range(2):  # persistent workers give the same again
        batches = list(loader)
        assert [int(batch["index"]) for batch in batches] == [0, 1, 2, 3, 4]
        for index, batch in enumerate(batches):
            assert np.array_equal(batch["mask"][0], pictures[index].mask)
            assert np.array_equal(batch["image"][0].permute(1, 2, 0), pictures[index].image)
    assert len(loader) == 5


def test_images_of_one_size_can_be_validated_in_batches():
    batches = list(data(val_batch_size=4).val_dataloader())
    assert [batch["index"].tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_different_sizes_in_one_batch_are_refused_in_one_line():
    with pytest.raises(UsageError, match="set a crop for training, val_batch_size=1") as fault:
        list(data(val=Pictures(4, grow=1), val_batch_size=2).val_dataloader())
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fault_in_a_worker_stays_one_line_of_its_own_kind(workers):
    module = data(train=Broken(4), val=Broken(4), num_workers=workers)
    for loader in (module.train_dataloader(), module.val_dataloader()):
        with pytest.raises(UnknownValues) as fault:
            list(islice(loader, 5))
        assert str(fault.value) == "masks/3.png: value 200 in 17 pixels"
        assert fault.value.counts == {200: 17}


# --- under Lightning ----------------------------------------------------------------------------


class Record(pl.LightningModule):
    """Learns a little, and notes what it was given."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 1, 1)
        self.seen = []
        self.measured = []

    def training_step(self, batch, _):
        self.seen.append((batch["index"].tolist(), int(batch["image"].sum())))
        return self.layer(batch["image"] / 255).square().mean()

    def validation_step(self, batch, _):
        self.measured += batch["index"].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Killed(Exception):
    pass


class KillAt(pl.Callback):
    """Save and die right after an optimizer step."""

    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, module, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            raise Killed


def fit(folder, resume=None, workers=0, gather=1, kill_at=None):
    """Train for 7 optimizer steps of `gather` batches, 2 steps an epoch, as one Lightning epoch."""
    torch.manual_seed(0)
    module = Record()
    trainer = pl.Trainer(
        max_steps=7,
        max_epochs=1,
        check_val_every_n_epoch=None,
        val_check_interval=2 * gather,
        accumulate_grad_batches=gather,
        callbacks=[KillAt(kill_at, folder / "last.ckpt")],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )
    with nullcontext() if kill_at is None else pytest.raises(Killed):
        trainer.fit(module, data(num_workers=workers), ckpt_path=resume, weights_only=True)
    return module


# Lightning's advice, and Lightning's own use of what torch has deprecated.
quiet = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec.* is deprecated"
)


@quiet
@pytest.mark.parametrize("gather", [1, 3])
def test_a_resumed_training_gets_the_batches_it_would_have_seen(tmp_path, gather):
    whole = fit(tmp_path, gather=gather)
    assert len(whole.seen) == 7 * gather
    for step in (1, 2, 3, 4, 6):  # in an epoch, at its end, in the next one
        before = fit(tmp_path, gather=gather, kill_at=step)
        after = fit(tmp_path, gather=gather, resume=tmp_path / "last.ckpt")
        assert before.seen == whole.seen[: step * gather]
        assert after.seen == whole.seen[step * gather :]
        assert torch.equal(after.layer.weight, whole.layer.weight)


@quiet
def test_a_training_sees_the_same_for_any_number_of_workers_and_measures_all_images(tmp_path):
    alone, helped = fit(tmp_path), fit(tmp_path, workers=2)
    assert alone.seen == helped.seen
    assert torch.equal(alone.layer.weight, helped.layer.weight)
    assert alone.measured == helped.measured == [*range(10)] * 3
