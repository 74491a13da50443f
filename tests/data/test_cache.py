"""dataset.cache: the same bytes as without it, made anew whenever their files have changed."""

import errno
import json
import os
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_trees import plain_folder, random_image, stripes, tree_digest, write_png
from PIL import Image
from tiny_training import draw_no_curves, state, train

from effunet.data.augment.augment import Augment
from effunet.data.catalog import open_dataset
from effunet.data.dataset import Dataset, Sample
from effunet.data.loading import cache as door
from effunet.data.loading import entries
from effunet.data.loading.cache import Cached
from effunet.data.loading.cache_folder import cached, unkept
from effunet.data.loading.entries import HEAD, Head, read_entry
from effunet.data.loading.loader import SegmentationData
from effunet.data.sources.folder import FileDataset
from effunet.data.sources.mixture import Mapped, Mixture
from effunet.data.subset import Middles, Subset
from effunet.errors import DataError, ResourceError, UsageError
from effunet.labels import IGNORE

YESTERDAY = 86_400 * 10**9


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return plain_folder(tmp_path / "mine")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The indices that a FileDataset has decoded, in order."""
    seen: list[int] = []
    original = FileDataset.__getitem__

    def spy(self: FileDataset, index: int) -> Sample:
        seen.append(index)
        return original(self, index)

    monkeypatch.setattr(FileDataset, "__getitem__", spy)
    return seen


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a test has just written count as old."""
    monkeypatch.setattr(door, "SETTLED", 0)


def open_cached(root: Path, split: str = "train", folder: str = "cache", **how: object) -> Cached:
    dataset = open_dataset(root, split, **how)  # pyright: ignore[reportArgumentType]
    (kept,) = cached([dataset], root.parent / folder)
    assert isinstance(kept, Cached)
    return kept


def same(one: Dataset, other: Dataset) -> bool:
    pairs = zip(one, other, strict=True)
    return all(
        np.array_equal(a.image, b.image) and np.array_equal(a.mask, b.mask) and a.name == b.name
        for a, b in pairs
    )


# --- the same bytes, decoded once -----------------------------------------------------------------


def test_kept_samples_are_equal_and_nothing_is_decoded_twice(root, decoded, settled):
    kept, plain = open_cached(root), open_dataset(root, "train")
    assert same(kept, plain)
    decoded.clear()
    assert same(kept, kept) and same(open_cached(root), kept)
    assert decoded == []
    assert kept.ids == plain.ids and kept.labels == plain.labels and kept.channels == 3
    assert kept.image_path(1) == plain.image_path(1) and kept.mask_path(1) == plain.mask_path(1)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_equal_with_and_without_a_cache(root, workers):
    def batches(train, val):
        module = SegmentationData(
            train, val, Augment("strong", (16, 24)), batch_size=2, seed=3, num_workers=workers
        )
        return [*islice(module.train_dataloader(), 7), *module.val_dataloader()]

    plain = [open_dataset(root, split) for split in ("train", "val")]
    for _ in range(2):  # while the cache fills, and from it
        kept = cached(plain, root.parent / "cache")
        for one, other in zip(batches(*plain), batches(*kept), strict=True):
            assert all(torch.equal(one[key], other[key]) for key in ("image", "mask", "index"))


