"""A name or a folder -> samples: which files pair, where they are looked for, what is refused."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from dataset_trees import (
    SPLITS,
    camvid_tree,
    cityscapes_tree,
    plain_folder,
    random_image,
    stripes,
    tree_digest,
    write_png,
)
from PIL import Image

from effunet.data.catalog import open_dataset
from effunet.data.describe.description import Files
from effunet.data.describe.layouts import Masks
from effunet.data.describe.read import read_description
from effunet.data.describe.shelf import known_names
from effunet.data.sources.search import list_split
from effunet.errors import DataError, UsageError
from effunet.labels import IGNORE
from effunet.values import UnknownValues

REPOSITORY = Path(__file__).resolve().parents[2]
CAMVID = Path(os.environ.get("CAMVID", REPOSITORY / "../shared/data/camvid"))

TRAIN_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
"""Official Cityscapes ids in the order of trainId 0..18; the other ids below 34 are ignored."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty folder, with no variable that points to real data."""
    for variable in ("CAMVID", "CITYSCAPES_DATASET"):
        monkeypatch.delenv(variable, raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def refusal(name: str | Path, split: str = "train", root: Path | None = None) -> str:
    with pytest.raises(DataError) as caught:
        open_dataset(name, split, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- the datasets that we describe ----------------------------------------------------------------


def test_cityscapes_is_read_straight_from_the_official_tree(tmp_path: Path) -> None:
    root = cityscapes_tree(tmp_path / "cityscapes")
    dataset = open_dataset("cityscapes", "train", root)
    assert len(dataset) == SPLITS["train"]
    assert len(dataset.labels) == 19
    assert dataset.ids[0] == "aachen/aachen_000000_000000"
    for index, sample in enumerate(dataset):
        mask_path = dataset.mask_path(index)
        assert mask_path is not None and mask_path.name.endswith("_gtFine_labelIds.png")
        ids = np.array(Image.open(mask_path))
        assert set(np.unique(ids)) == set(range(34))
        for raw in range(34):
            expected = TRAIN_IDS.index(raw) if raw in TRAIN_IDS else IGNORE
            assert (sample.mask[ids == raw] == expected).all()


def test_an_id_outside_the_official_table_is_a_fault(tmp_path: Path) -> None:
    root = cityscapes_tree(tmp_path / "cityscapes")
    mask = next((root / "gtFine/val").rglob("*labelIds.png"))
    write_png(mask, stripes((7, 34), size=(32, 68)))
    dataset = open_dataset("cityscapes", "val", root)
    with pytest.raises(UnknownValues, match=r"34 \(1088 px\).*`ignore: \[34\]` in .*dataset.yaml"):
        list(dataset)


@pytest.mark.parametrize("segnet", [False, True])
def test_camvid_is_read_in_both_layouts(tmp_path: Path, segnet: bool) -> None:
    dataset = open_dataset("camvid", "val", camvid_tree(tmp_path / "camvid", segnet=segnet))
    assert [dataset.ids[0], len(dataset)] == ["0001TP_009690", SPLITS["val"]]
    for index, sample in enumerate(dataset):
        raw = np.array(Image.open(dataset.mask_path(index) or ""))
        np.testing.assert_array_equal(sample.mask, np.where(raw == 11, IGNORE, raw))


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not there: set CAMVID to its folder")
def test_the_real_camvid_has_its_published_splits_and_an_independent_count_agrees() -> None:
    for split, count in (("train", 367), ("val", 101), ("test", 233)):
        dataset = open_dataset("camvid", split, CAMVID)
        assert len(dataset) == count
        for index in (0, count // 2, count - 1):
            sample = dataset[index]
            assert sample.image.shape == (360, 480, 3)
            raw = np.array(Image.open(CAMVID / split / "masks" / f"{sample.name}.png"))
            for value in range(11):
                assert (sample.mask == value).sum() == (raw == value).sum()
            assert (sample.mask == IGNORE).sum() == (raw == 11).sum()


def test_synthetic_needs_no_files_and_gives_the_same_sample_again() -> None:
    dataset = open_dataset("synthetic", "val")
    assert (len(dataset), dataset.image_path(0), dataset.mask_path(0)) == (64, None, None)
    first, again, other = dataset[3], dataset[3], open_dataset("synthetic", "test")[3]
    assert first.image.shape == (256, 256, 3) and first.mask.shape == (256, 256)
    np.testing.assert_array_equal(first.image, again.image)
    assert (first.image != other.image).any()
    with pytest.raises(IndexError):
        dataset[64]


def test_the_description_of_synthetic_is_what_its_generator_draws() -> None:
    from effunet.data.synthetic import CLASSES, PALETTE

    labels = open_dataset("synthetic", "train").labels
    assert labels.names == tuple(CLASSES)
    np.testing.assert_array_equal(labels.palette, np.array(PALETTE))
    assert labels.names == open_dataset_labels("camvid")


def open_dataset_labels(name: str) -> tuple[str, ...]:
    return read_description(REPOSITORY / "data" / name / "dataset.yaml").labels.names


# --- where it is looked for -----------------------------------------------------------------------


def test_an_explicit_root_wins_over_the_variable_and_the_variable_over_the_folder(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(root: Path | None = None) -> Path | None:
        return open_dataset("camvid", "train", root).image_path(0)

    for place in ("explicit", "variable", "work/data/camvid"):
        camvid_tree(tmp_path / place)
    assert (found() or Path()).absolute().is_relative_to(elsewhere / "data/camvid")
    monkeypatch.setenv("CAMVID", str(tmp_path / "variable"))
    assert (found() or Path()).is_relative_to(tmp_path / "variable")
    assert (found(tmp_path / "explicit") or Path()).is_relative_to(tmp_path / "explicit")


def test_a_new_dataset_is_one_yaml_file_under_data(elsewhere: Path) -> None:
    plain_folder(elsewhere / "data/mine", values=(5, 6))
    description = {
        "classes": [{"name": "a", "values": [5]}, {"name": "b", "values": [6]}],
        "splits": {"learn": "train"},
    }
    (elsewhere / "data/mine/dataset.yaml").write_text(yaml.safe_dump(description))
    dataset = open_dataset("mine", "learn")
    assert (dataset.name, dataset.labels.names, len(dataset)) == ("mine", ("a", "b"), 4)
    assert "mine" in known_names()


def test_a_missing_dataset_says_what_was_looked_for_and_how_to_give_it(tmp_path: Path) -> None:
    told = refusal("cityscapes")
    for part in ("leftImg8bit/train/*/*_leftImg8bit.png", "dataset.root=", "$CITYSCAPES_DATASET"):
        assert part in told
    assert f"there is no folder {tmp_path}/gone" in refusal("camvid", root=tmp_path / "gone")
    (tmp_path / "file").touch()
    assert "is a file" in refusal("camvid", root=tmp_path / "file")
    (tmp_path / "empty/train/images").mkdir(parents=True)
    assert "train/images/*" in refusal("camvid", root=tmp_path / "empty")
    assert "did you mean cityscapes?" in refusal("cityscape")
    assert "neither a dataset nor a folder" in refusal("/no/such/place")
    assert "has train, val, test" in refusal("synthetic", "valid")
    with pytest.raises(UsageError, match=r"dataset.root="):
        open_dataset("folder", "train")


# --- a folder of the user's own -------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["{split}/{kind}", "{kind}/{split}"])
def test_a_folder_without_a_description_gives_its_indices_as_classes(
    tmp_path: Path, pattern: str
) -> None:
    root = plain_folder(tmp_path / "mine", values=(0, 1, 3, 255), pattern=pattern)
    for opened in (open_dataset("folder", "val", root), open_dataset(root, "val")):
        assert opened.labels.names == ("class_0", "class_1", "class_2", "class_3")
        assert (opened.name, len(opened)) == ("mine", 2)
        assert set(np.unique(opened[0].mask)) == {0, 1, 3, IGNORE}
        (notice,) = opened.notices
        assert "255 ignored" in notice and "absent there: 2" in notice and str(root) in notice


@pytest.mark.parametrize("on", [1, 255])
def test_two_values_mean_background_and_foreground_even_when_one_is_255(
    tmp_path: Path, on: int
) -> None:
    dataset = open_dataset(plain_folder(tmp_path / "mine", values=(0, on)), "train")
    assert dataset.labels.names == ("background", "foreground")
    assert set(np.unique(dataset[0].mask)) == {0, 1}
    assert f"foreground = {on}" in dataset.notices[0]


def test_the_colours_of_a_palette_become_the_colours_of_the_classes(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "mine", splits={"train": 1})
    palette = [1, 2, 3, 40, 50, 60, 70, 80, 90] + [0] * 759
    write_png(root / "train/masks/train_000.png", stripes((0, 1, 2)), palette)
    labels = open_dataset(root, "train").labels
    np.testing.assert_array_equal(labels.palette, [[1, 2, 3], [40, 50, 60], [70, 80, 90]])


def test_masks_that_may_mean_several_things_ask_for_a_description(tmp_path: Path) -> None:
    told = refusal(plain_folder(tmp_path / "gaps", values=(0, 100, 200)))
    assert "0, 100, 200" in told and "values: [100]" in told and "gaps/dataset.yaml" in told
    assert "hold the values 7" in refusal(plain_folder(tmp_path / "one", values=(7,)))
    # 255 may be what is ignored or the foreground, and class 0 never seen or none.
    assert "hold the values 1, 255" in refusal(plain_folder(tmp_path / "two", values=(1, 255)))
    root = plain_folder(tmp_path / "colours", splits={"train": 1})
    write_png(root / "train/masks/train_000.png", np.full((32, 48, 3), 9, np.uint8))
    told = refusal(root)
    assert "mode RGB" in told and "values: [[9, 9, 9]]" in told and "colours/dataset.yaml" in told
    assert "looked for" in refusal(tmp_path / "work")


def test_a_folder_of_colour_masks_is_read_by_its_own_description(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "mine", splits={"train": 1})
    painted = np.array([[200, 0, 0], [0, 200, 0]], np.uint8)[stripes((0, 1))]
    write_png(root / "train/masks/train_000.png", painted)
    (root / "dataset.yaml").write_text(
        "classes:\n- {name: red, values: [[200, 0, 0]]}\n- {name: green, values: [[0, 200, 0]]}\n"
    )
    dataset = open_dataset("folder", "train", root)
    np.testing.assert_array_equal(dataset[0].mask, stripes((0, 1)))
    assert not dataset.notices


# --- pairing --------------------------------------------------------------------------------------


def remove(*names: str) -> Callable[[Path], None]:
    return lambda root: [(root / name).unlink() for name in names] and None


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (remove("train/masks/train_001.png"), "1 image without a mask"),
        (remove("train/images/train_001.png", "train/images/train_002.png"), "2 masks without an"),
        (
            lambda root: Image.fromarray(random_image(0)).save(root / "train/images/train_001.jpg"),
            "1 name shared by several files",
        ),
        (
            lambda root: write_png(root / "train/masks/TRAIN_001.png", stripes((0, 1))),
            "1 name shared by several files",
        ),
    ],
)
def test_files_without_exactly_one_partner_are_refused_by_name(
    tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    root = plain_folder(tmp_path / "mine")
    spoil(root)
    message = refusal(root)
    assert told in message and "rain_001" in message.replace("RAIN", "rain")
    assert len(open_dataset(root, "train", paired=False)) >= 2


def test_more_than_ten_missing_masks_are_listed_up_to_ten_and_counted(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "mine", splits={"train": 14})
    for index in range(12):
        (root / f"train/masks/train_{index:03d}.png").unlink()
    told = refusal(root)
    assert "12 images without a mask" in told and "and 2 more" in told
    assert "train_009" in told and "train_010" not in told


def test_a_folder_whose_names_do_not_pair_is_told_so_and_not_that_it_is_empty(
    tmp_path: Path,
) -> None:
    root = plain_folder(tmp_path / "mine", splits={"train": 2})
    for mask in (root / "train/masks").iterdir():
        mask.rename(mask.with_stem(f"{mask.stem}_mask"))
    told = refusal(root)
    assert "2 images without a mask" in told and "train_000.png" in told
    assert f"describe the folder in {root / 'dataset.yaml'}" in told


def test_names_that_differ_only_in_letter_case_are_refused(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "mine", splits={"train": 1})
    for kind in ("images", "masks"):
        file = root / f"train/{kind}/train_000.png"
        file.with_name("Train_000.png").write_bytes(file.read_bytes())
    assert "2 names shared by several files" in refusal(root)


def test_a_name_pairs_whatever_way_its_accent_is_written(tmp_path: Path) -> None:
    write_png(tmp_path / "train/images/caf\u00e9.png", random_image(0))
    write_png(tmp_path / "train/masks/cafe\u0301.png", stripes((0, 1)))
    assert open_dataset(tmp_path, "train").ids == ["caf\u00e9"]


def test_hidden_files_and_other_kinds_of_file_are_no_images(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "mine")
    for name in ("._train_000.png", ".DS_Store", "Thumbs.db", "notes.txt"):
        (root / "train/images" / name).touch()
    assert len(open_dataset(root, "train")) == 4


def test_two_stars_match_any_depth_and_pair_by_folder_too(tmp_path: Path) -> None:
    for name in ("a", "x/a", "x/y/b"):
        write_png(tmp_path / f"images/train/{name}.png", random_image(0))
        write_png(tmp_path / f"masks/train/{name}_mask.png", stripes((0, 1)))
    layout = Masks("images/{split}/**/*.png", "masks/{split}/**/*_mask.png")
    listing = list_split(tmp_path, Files((layout,)), "train")
    assert sorted(pair.name for pair in listing.pairs) == ["a", "x/a", "x/y/b"]
    assert not listing.faults()


def test_loops_of_links_end_and_linked_folders_are_followed(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        folder = tmp_path / kind / "train"
        write_png(folder / "deep/a.png", stripes((0, 1)))
        (folder / "deep/round").symlink_to(folder)
        (folder / "itself").symlink_to("itself")
        write_png(tmp_path / f"far_{kind}/b.png", stripes((0, 1)))
        (folder / "linked").symlink_to(tmp_path / f"far_{kind}")
    layout = Masks("images/{split}/**/*", "masks/{split}/**/*")
    names = [pair.name for pair in list_split(tmp_path, Files((layout,)), "train").pairs]
    assert names == ["deep/a", "linked/b"]


def test_a_link_to_nowhere_is_listed_so_that_reading_it_tells(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "mine", splits={"train": 2})
    (root / "train/images/train_000.png").unlink()
    (root / "train/images/train_000.png").symlink_to(tmp_path / "gone.png")
    dataset = open_dataset(root, "train")
    with pytest.raises(DataError, match="No such file"):
        dataset[0]


def test_thousands_of_nested_files_are_all_listed(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        for index in range(1000):
            folder = tmp_path / f"{kind}/train/{index // 50}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{index}.png").touch()
    layout = Masks("images/{split}/**/*", "masks/{split}/**/*")
    assert len(list_split(tmp_path, Files((layout,)), "train").pairs) == 1000


def test_sizes_that_differ_by_one_pixel_are_refused_with_both(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "mine", splits={"train": 1})
    write_png(root / "train/masks/train_000.png", stripes((0, 1, 2), size=(32, 47)))
    with pytest.raises(DataError, match=r"is 32 x 48 .*is 32 x 47"):
        open_dataset(root, "train")[0]


def test_a_rotated_photo_is_compared_upright_with_its_mask(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "mine", splits={"train": 1}, size=(48, 32))
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(random_image(0, (32, 48))).save(root / "train/images/a.jpg", exif=exif)
    write_png(root / "train/masks/a.png", stripes((0, 1, 2), size=(48, 32)))
    sample = open_dataset(root, "train")[0]
    assert sample.image.shape == (48, 32, 3)


def test_grey_datasets_give_one_channel(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "mine")
    (root / "dataset.yaml").write_text("channels: 1\nclasses: [a, b, c]\n")
    dataset = open_dataset(root, "train")
    assert (dataset.channels, dataset[0].image.shape) == (1, (32, 48, 1))


def test_a_dataset_travels_to_worker_processes(tmp_path: Path) -> None:
    dataset = open_dataset(plain_folder(tmp_path / "mine"), "train")
    dataset[0]
    there = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(there[1].mask, dataset[1].mask)
    assert there.ids == dataset.ids


def test_reading_writes_nothing_into_the_folder(tmp_path: Path) -> None:
    root = plain_folder(tmp_path / "mine")
    before = tree_digest(root)
    for split in ("train", "val"):
        list(open_dataset(root, split))
    assert tree_digest(root) == before


# --- dataset.yaml ---------------------------------------------------------------------------------

THINGS = "layouts: [{images: 'a/*', masks: 'b/*', instances: 'c/*'}]"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("classes: [a", "not valid YAML"),
        ("- a", "expected keys"),
        ("clases: [a]", "did you mean 'classes'?"),
        ("title: x", "one entry per class"),
        ("classes: [a]\ntitle: 3", "must be text"),
        ("classes: [a]\nchannels: 0", "3 (RGB), 1 (grey) or a number of bands, got 0"),
        ("classes: [a]\nchannels: yes", "a number of bands, got True"),
        ("classes: " + 500 * "[", "not valid YAML"),
        ("classes: [a]\nsplits: [train, {val: x}]", "splits must be"),
        ("classes: [a]\nsplits: 3", "splits must be"),
        ("classes: [a]\nsplits: {train: ../x}", "below the root"),
        ("classes: [a]\nlayouts: {images: a}", "layouts must be a list"),
        ("classes: [a]\nlayouts: [{image: a}]", "did you mean 'images'?"),
        ("classes: [a]\nlayouts: [{images: a.png, masks: b/*}]", "images must be a pattern"),
        ("classes: [a]\nlayouts: [{images: '/a/*', masks: 'b/*'}]", "below the root"),
        ("classes: [a]\nlayouts: [{images: 'a/*/*', masks: 'b/*'}]", "pair by their stars"),
        ("classes: [a]\nlayouts: [{images: 'a/**', masks: 'b/**'}]", "** stands alone"),
        ("classes: [a]\nlayouts: [{images: 'a/*', masks: 'b/*', instances: 'c'}]", "must be a pat"),
        (f"classes: [a]\n{THINGS.replace('c/*', 'c/*/*')}", "pair by their stars"),
        (f"classes: [a]\n{THINGS}", "and no instance_sizes: write both"),
        (f"classes: [a]\n{THINGS}\ninstance_sizes: {{b: 3}}", "unknown key 'b'"),
        (f"classes: [a]\n{THINGS}\ninstance_sizes: {{a: 0}}", "average pixels of an instance"),
        (f"classes: [a]\n{THINGS}\ninstance_sizes: {{a: x}}", "average pixels of an instance"),
        ("classes: [a]\ninstance_sizes: {a: 3}", "no layout with instances: write both"),
        ("classes: [a]\ngenerator: street\ninstance_sizes: {a: 3}", "remove it or remove"),
        ("classes: [a]\nsize: [2, 2]", "size belongs to a generator"),
        ("classes: [a]\ngenerator: os.system", "generator must be street"),
        ("classes: [a]\ngenerator: street\nsize: 3", "[height, width]"),
        ("classes: [a]\ngenerator: street\nsize: [8, 8]\nsplits: [a]", "splits must be"),
        ("classes: [a]\ngenerator: street\nsize: [8, 8]\nsplits: {a: {seed: 1}}", "images: 1"),
        ("classes: [a]\ngenerator: street\nsize: [8, 8]\nchannels: 1", "leave channels out"),
        ("classes: [a]\ngenerator: street\nroot_env: X", "remove it or remove generator"),
    ],
)
def test_every_slip_in_dataset_yaml_is_named_with_its_file(
    tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "dataset.yaml"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_description(file)
    assert str(caught.value).startswith(str(file))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
