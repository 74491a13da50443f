"""What a check has found is remembered outside the folder, and only while nothing has changed."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dataset_trees import plain_folder, random_image, stripes, tree_digest, write_png

from effunet.data import memory
from effunet.data.catalog import open_dataset
from effunet.data.check import survey as surveys
from effunet.data.check.preflight import check, examine, require
from effunet.data.check.remembered import keep
from effunet.data.check.statistics import SplitStatistics, split_statistics
from effunet.data.check.surveyed import memory_of
from effunet.data.dataset import Dataset
from effunet.data.sources.folder import FileDataset

DESCRIPTION = "classes: [a, b, c]\nignore: [255]\n"

_opened: list[str] = []
_watching = False


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event == "open":
        _opened.append(str(arguments[0]))


sys.addaudithook(_watch)


@contextmanager
def opens(root: Path) -> Iterator[list[str]]:
    """Every image and mask below root that the process opens meanwhile."""
    global _watching
    _opened.clear()
    _watching = True
    seen: list[str] = []
    try:
        yield seen
    finally:
        _watching = False
        seen += [name for name in _opened if name.startswith(str(root)) and "yaml" not in name]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test alone, which takes files that were written a moment ago."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(memory, "SETTLED", 0)
    return tmp_path / "cache" / "effunet" / "checks"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = plain_folder(tmp_path / "mine")
    (folder / "dataset.yaml").write_text(DESCRIPTION)
    return folder


def both(root: Path) -> list[Dataset]:
    return [open_dataset(root, split, paired=False) for split in ("train", "val")]


def test_an_unchanged_dataset_is_not_read_again(root: Path):
    with opens(root) as first:
        told = require(*both(root))
    assert len(first) >= 2 * (4 + 2)
    with opens(root) as again:
        assert require(*both(root)) == told == []
    assert again == []


def test_findings_are_remembered_as_they_were(root: Path):
    write_png(root / "train/masks/train_001.png", stripes((0, 200)))
    (root / "train/masks/train_002.png").unlink()
    (root / "val/images/val_000.png").write_bytes(b"no image")
    (root / "val/images/val_001.png").write_bytes(
        (root / "train/images/train_000.png").read_bytes()
    )
    found = examine(*both(root)).findings
    assert {f.kind for f in found} == {"pairing", "unknown_values", "unreadable", "shared_images"}
    with opens(root) as again:
        assert examine(*both(root)).findings == found
    assert again == []


def _touch(root: Path) -> None:
    os.utime(root / "train/masks/train_000.png")


def _same_size_and_time(root: Path) -> None:
    file = root / "train/masks/train_000.png"
    state, content = file.stat(), bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def _add(root: Path) -> None:
    write_png(root / "train/images/new.png", random_image(5))
    write_png(root / "train/masks/new.png", stripes((0, 1, 2)))


def _remove(root: Path) -> None:
    for kind in ("images", "masks"):
        (root / "train" / kind / "train_003.png").unlink()


def _rename(root: Path) -> None:
    for kind in ("images", "masks"):
        file = root / "train" / kind / "train_003.png"
        file.rename(file.with_name("other.png"))


def _describe(root: Path) -> None:
    (root / "dataset.yaml").write_text(DESCRIPTION.replace("255", "254"))


@pytest.mark.parametrize("change", [_touch, _same_size_and_time, _add, _remove, _rename, _describe])
def test_each_kind_of_change_is_read_again(root: Path, change: Callable[[Path], None]):
    require(*both(root))
    change(root)
    with opens(root) as again:
        examine(*both(root))
    assert any("train/masks" in name for name in again)
    with opens(root) as third:
        examine(*both(root))
    assert third == []


def test_a_change_in_one_split_leaves_the_other_alone(root: Path):
    require(*both(root))
    _touch(root)
    with opens(root) as again:
        require(*both(root))
    assert not any("/val/masks" in name for name in again)


def test_a_comment_or_a_move_of_the_description_changes_nothing(root: Path):
    require(*both(root))
    (root / "dataset.yaml").write_text("# mine\n" + DESCRIPTION)
    with opens(root) as again:
        require(*both(root))
    assert again == []


def test_a_sample_does_not_stand_for_the_whole(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(surveys, "READ_PAIRS", 3)
    train = open_dataset(root, "train")
    assert check(train)[0].kind == "sampled"
    assert check(train, everything=True) == []
    with opens(root) as again:
        assert check(train) == []  # the whole stands for a sample
    assert again == []


def test_other_code_or_other_limits_read_again(root: Path, monkeypatch: pytest.MonkeyPatch):
    train = open_dataset(root, "train")
    check(train)
    monkeypatch.setattr(surveys, "READ_PIXELS", 10**9)
    with opens(root) as again:
        check(train)
    assert again
    monkeypatch.setattr(memory, "_code", lambda: "of tomorrow")
    with opens(root) as again:
        check(train)
    assert again


def test_statistics_are_those_of_the_check_and_read_nothing(root: Path):
    train = open_dataset(root, "train")
    alone = split_statistics(train)
    (root / "dataset.yaml").write_text(DESCRIPTION + "title: Mine\n")
    train = open_dataset(root, "train")
    check(train)
    with opens(root) as again:
        assert split_statistics(train) == alone
    assert again == []


def test_statistics_of_a_sample_are_remembered_by_limit_and_seed(root: Path):
    train = open_dataset(root, "train")
    sampled = split_statistics(train, limit=2, seed=3)
    with opens(root) as again:
        assert split_statistics(train, limit=2, seed=3) == sampled
    assert again == []
    with opens(root) as other:
        split_statistics(train, limit=2, seed=4)
    assert other
    assert SplitStatistics.from_plain(json.loads(json.dumps(sampled.to_plain()))) == sampled


@pytest.mark.parametrize(
    "spoil", [lambda b: b"", lambda b: b[:-1], lambda b: b[:-1] + b"]", lambda b: b"[1]" + b]
)
def test_a_damaged_entry_counts_for_nothing(
    root: Path, cache: Path, spoil: Callable[[bytes], bytes]
):
    require(*both(root))
    for entry in cache.iterdir():
        entry.write_bytes(spoil(entry.read_bytes()))
    with opens(root) as again:
        assert require(*both(root)) == []
    assert again


def test_an_entry_of_another_shape_counts_for_nothing(root: Path):
    for dataset in both(root):
        assert isinstance(dataset, FileDataset)
        keep(memory_of(dataset), "survey", {"pairs": "many", "other": []})
    with opens(root) as again:
        assert require(*both(root)) == []
    assert again


def test_without_a_cache_the_check_is_the_same(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert require(*both(root)) == []
    with opens(root) as again:
        assert require(*both(root)) == []
    assert again


def test_nothing_is_remembered_below_the_images(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / ".cache"))
    before = tree_digest(root)
    require(*both(root))
    assert tree_digest(root) == before


def test_files_that_may_still_change_within_a_tick_are_not_remembered(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "SETTLED", 3600 * 10**9)
    require(*both(root))
    assert not cache.exists()


def test_the_oldest_entries_go_first(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "ENTRIES", 2)
    require(*both(root))
    assert len(list(cache.iterdir())) == 2