def test_a_training_with_a_cache_is_bit_for_bit_the_one_without(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw_no_curves(monkeypatch)
    before = tree_digest(root)
    states = []
    for name, words in {
        "a": (),
        "b": ("dataset.cache=kept",),
        "c": ("dataset.cache=kept",),
    }.items():
        assert train(root, f"name={name}", *words) == 0
        states.append(state(tmp_path / "runs" / name))
    assert states[0] == states[1] == states[2]
    assert len([*(tmp_path / "kept").rglob("*.raw")]) == 6
    assert tree_digest(root) == before


def test_a_cache_may_be_added_when_a_run_is_resumed(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw_no_curves(monkeypatch)
    assert train(root, "name=a", "max_steps=2") == 0
    assert train(root, "resume=runs/a", "max_steps=2", "dataset.cache=kept") == 0


def test_images_of_several_sizes_and_of_one_channel_are_kept(tmp_path, settled):
    root = tmp_path / "grey"
    for index, size in enumerate([(3, 5), (40, 7), (1, 1)]):
        write_png(root / f"train/images/{index}.png", random_image(index, size)[..., 0])
        write_png(root / f"train/masks/{index}.png", stripes((0, 1), size=size))
    (root / "dataset.yaml").write_text("channels: 1\nclasses: [a, b]\n")
    kept, plain = open_cached(root), open_dataset(root, "train")
    assert same(kept, plain) and same(kept, plain)
    assert kept[1].image.shape == (40, 7, 1)


def test_what_is_kept_cannot_be_changed_by_who_reads_it(root):
    kept = open_cached(root)
    _ = kept[0]
    for part in (kept[0].image, kept[0].mask):
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 0


def test_a_cached_dataset_travels_to_other_processes(root, decoded, settled):
    kept = open_cached(root)
    list(kept)
    there = pickle.loads(pickle.dumps(kept))
    decoded.clear()
    assert same(there, kept) and decoded == []


# --- what makes a sample anew ---------------------------------------------------------------------


def test_a_touched_file_is_recognised_by_its_contents(root, decoded, settled):
    kept = open_cached(root)
    list(kept)
    decoded.clear()
    os.utime(kept.image_path(2), ns=(0, YESTERDAY))
    os.utime(kept.mask_path(3), ns=(0, YESTERDAY))
    digests: list[Path] = []
    original = door._digest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door, "_digest", lambda path, s: digests.append(path) or original(path, s))
        list(kept)
        assert len(digests) == 4  # both files of both pairs, and once only
        list(kept)
    assert len(digests) == 4 and decoded == []


def change_image(kept: Cached) -> None:
    write_png(kept.image_path(1), random_image(77))


def change_mask(kept: Cached) -> None:
    write_png(kept.mask_path(1), stripes((2, 1, 0)))


@pytest.mark.parametrize("change", [change_image, change_mask])
def test_a_changed_file_is_decoded_anew_in_the_place_of_the_old_one(
    root, decoded, settled, change: Callable[[Cached], None]
):
    kept = open_cached(root)
    list(kept)
    decoded.clear()
    change(kept)
    assert same(kept, open_dataset(root, "train"))
    decoded.clear()
    assert same(kept, open_dataset(root, "train"))
    assert len([*kept.folder.iterdir()]) == 4


@pytest.mark.skipif(os.name != "posix", reason="Windows has no time of a file's change of facts")
def test_a_change_that_keeps_size_and_time_is_seen_by_the_time_of_its_facts(tmp_path, settled):
    root = tmp_path / "mine"
    for name, level in (("a", 10), ("b", 20)):
        image = root / f"train/images/{name}.bmp"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(image)
        write_png(root / f"train/masks/{name}.png", stripes((0, 1), size=(8, 8)))
    kept = open_cached(root)
    list(kept)
    image = kept.image_path(0)
    facts = image.stat()
    Image.fromarray(np.full((8, 8, 3), 99, np.uint8)).save(image)
    os.utime(image, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert image.stat().st_size == facts.st_size
    assert image.stat().st_mtime_ns == facts.st_mtime_ns
    assert (kept[0].image == 99).all()


def test_files_that_changed_a_moment_ago_are_known_by_their_contents_alone(root, monkeypatch):
    kept = open_cached(root)
    list(kept)
    entry = read_entry(kept.entry_file(0))
    assert entry is not None and entry.head.stamps is None
    now = door.time.time_ns()
    monkeypatch.setattr(door.time, "time_ns", lambda: now + 2 * door.SETTLED)
    _ = kept[0]
    entry = read_entry(kept.entry_file(0))
    assert entry is not None and entry.head.stamps is not None


@pytest.mark.parametrize(
    "text",
    [
        "classes: [a, {name: b, values: [1, 2]}]",
        "classes: [a, b, c]\nignore: [7]",
        "channels: 1\nclasses: [a, b, c]",
    ],
)
def test_other_labels_or_channels_are_other_samples(root, settled, decoded, text):
    (root / "dataset.yaml").write_text("classes: [a, b, c]\n")
    list(open_cached(root))
    (root / "dataset.yaml").write_text(text)
    decoded.clear()
    kept = open_cached(root)
    assert same(kept, open_dataset(root, "train"))
    assert len(decoded) == 8  # four of either


def test_a_word_in_a_title_makes_nothing_anew(root, settled, decoded, monkeypatch):
    (root / "dataset.yaml").write_text("classes: [a, b, c]\n")
    list(open_cached(root))
    (root / "dataset.yaml").write_text("title: Mine\nlicence: MIT\nclasses: [a, b, c]\n")
    decoded.clear()
    monkeypatch.chdir(root)
    list(open_cached(root))
    assert decoded == []


def test_annotations_that_changed_are_drawn_anew(tmp_path, settled):
    root = tmp_path / "mine"
    write_png(root / "train/a.png", random_image(0, (20, 30)))

    def draw(label: str) -> None:
        shape = {"label": label, "shape_type": "rectangle", "points": [[2, 2], [20, 12]]}
        text = json.dumps({"shapes": [shape], "imageWidth": 30, "imageHeight": 20})
        (root / "train/a.json").write_text(text)

    draw("car")
    (root / "dataset.yaml").write_text(
        "classes: [background, car, bus]\nsplits: {train: train}\n"
        'layouts: [{images: "{split}/*", shapes: "{split}/*.json", format: labelme}]\n'
    )
    kept = open_cached(root)
    assert (kept[0].mask == 1).any()
    assert (kept[0].mask == 1).any()
    draw("bus")
    assert (kept[0].mask == 2).any() and not (kept[0].mask == 1).any()


# --- damaged entries ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes()[:HEAD]),
        lambda file: file.write_bytes(file.read_bytes() + b"\0"),
        lambda file: file.write_bytes(b"\x89PNG" + file.read_bytes()),
        lambda file: file.write_bytes(b"0" * HEAD),
        lambda file: file.unlink(),
        lambda file: file.write_bytes(file.read_bytes().replace(b"[32, 48, 3]", b"[48, 32, 3]")),
    ],
)
def test_an_entry_that_is_cut_or_foreign_is_made_anew(root, settled, decoded, spoil):
    kept = open_cached(root)
    list(kept)
    spoil(kept.entry_file(1))
    decoded.clear()
    assert same(kept, open_dataset(root, "train"))
    decoded.clear()
    list(kept)
    assert decoded == []


