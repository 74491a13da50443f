import errno
import json
import pickle
import re
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from dataset_trees import plain_folder
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import draw_no_curves, state, train

from effunet.data.augment.augment import Augment
from effunet.data.loading import faults
from effunet.data.loading.loader import SegmentationData
from effunet.data.loading.sampling import EveryOnce, TrainBatches, sample_seed
from effunet.errors import DataError, ResourceError, UsageError
from effunet.training.output.progress import Watch
from effunet.values import UnknownValues


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
    assert len(seen) == len(set(seen)) and {draw.epoch for draw in seen} == {epoch}
    # Only what does not fill a last global batch is left out.
    assert size - len(seen) < shares[0].batch_size * world


def test_two_processes_train_on_the_global_batches_of_one():
    one = TrainBatches(23, 8, seed=5).epoch(2)
    two = [TrainBatches(23, 4, seed=5, rank=rank, world=2).epoch(2) for rank in range(2)]
    assert [set(batch) for batch in one] == [{*a, *b} for a, b in zip(*two, strict=True)]


def test_epochs_have_orders_of_their_own_and_leave_out_other_images():
    batches = TrainBatches(9, 4, seed=0)
    orders = [tuple(draw.image for batch in batches.epoch(e) for draw in batch) for e in range(20)]
    assert len(set(orders)) == 20
    assert set(chain(*orders)) == set(range(9))
    left_out = {(set(range(9)) - set(order)).pop() for order in orders}
    assert len(left_out) > 4


def test_another_seed_gives_another_order():
    assert TrainBatches(50, 4, seed=0).epoch(0) != TrainBatches(50, 4, seed=1).epoch(0)


def test_a_dataset_smaller_than_a_batch_gives_one_batch_of_what_there_is():
    batches = TrainBatches(3, 8, seed=0)
    assert batches.per_epoch == 1
    assert [sorted(draw.image for draw in batch) for batch in islice(batches, 4)] == [[0, 1, 2]] * 4
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
    places = ("training image 3, step 0", "validation image 3")
    for loader, place in zip(
        (module.train_dataloader(), module.val_dataloader()), places, strict=True
    ):
        with pytest.raises(UnknownValues) as fault:
            list(islice(loader, 5))
        assert str(fault.value) == f"masks/3.png: value 200 in 17 pixels ({place})"
        assert fault.value.counts == {200: 17}


# --- samples that cannot be read ----------------------------------------------------------------


class Flaky(Pictures):
    """Image 3 cannot be read the first `times` times, for a reason of the system."""

    def __init__(self, count, times, error):
        super().__init__(count)
        self.times, self.error, self.reads = times, error, 0

    def __getitem__(self, index):
        if index == 3:
            self.reads += 1
            if self.reads <= self.times:
                raise self.error
        return super().__getitem__(index)


def test_closing_ends_the_workers_and_loaders_can_be_asked_for_anew():
    module = data(num_workers=2)
    batches = [iter(module.train_dataloader()), iter(module.val_dataloader())]
    first_batch = next(batches[0])
    workers = [worker for loader in module._loaders for worker in loader._iterator._workers]
    assert len(workers) == 4 and all(worker.is_alive() for worker in workers)
    module.close()
    assert not any(worker.is_alive() for worker in workers)
    assert equal(first_batch, next(iter(module.train_dataloader())))
    module.close()


@pytest.fixture
def pauses(monkeypatch):
    slept = []
    monkeypatch.setattr(faults.time, "sleep", slept.append)
    return slept


def caused_by(error):
    told = DataError("3.png cannot be read")
    told.__context__ = error
    return told


@pytest.mark.parametrize("wrap", [lambda error: error, caused_by])
def test_a_share_that_is_away_for_a_moment_costs_a_pause_and_no_image(pauses, wrap):
    flaky = Flaky(5, 3, wrap(OSError(errno.ESTALE, "Stale file handle")))
    batches = list(data(val=flaky).val_dataloader())
    assert [int(batch["index"]) for batch in batches] == [0, 1, 2, 3, 4]
    assert [pause for pause in pauses if pause] == list(faults.PAUSES)
    assert sorted(faults.PAUSES) == list(faults.PAUSES)


@pytest.mark.parametrize(
    "error",
    [
        DataError("3.png is damaged"),
        caused_by(OSError("a decoder's own, without a number")),
        caused_by(PermissionError(errno.EACCES, "Permission denied")),
    ],
)
def test_what_waiting_cannot_mend_is_told_at_once(pauses, error):
    with pytest.raises(DataError):
        list(data(val=Flaky(5, 9, error)).val_dataloader())
    assert not any(pauses)


