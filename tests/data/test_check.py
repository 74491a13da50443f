"""The preflight finds every fault before the first step, and says how to mend it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import camvid_tree, plain_folder, random_image, stripes, tree_digest, write_png
from PIL import Image

from effunet.data.check import survey as surveys
from effunet.data.check.findings import Finding
from effunet.data.check.preflight import check, require
from effunet.data.check.twins import shared_images
from effunet.data.dataset import Dataset, open_dataset
from effunet.errors import DataError

DESCRIPTION = "classes: [a, b, c]\nignore: [255]\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A described folder of 4 + 2 faultless pairs."""
    folder = plain_folder(tmp_path / "mine")
    (folder / "dataset.yaml").write_text(DESCRIPTION)
    return folder


def opened(root: Path, split: str = "train") -> Dataset:
    return open_dataset(root, split, paired=False)


def test_a_faultless_dataset_has_no_findings(root: Path) -> None:
    assert require(opened(root), opened(root, "val")) == []


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def as_jpeg(root: Path) -> None:
    (root / "train/images/train_001.png").unlink()
    Image.fromarray(random_image(0, (32, 48))).save(root / "train/images/train_001.jpg")


def cut_jpeg(root: Path) -> None:
    as_jpeg(root)
    cut(root / "train/images/train_001.jpg")


FAULTS: dict[str, Callable[[Path], object]] = {
    "1 image without a mask": lambda root: (root / "train/masks/train_001.png").unlink(),
    "1 mask without an image": lambda root: (root / "train/images/train_001.png").unlink(),
    "1 name shared": lambda root: write_png(root / "train/images/TRAIN_001.png", random_image(9)),
    "is damaged": cut_jpeg,
    "end of the PNG is missing": lambda root: cut(root / "train/masks/train_001.png"),
    "0 bytes": lambda root: (root / "train/images/train_001.png").write_bytes(b""),
    "it starts with b'hello'": lambda root: (root / "train/masks/train_001.png").write_text(
        "hello"
    ),
    "is 32 x 48 (height x width)": lambda root: write_png(
        root / "train/masks/train_001.png", stripes((0, 1, 2), size=(32, 49))
    ),
    "200 (512 px)": lambda root: write_png(
        root / "train/masks/train_001.png", stripes((0, 1, 200))
    ),
    "mode RGB": lambda root: write_png(root / "train/masks/train_001.png", random_image(0)),
}


@pytest.mark.parametrize("told", FAULTS)
def test_every_fault_is_one_line_that_names_the_file(root: Path, told: str) -> None:
    FAULTS[told](root)
    with pytest.raises(DataError) as caught:
        require(opened(root), opened(root, "val"))
    line = str(caught.value).splitlines()[0]
    assert told in line and "rain_001" in line.replace("RAIN", "rain")


def assert_says_what_was_read(findings: list[Finding], told: str, read: str) -> None:
    """A pair whose headers make it suspect is read whole, and then nothing was left out."""
    notes = [finding for finding in findings if finding.kind == "sampled"]
    if told in ("200 (512 px)", "mode RGB"):
        assert notes[0].level == "note" and f"4 pairs by their headers, {read}" in notes[0].line
    else:
        assert notes == []


@pytest.mark.parametrize("told", [t for t in FAULTS if "without" not in t and "shared" not in t])
def test_a_large_split_shows_each_fault_though_few_of_its_images_are_read(
    root: Path, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "READ_PAIRS", 3)
    FAULTS[told](root)
    findings = check(opened(root), seed=2)  # which draws all pairs but the one at fault
    assert_says_what_was_read(findings, told, "4 masks and 3 images whole")
    assert any(told in finding.line for finding in findings)


@pytest.mark.parametrize("told", [t for t in FAULTS if "without" not in t and "shared" not in t])
def test_a_huge_split_is_read_by_headers_and_a_sample_and_suspects_are_read_whole(
    root: Path, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "READ_PAIRS", 3)
    monkeypatch.setattr(surveys, "MASK_PIXELS", 0)
    FAULTS[told](root)
    findings = check(opened(root), seed=2)  # which draws all pairs but the one at fault
    assert_says_what_was_read(findings, told, "3 masks and 3 images whole")
    # A value or colour is no matter of headers: only those two can be overlooked.
    found = any(told in finding.line for finding in findings)
    assert found == (told not in ("200 (512 px)", "mode RGB"))
    assert any(told in finding.line for finding in check(opened(root), everything=True))