def test_a_head_survives_its_own_text_and_nothing_else_does():
    head = Head("r", ("a", "b"), ((1, 2, 3), (4, 5, 6)), (7, 8, 3))
    assert Head.from_bytes(head.to_bytes()) == head and len(head.to_bytes()) == HEAD
    for place in range(0, len(head.to_bytes().rstrip())):
        broken = bytearray(head.to_bytes())
        broken[place] ^= 1
        assert Head.from_bytes(bytes(broken)) is None
    for text in ("[]", "{}", '{"format": "effunet-sample-1"}', '{"format": 3, "shape": "abc"}'):
        line = f"{entries.zlib.crc32(text.encode()):08x} {text}\n".encode()
        assert Head.from_bytes(line) is None


# --- several at once, and a full disk -------------------------------------------------------------


def test_threads_that_fill_one_folder_at_once_all_read_the_same(root, settled):
    kept, plain = [open_cached(root) for _ in range(4)], open_dataset(root, "train")
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda dataset: same(dataset, plain), kept * 5))
    assert {file.suffix for file in kept[0].folder.iterdir()} == {".raw"}


def test_a_disk_that_fills_up_costs_one_notice_and_no_image(root, monkeypatch):
    kept, said = open_cached(root), []
    kept.notify = said.append

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(door, "write_entry", full)
    assert same(kept, open_dataset(root, "train")) and same(kept, open_dataset(root, "train"))
    (line,) = said
    assert "No space left on device" in line and "decoded whenever" in line
    assert [*kept.folder.iterdir()] == []


def test_filling_stops_before_the_disk_is_full(root, monkeypatch):
    kept, said = open_cached(root), []
    kept.notify = said.append
    usage = shutil.disk_usage(root)._replace(free=door.RESERVE + 100)
    monkeypatch.setattr(door.shutil, "disk_usage", lambda _: usage)
    assert same(kept, open_dataset(root, "train"))
    assert "less than 1.0 GiB is free" in said[0] and [*kept.folder.iterdir()] == []