def test_an_image_that_is_given_up_costs_no_pause_in_later_epochs(pauses):
    flaky = Flaky(5, 99, OSError(errno.ENOENT, "No such file"))
    loader = data(val=flaky, skip=True, notify=lambda line: None).val_dataloader()
    list(loader)
    pauses.clear()
    assert [int(batch["index"]) for batch in loader] == [0, 1, 2, 4]
    assert not any(pauses)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_skipped_training_image_is_replaced_by_the_next_one_with_its_own_crop(workers):
    said = []
    broken = data(train=Broken(), skip=True, num_workers=workers, notify=said.append)
    batches, whole = first(broken, 9), first(data(), 9)
    assert all(set(batch) == {"image", "mask", "index"} for batch in batches)
    sampler = TrainBatches(10, 4, seed=7)
    asked = [(draw.epoch, draw.image) for batch in islice(sampler, 9) for draw in batch]
    assert 3 in {index for _, index in asked}
    got = [int(index) for batch in batches for index in batch["index"]]
    assert got == [4 if index == 3 else index for _, index in asked]
    crops = [crop for batch in batches for crop in batch["image"]]
    untouched = [crop for batch in whole for crop in batch["image"]]
    for (epoch, index), crop, other in zip(asked, crops, untouched, strict=True):
        if index != 3:
            assert torch.equal(crop, other)
            continue
        image, mask = Pictures()[4].image, Pictures()[4].mask
        cut, _ = Augment("street", (16, 16))(image, mask, sample_seed(7, epoch, 4))
        assert np.array_equal(crop.permute(1, 2, 0), cut)
    line = "masks/3.png: value 200 in 17 pixels"
    assert said == [f"notice    skipped: {line} (training image 3)"]
    assert broken.skipped_train.summary() == [f"1 image skipped: {line}"]
    assert broken.skipped_val.summary() == []


def test_skipping_goes_on_at_batch_n_as_it_would_have(monkeypatch):
    whole = first(data(train=Broken(), skip=True), 6)
    module = data(train=Broken(), skip=True)
    monkeypatch.setattr(module, "_batches_done", lambda: 3)
    assert all(equal(a, b) for a, b in zip(first(module, 3), whole[3:], strict=True))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_skipped_validation_image_is_left_out_and_an_empty_batch_dropped(workers, batch_size):
    module = data(val=Broken(5), skip=True, num_workers=workers, val_batch_size=batch_size)
    for _ in range(2):  # counted once
        batches = [batch["index"].tolist() for batch in module.val_dataloader()]
        assert batches == ([[0], [1], [2], [4]] if batch_size == 1 else [[0, 1], [2], [4]])
    assert len(module.skipped_val) == 1


class Holes(Pictures):
    def __getitem__(self, index):
        if index in (2, 3, 4):
            raise DataError(f"{index}.png is damaged")
        return super().__getitem__(index)


@pytest.mark.parametrize("workers", [0, 1])
def test_more_than_a_hundredth_is_no_accident_and_ends_the_run(workers):
    module = data(train=Holes(), val=Holes(), skip=True, num_workers=workers)
    for loader in (module.train_dataloader(), module.val_dataloader()):
        with pytest.raises(DataError, match=r"2 of 10 .* images .*skip allows 1: .*damaged"):
            list(islice(loader, 9))


def test_one_image_in_a_hundred_may_be_skipped_at_least_one_and_never_all():
    sizes = [1, 2, 99, 199, 200, 1000]
    assert [faults.skip_limit(size) for size in sizes] == [0, 1, 1, 1, 2, 10]


def test_a_lack_of_memory_and_our_own_bugs_are_not_skipped():
    class Bug(Pictures):
        def __getitem__(self, index):
            raise KeyError("a bug")

    class Full(Pictures):
        def __getitem__(self, index):
            raise ResourceError("not enough memory to open 3.png")

    for pictures, kind in ((Bug(), KeyError), (Full(), ResourceError)):
        with pytest.raises(kind):
            list(data(val=pictures, skip=True).val_dataloader())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(faults, "PAUSES", (0.0, 0.0, 0.0))
    draw_no_curves(monkeypatch)
    return plain_folder(tmp_path / "data")


def spoil_after(monkeypatch, validations, spoil):
    """Call `spoil` once that many validations are done and their checkpoint is written."""
    calls = []
    original = Watch.validated

    def both(self, *arguments):
        original(self, *arguments)
        calls.append(None)
        if len(calls) == validations:
            spoil()

    monkeypatch.setattr(Watch, "validated", both)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:40]), "no image of a known"),
        (lambda file: file.unlink(), "cannot be read: No such file"),
    ],
)
def test_a_file_that_breaks_after_the_scan_ends_the_run_with_3_and_its_checkpoint_is_whole(
    folder, monkeypatch, capsys, spoil, says
):
    image = folder / "train" / "images" / "train_002.png"
    spoil_after(monkeypatch, 1, lambda: spoil(image))
    assert train("data", "name=one") == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and str(Path("data", *image.parts[-3:])) in err and says in err, err
    assert re.search(r"\(training image 2, step [2345]\)", err)
    last = torch.load("runs/one/checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 2


def test_a_skipped_file_costs_one_line_and_gives_the_same_bits_with_any_number_of_workers(
    folder, monkeypatch, capsys
):
    for split, index in (("train", 2), ("val", 1)):
        (folder / split / "images" / f"{split}_00{index}.png").write_bytes(b"\x89PNG")
    states = []
    for workers in (0, 2):
        words = (f"name=w{workers}", f"num_workers={workers}", "dataset.on_error=skip")
        assert train("data", *words, "dataset.check=none") == 0
        out = capsys.readouterr().out
        ends = [line for line in out.splitlines() if line.startswith("1 image skipped: ")]
        assert [re.search(r"(\w+)\.png", line)[1] for line in ends] == ["train_002", "val_001"]
        states.append(state(Path("runs") / f"w{workers}"))
    assert states[0] == states[1]
    metrics = json.loads(Path("runs/w0/metrics.json").read_text())
    assert metrics["images"] == 1 and metrics["pixels"] == 32 * 48


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