def test_unknown_values_give_one_line_with_all_that_must_be_written(root: Path) -> None:
    write_png(root / "train/masks/train_001.png", stripes((0, 200)))
    write_png(root / "train/masks/train_002.png", stripes((0, 201)))
    (finding,) = check(opened(root))
    assert "train_001.png: the mask holds 200 (768 px)" in finding.line
    assert "`ignore: [200, 201]`" in finding.line
    assert f"in {root / 'dataset.yaml'}" in finding.line and "1 more mask" in finding.line


def test_several_faults_are_told_and_counted_in_one_line(root: Path) -> None:
    for index in range(3):
        cut(root / f"train/images/train_{index:03d}.png")
    with pytest.raises(DataError) as caught:
        require(opened(root))
    line = str(caught.value)
    assert "2 more faults" in line and "\n" not in line
    assert all(f"train_{index:03d}.png" in line for index in range(3))


def test_a_split_whose_every_pixel_is_ignored_is_a_fault(root: Path) -> None:
    for mask in (root / "val/masks").iterdir():
        write_png(mask, np.full((32, 48), 255, np.uint8))
    with pytest.raises(DataError, match=r"split val: .*every pixel is ignored.*dataset.yaml"):
        require(opened(root), opened(root, "val"))


def test_255_meant_as_foreground_but_ignored_is_a_fault(root: Path) -> None:
    (root / "dataset.yaml").write_text("classes: [background, foreground]\nignore: [255]\n")
    for mask in (root / "train/masks").iterdir():
        write_png(mask, stripes((0, 255)))
    with pytest.raises(DataError, match=r"no pixel of foreground \(3072 px are ignored\)"):
        require(opened(root))


def test_an_absent_class_is_worth_showing_and_no_fault(root: Path) -> None:
    (root / "dataset.yaml").write_text("classes: [a, b, c, unicorn]\n")
    (line,) = require(opened(root))
    assert "no pixel of unicorn" in line and "n/a" in line
    with pytest.raises(DataError, match="unicorn"):
        require(opened(root), strict=True)


def test_an_image_in_two_splits_is_found_by_its_bytes(root: Path) -> None:
    train, val = root / "train/images/train_002.png", root / "val/images/val_001.png"
    val.write_bytes(train.read_bytes())
    (finding,) = shared_images(opened(root), opened(root, "val"))
    assert f"{train} = {val}" in finding.line and not finding.fatal
    assert require(opened(root), opened(root, "val")) == [finding.line]


def test_images_without_any_mask_are_a_fault_and_no_crash(root: Path) -> None:
    for mask in (root / "train/masks").iterdir():
        mask.unlink()
    (finding,) = check(opened(root))
    assert "4 images without a mask" in finding.line


def test_what_is_made_in_memory_has_no_findings() -> None:
    assert check(open_dataset("synthetic", "val")) == []


def test_progress_ends_at_the_number_of_pairs(root: Path) -> None:
    seen: list[tuple[int, int]] = []
    check(opened(root), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_sample_of_a_huge_split_depends_on_the_seed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "READ_PAIRS", 3)
    monkeypatch.setattr(surveys, "MASK_PIXELS", 0)
    dataset = open_dataset("camvid", "train", camvid_tree(tmp_path, {"train": 12}))
    for index in range(12):
        mask = dataset.mask_path(index)
        assert mask is not None
        write_png(mask, stripes((0, 100 + index)))

    def unknown(seed: int) -> list[Finding]:
        return [finding for finding in check(dataset, seed=seed) if finding.fatal]

    assert unknown(1) == unknown(1)
    assert len({finding.line for seed in range(5) for finding in unknown(seed)}) > 1


def test_checking_writes_nothing_into_the_folder(root: Path) -> None:
    before = tree_digest(root)
    require(opened(root), opened(root, "val"))
    assert tree_digest(root) == before