def test_too_little_space_is_told_before_the_first_step_and_not_asked_for_twice(root, monkeypatch):
    open_cached(root)
    sample = HEAD + 32 * 48 * 4
    usage = shutil.disk_usage(root)._replace(free=door.RESERVE + 4 * sample - 1)
    monkeypatch.setattr(door.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ResourceError, match=r"4 images that are not kept .* are free: free some"):
        open_cached(root)
    monkeypatch.undo()
    list(open_cached(root))
    monkeypatch.setattr(door.shutil, "disk_usage", lambda _: usage)
    list(open_cached(root))  # all there


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_made_is_one_line(root):
    root.parent.chmod(0o500)
    with pytest.raises(ResourceError, match="name another folder"):
        open_cached(root)


def test_a_file_in_the_place_of_the_folder_is_one_line(root, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot be used"):
        open_cached(root, folder="file")


def test_what_a_killed_process_left_is_removed_after_a_day(root):
    kept = open_cached(root)
    old, new = kept.folder / ".0.part", kept.folder / ".1.part"
    for part in (old, new):
        part.touch()
    os.utime(old, (0, 0))
    open_cached(root)
    assert not old.exists() and new.exists()


# --- where it may lie, and what it is for ---------------------------------------------------------


@pytest.mark.parametrize("folder", ["mine", "mine/cache", "mine/train/images/x", "link/cache", ""])
def test_a_cache_never_lies_in_the_data_folder_or_around_it(root, folder):
    (root.parent / "link").symlink_to(root)
    before = tree_digest(root)
    with pytest.raises(UsageError, match="name a folder elsewhere"):
        open_cached(root, folder=folder)
    assert tree_digest(root) == before


def test_a_missing_or_broken_file_is_told_as_without_a_cache(root, settled):
    kept = open_cached(root)
    list(kept)
    image = kept.image_path(0)
    image.write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match="no image of a known format"):
        _ = kept[0]
    image.unlink()
    with pytest.raises(DataError, match="No such file"):
        _ = kept[0]


def test_what_is_not_decoded_from_files_stays_as_it_is_and_is_named(root, tmp_path):
    made, whole = open_dataset("synthetic", "val"), open_dataset(root, "train")
    middles = Middles(whole, [0, 1], (16, 16))
    assert cached([made, middles], tmp_path / "cache") == [made, middles]
    assert unkept([made, middles, whole, Subset(whole, [0])]) == [
        "dataset.cache: synthetic is not decoded from files of its own, so that nothing of it is"
        " kept"
    ]


def test_every_part_of_a_mixture_is_kept_in_its_own_classes(root, decoded, settled):
    parts = [open_dataset(root, "train"), open_dataset("synthetic", "val")]
    labels, table = parts[0].labels, np.full(256, IGNORE, np.uint8)
    table[:3] = 2, 0, IGNORE
    mixture = Mixture([Mapped(parts[0], labels, table), Mapped(parts[1], labels, table)], [1, 3])
    (kept,) = cached([mixture], root.parent / "cache")
    some = range(5)  # four files, and a scene
    assert same(Subset(kept, some), Subset(mixture, some))
    decoded.clear()
    assert [sample.name for sample in Subset(kept, some)] == [mixture.ids[i] for i in some]
    assert decoded == [] and len([*root.parent.glob("cache/*/*.raw")]) == 4
    assert np.array_equal(kept.weights, mixture.weights) and kept.scored == mixture.scored
    assert len(unkept([mixture])) == len(unkept([Subset(mixture, some)])) == 1
    (few,) = cached([Subset(mixture, some)], root.parent / "cache")
    assert same(few, Subset(mixture, some)) and len(few) == 5


def test_a_part_of_a_dataset_shares_what_is_kept_of_the_whole(root, decoded, settled):
    list(open_cached(root))
    decoded.clear()
    (part,) = cached([Subset(open_dataset(root, "train"), [2, 0])], root.parent / "cache")
    assert [sample.name for sample in part] == ["train_002", "train_000"] and decoded == []


def test_a_part_of_a_part_is_kept_as_a_part_of_the_whole(root, decoded, settled):
    part = Subset(Subset(open_dataset(root, "train"), [2, 0, 1]), [0, 1])
    assert part.indices == (2, 0) and part.ids == ["train_002", "train_000"]
    assert unkept([part]) == []
    (kept,) = cached([part], root.parent / "cache")
    assert [sample.name for sample in kept] == part.ids and len(decoded) == 2
    decoded.clear()
    assert [sample.name for sample in kept] == part.ids and decoded == []
