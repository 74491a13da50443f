"""The preflight finds every fault before the first step, and says how to mend it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import camvid_tree, plain_folder, random_image, stripes, tree_digest, write_png
from PIL import Image

from effunet.data.catalog import open_dataset, open_mixture
from effunet.data.check import survey as surveys
from effunet.data.check.findings import Finding
from effunet.data.check.preflight import check, examine, require
from effunet.data.check.twins import shared_images
from effunet.data.dataset import Dataset
from effunet.data.sources.folder import FileDataset
from effunet.errors import DataError
from effunet.pictures.palettes import png

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
    assert "no pixel of unicorn" in line and "add images" in line
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


def described(root: Path, text: str) -> Path:
    (root / "dataset.yaml").write_text(text)
    return root


def masks_of(root: Path, *values: int, split: str = "train") -> None:
    for index, mask in enumerate(sorted((root / split / "masks").iterdir())):
        write_png(mask, stripes(values, index))


def only(findings: list[Finding], kind: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.kind == kind]
    return finding


def test_unknown_values_are_counted_over_all_masks(root: Path) -> None:
    masks_of(root, 0, 1, 7)
    finding = only(check(opened(root)), "unknown_values")
    pixels = 4 * 32 * 48 // 3
    assert f"7 ({pixels} px in 4 masks)" in finding.what
    assert "`ignore: [7]`" in finding.mend and finding.split == "train"


def test_masks_that_count_from_one_get_the_lines_that_shift_them(root: Path) -> None:
    masks_of(root, 1, 2, 3)
    mend = only(check(opened(root)), "unknown_values").mend
    assert "count from 1" in mend
    assert "`values: [1]` for a and so on up to `values: [3]` for c" in mend


def test_a_zero_for_unlabelled_beside_classes_from_one_is_recognised(root: Path) -> None:
    masks_of(root, 0, 1, 2, 3)
    mend = only(check(opened(root)), "unknown_values").mend
    assert "where 0 means unlabelled, write `ignore: [0]` and `values: [1]` for a" in mend
    # The mend is a whole one.
    lines = "classes: [{name: a, values: [1]}, {name: b, values: [2]}, {name: c, values: [3]}]\n"
    assert check(opened(described(root, lines + "ignore: [0]\n"))) == []


def test_255_beside_a_map_of_0_and_1_is_the_foreground(root: Path) -> None:
    described(root, "classes: [background, sky]\n")
    masks_of(root, 0, 255)
    finding = only(check(opened(root)), "unknown_values")
    assert "255 is the foreground here: write `values: [255]` for sky" in finding.mend
    described(root, "classes: [background, {name: sky, values: [255]}]\n")
    assert check(opened(root)) == []


def test_masks_resized_with_interpolation_are_recognised_by_their_many_rare_values(
    root: Path,
) -> None:
    described(root, "classes: [{name: a, values: [0]}, {name: b, values: [200]}]\n")
    for index, mask in enumerate((root / "train/masks").iterdir()):
        small = Image.fromarray(stripes((0, 200), index, (5, 7)))
        small.resize((48, 32), Image.Resampling.BICUBIC).save(mask)
    finding = only(check(opened(root)), "unknown_values")
    assert "resized with interpolation" in finding.mend and "nearest neighbour" in finding.mend


def test_a_few_forgotten_ids_are_not_taken_for_interpolation(root: Path) -> None:
    masks_of(root, 0, 1, 2, 40, 50, 60)
    assert "`ignore: [40, 50, 60]`" in only(check(opened(root)), "unknown_values").mend


def test_a_class_0_that_never_occurs_beside_all_others_looks_shifted(root: Path) -> None:
    masks_of(root, 1, 2)
    finding = only(check(opened(root)), "shifted_values")
    assert finding.level == "warning" and "no pixel of a" in finding.what
    assert "where the masks count from 1" in finding.mend


def test_what_rest_ignores_is_told_and_counted(root: Path) -> None:
    described(root, "classes: [a, b, c]\nignore: [255]\nrest: ignore\n")
    masks_of(root, 0, 1, 2, 77)
    (finding,) = check(opened(root))
    assert (finding.kind, finding.level) == ("unlisted_values", "note")
    assert f"77 ({32 * 48} px in 4 masks)" in finding.what and "`rest: ignore`" in finding.mend


def test_255_as_a_class_among_several_is_worth_a_warning(root: Path) -> None:
    described(root, "classes: [a, b, {name: void, values: [255]}]\n")
    masks_of(root, 0, 1, 255)
    finding = only(check(opened(root)), "void_class")
    assert finding.level == "warning" and "void is learnt and scored" in finding.what
    assert "`ignore: [255]`" in finding.mend


def test_a_mask_that_lies_as_the_camera_did_is_told_by_the_orientation(root: Path) -> None:
    turned, exif = Image.fromarray(random_image(0)), Image.Exif()
    exif[274] = 6
    (root / "train/images/train_001.png").unlink()
    turned.save(root / "train/images/train_001.jpg", exif=exif)
    finding = only(check(opened(root)), "size_mismatch")
    assert "is 48 x 32" in finding.what and "EXIF orientation" in finding.mend
    write_png(root / "train/masks/train_001.png", stripes((0, 1, 2), size=(48, 32)))
    assert check(opened(root)) == []


def test_the_orientation_counts_where_an_image_is_not_decoded(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_a_mask_that_lies_as_the_camera_did_is_told_by_the_orientation(root)
    write_png(root / "train/masks/train_001.png", stripes((0, 1, 2)))
    monkeypatch.setattr(surveys, "READ_PAIRS", 3)
    assert "EXIF" in only(check(opened(root), seed=2), "size_mismatch").mend


def test_a_mask_in_a_lossy_format_is_a_kind_of_its_own(root: Path) -> None:
    mask = root / "train/masks/train_001.png"
    Image.fromarray(stripes((0, 1, 2))).save(mask.with_suffix(".jpg"))
    mask.unlink()
    finding = only(check(opened(root)), "lossy_mask")
    assert "JPEG" in finding.what and "save the masks as PNG" in finding.mend


@pytest.mark.parametrize("ending", [".bmp", ".webp", ".tif"])
def test_an_image_in_two_splits_is_found_by_its_pixels_in_whatever_format(
    root: Path, ending: str
) -> None:
    train, val = root / "train/images/train_002.png", root / "val/images/val_001.png"
    val.unlink()
    Image.open(train).save(val.with_suffix(ending), lossless=True)
    (line,) = require(opened(root), opened(root, "val"))
    assert f"{train} = {val.with_suffix(ending)}" in line
    with pytest.raises(DataError, match=r"stand in train too.*remove one of each"):
        require(opened(root), opened(root, "val"), strict=True)


def test_images_smaller_than_the_crop_are_told_with_a_crop_that_fits(root: Path) -> None:
    write_png(root / "train/images/train_003.png", random_image(7, (40, 100)))
    write_png(root / "train/masks/train_003.png", stripes((0, 1, 2), size=(40, 100)))
    (line,) = require(opened(root), opened(root, "val"), crop=(36, 64))
    assert "3 of 4 images are smaller than the crop of 36 x 64" in line
    assert "down to 32 x 48" in line and "dataset.crop=[32,32]" in line
    assert require(opened(root), opened(root, "val"), crop=(32, 48)) == []


def test_more_faults_than_are_kept_are_counted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveys, "FAULTS_KEPT", 1)
    for index in range(3):
        cut(root / f"train/images/train_{index:03d}.png")
    told, more = check(opened(root))
    assert "train_000" in told.line and "2 more files are at fault" in more.line


def test_more_unknown_values_than_are_kept_are_no_burden(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "VALUES_KEPT", 2)
    masks_of(root, 0, 40, 50, 60)
    assert ", and still others" in only(check(opened(root)), "unknown_values").what


def test_the_warning_of_a_class_that_is_absent_names_it_and_its_split(root: Path) -> None:
    masks_of(root, 0, 1, split="val")
    (finding,) = check(opened(root, "val"))
    assert (finding.kind, finding.level) == ("absent_class", "warning")
    assert finding.split == "val" and "no pixel of c" in finding.what


def test_what_a_survey_keeps_grows_by_less_than_200_bytes_a_pair(root: Path) -> None:
    survey = surveys.make_survey(many_pairs(root, 300))
    kept = survey.sizes.nbytes + survey.digests.nbytes
    assert survey.pairs == 300 and kept <= 200 * 300
    assert survey.pixels.sum() == 300 * 32 * 48


def many_pairs(root: Path, count: int) -> FileDataset:
    """A split of links to a few files, for a folder of any size costs the test no time."""
    for kind in ("images", "masks"):
        for index in range(4, count):
            source = root / f"train/{kind}/train_{index % 4:03d}.png"
            (root / f"train/{kind}/train_{index:03d}.png").hardlink_to(source)
    dataset = opened(root)
    assert isinstance(dataset, FileDataset)
    return dataset


def test_few_results_wait_however_large_the_split_is(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    ended: list[int] = []
    dataset = many_pairs(root, 300)
    read = dataset.read_image

    def read_image(index: int) -> np.ndarray:
        started.append(index)
        return read(index)

    monkeypatch.setattr(dataset, "read_image", read_image)

    def tell(done: int, total: int) -> None:
        ended.append(done)
        assert len(started) - done <= 64

    surveys.make_survey(dataset, progress=tell)
    assert ended[-1] == 300


def test_the_parts_of_a_mixture_are_checked_one_by_one_by_their_own_maps(
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        folder = plain_folder(tmp_path / name, splits={"train": 4, "val": 2})
        described(folder, DESCRIPTION)
    shifted = tmp_path / "two/val/images/val_000.png"
    write_png(shifted, random_image(77))
    masks_of(tmp_path / "two", 0, 1, 9)
    train, val = (
        open_mixture([str(tmp_path / name) for name in ("one", "two")], split, paired=False)
        for split in ("train", "val")
    )
    findings = examine(train, val).findings
    unknown = only(findings, "unknown_values")
    assert str(tmp_path / "two/dataset.yaml") in unknown.what
    # Both folders hold the same pictures: val of either stands in no train, but they are equal.
    assert [f for f in findings if f.kind == "shared_images"] == []
    (tmp_path / "one/train/images/train_000.png").write_bytes(shifted.read_bytes())
    shared = only(examine(train, val).findings, "shared_images")
    assert "1 of 2 images of two val stand in one train too" in shared.what


def test_rows_of_a_table_are_checked_like_files(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra effunet[huggingface]")
    datasets.disable_progress_bars()

    def encoded(pixels: np.ndarray) -> dict[str, object]:
        return {"bytes": png(Image.fromarray(pixels)), "path": None}

    def table(*rows: tuple[np.ndarray, np.ndarray]) -> object:
        features = datasets.Features({"image": datasets.Image(), "annotation": datasets.Image()})
        images, masks = zip(*rows, strict=True)
        plain = {"image": [*map(encoded, images)], "annotation": [*map(encoded, masks)]}
        return datasets.Dataset.from_dict(plain, features=features)

    sound, strange = stripes((0, 1, 2)), stripes((0, 1, 9))
    splits = {
        "train": table(*((random_image(i), strange if i == 1 else sound) for i in range(3))),
        "val": table((random_image(2), sound), (random_image(8)[:-1], sound)),
    }
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "scenes"))
    described(tmp_path, DESCRIPTION + "layouts: [{huggingface: scenes}]\n")
    findings = examine(opened(tmp_path), opened(tmp_path, "val")).findings
    assert "9 (512 px)" in only(findings, "unknown_values").what
    assert "row train-000001" in only(findings, "unknown_values").what
    assert "31 x 48" in only(findings, "unreadable").what
    assert "1 of 2 images of val" in only(findings, "shared_images").what


def test_lossy_masks_pass_where_the_map_takes_nearest_values(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "mine", values=(0, 255))
    for file in sorted(root.rglob("masks/*.png")):
        Image.open(file).save(file.with_suffix(".jpg"), quality=70)
        file.unlink()
    classes = "classes: [ground, {name: thing, values: [255]}]\n"
    (root / "dataset.yaml").write_text(classes)
    with pytest.raises(DataError, match="rest: nearest"):
        require(open_dataset(root, "train", paired=False))
    (root / "dataset.yaml").write_text(classes + "rest: nearest\n")
    dataset = open_dataset(root, "train", paired=False)
    require(dataset)
    assert set(np.unique(dataset[0].mask)) == {0, 1}


def test_a_split_that_a_rule_leaves_empty_is_a_fault(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "mine", splits={"all": 2})
    keys = "layouts: [{images: all/images/*, masks: all/masks/*}]\nclasses: [a, b, c]\n"
    (root / "dataset.yaml").write_text(keys + "splits: {by: hash, val: 0.001}\n")
    require(open_dataset(root, "train", paired=False))
    with pytest.raises(DataError, match=r"split val: no image belongs to it.*`splits`"):
        require(open_dataset(root, "train"), open_dataset(root, "val", paired=False))
