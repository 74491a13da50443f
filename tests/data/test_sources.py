"""Where the pairs of a split come from: lists, hashes, folds, several roots, manifests."""

import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dataset_trees import cityscapes_tree, plain_folder, random_image, stripes, write_png
from hypothesis import given, settings
from hypothesis import strategies as st

from effunet.data.catalog import Choice, open_dataset
from effunet.data.sources.pairs import Pair, Pairs
from effunet.data.sources.selection import share
from effunet.errors import DataError, UsageError


def described(root: Path, **keys: Any) -> Path:
    """A dataset.yaml with three classes in the folder, and the folder."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["a", "b", "c"], **keys}))
    return root


def flat(root: Path, names: list[str], **keys: Any) -> Path:
    """images/NAME.png and masks/NAME.png without folders for the splits."""
    for place, name in enumerate(names):
        write_png(root / f"images/{name}.png", random_image(place))
        write_png(root / f"masks/{name}.png", stripes((0, 1, 2), place))
    return described(root, layouts=[{"images": "images/**/*", "masks": "masks/**/*"}], **keys)


def ids(root: Path, split: str, **choice: Any) -> list[str]:
    return list(open_dataset(root, split, choice=Choice(**choice)).ids)


def refusal(root: Path, split: str = "train", **choice: Any) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        open_dataset(root, split, choice=Choice(**choice))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "b",
        "images/b.png",
        "/images/b.png",
        "b.png",
        "/elsewhere/JPEGImages/b.jpg masks/b.png",
        "b 1 2",
    ],
)
def test_a_list_names_an_image_by_its_name_or_path_with_or_without_ending(
    tmp_path: Path, line: str
) -> None:
    root = flat(tmp_path, ["a", "b", "c"], splits={"train": {"list": "train.txt"}})
    (root / "train.txt").write_text(f"# a comment\n\n{line}\n")
    assert ids(root, "train") == ["b"]


def test_names_with_spaces_and_dots_are_found_in_a_list(tmp_path: Path) -> None:
    names = ["a b", "v1.2", "a"]
    root = flat(tmp_path, names, splits={"train": {"list": "train.txt"}})
    (root / "train.txt").write_text("a b\nv1.2\n")
    assert ids(root, "train") == ["a b", "v1.2"]


def test_a_name_of_a_list_without_an_image_is_a_fault_and_other_images_are_none(
    tmp_path: Path,
) -> None:
    root = flat(tmp_path, ["a", "b"], splits={"train": {"list": "train.txt"}})
    (root / "train.txt").write_text("a\ngone\n")
    told = refusal(root)
    assert "1 name of" in told and "train.txt without an image: gone" in told


def test_a_last_name_that_two_images_share_names_neither(tmp_path: Path) -> None:
    root = flat(tmp_path, ["x/a", "y/a", "b"], splits={"train": {"list": "train.txt"}})
    (root / "train.txt").write_text("a\nb\n")
    assert "without an image: a;" in refusal(root)
    (root / "train.txt").write_text("y/a\nb\n")
    assert ids(root, "train") == ["b", "y/a"]


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    root = flat(tmp_path, ["a"], splits={"train": {"list": "train.txt"}})
    assert "train.txt cannot be read: No such file" in refusal(root)


def test_a_folder_of_the_list_that_is_another_one_means_no_image(tmp_path: Path) -> None:
    root = flat(tmp_path, ["a/1", "a/2"], splits={"train": {"list": "train.txt"}})
    (root / "train.txt").write_text("b/1\n/far/away/a/2.jpg\n")
    assert "without an image: b/1;" in refusal(root)


# --- rules ----------------------------------------------------------------------------------------


def test_hashed_splits_are_a_partition_and_stay_when_images_are_added(tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(60)]
    keys = {"splits": {"by": "hash", "val": 0.2, "test": 0.1}}
    first = flat(tmp_path / "first", names[:40], **keys)
    more = flat(tmp_path / "more", names, **keys)
    before = {split: ids(first, split) for split in ("train", "val", "test")}
    after = {split: ids(more, split) for split in ("train", "val", "test")}
    assert sorted(name for part in after.values() for name in part) == sorted(names)
    assert all(set(before[split]) <= set(after[split]) for split in before)


def test_hashed_shares_are_met_in_the_long_run() -> None:
    drawn = np.array([share(f"name {index}", seed=3) for index in range(20_000)])
    for edge in (0.05, 0.1, 0.5, 0.9):
        # Four deviations of a binomial share.
        assert abs((drawn < edge).mean() - edge) < 4 * np.sqrt(edge * (1 - edge) / len(drawn))


def test_the_hash_of_a_name_is_fixed_for_ever() -> None:
    # A published split must not move with a release: these numbers may never change.
    assert share("a", 0) == pytest.approx(0.617001, abs=1e-6)  # sha256 of 0:a
    assert share("a", 1) != share("a", 0)


def test_each_image_is_validated_in_exactly_one_fold(tmp_path: Path) -> None:
    names = [f"n{i:02d}" for i in range(30)]
    root = flat(tmp_path, names, splits={"by": "fold", "folds": 3})
    count: Counter[str] = Counter()
    for fold in range(3):
        train, val = ids(root, "train", fold=fold), ids(root, "val", fold=fold)
        assert not set(train) & set(val) and sorted(train + val) == names
        count.update(val)
    assert set(count.values()) == {1}
    assert ids(root, "val") == ids(root, "val", fold=0)


def test_frames_of_one_group_are_never_parted(tmp_path: Path) -> None:
    names = [f"seq{i}/frame{j}" for i in range(12) for j in range(3)]
    root = flat(tmp_path, names, splits={"by": "hash", "val": 0.4, "group": 1})
    parts = [{name.split("/")[0] for name in ids(root, split)} for split in ("train", "val")]
    assert parts[0] and parts[1] and not parts[0] & parts[1]


def test_orphans_are_told_in_the_split_that_they_belong_to_alone(tmp_path: Path) -> None:
    root = flat(tmp_path, [f"n{i}" for i in range(20)], splits={"by": "hash", "val": 0.5})
    name = ids(root, "val")[0]
    (root / f"masks/{name}.png").unlink()
    assert "1 image without a mask" in refusal(root, "val")
    assert ids(root, "train")


def test_a_fold_of_a_dataset_without_folds_is_refused(tmp_path: Path) -> None:
    root = flat(tmp_path, ["a"], splits={"by": "fold", "folds": 2})
    assert "folds are 0 to 1" in refusal(root, fold=2)
    described(root, splits=["train"])
    assert "fold 0: " in (told := refusal(root, fold=0)) and "has no folds" in told


def test_a_group_that_is_no_star_is_refused(tmp_path: Path) -> None:
    root = flat(tmp_path, ["a"], splits={"by": "hash", "val": 0.5, "group": 3})
    assert "group 3: the pattern of the images has 2 stars" in refusal(root)


# --- several folders and roots --------------------------------------------------------------------


def test_several_folders_of_a_split_are_read_under_their_names(tmp_path: Path) -> None:
    root = plain_folder(tmp_path, splits={"north": 2, "south": 1, "west": 1})
    described(root, splits={"train": ["north", "south"], "val": "west"})
    assert ids(root, "train") == ["north/north_000", "north/north_001", "south/south_000"]
    assert ids(root, "val") == ["west_000"]


def test_several_roots_are_read_alike_and_equal_names_stay_apart(tmp_path: Path) -> None:
    for place in ("one", "two"):
        plain_folder(tmp_path / place)
    described(tmp_path, roots=["one", str(tmp_path / "two")])
    assert ids(tmp_path, "val") == [f"{r}/val_{i:03d}" for r in ("one", "two") for i in (0, 1)]


# --- manifests ------------------------------------------------------------------------------------


def manifest(root: Path, rows: list[dict[str, Any]], **layout: Any) -> Path:
    for row in rows:
        for key in ("image", "mask"):
            write_png(root / str(row[key]), random_image(0) if key == "image" else stripes((0, 1)))
    lines = ["image,mask,split,weight"]
    lines += [f"{r['image']},{r['mask']},{r['split']},{r.get('weight', '')}" for r in rows]
    (root / "all.csv").write_text("\n".join(lines) + "\n")
    (root / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return described(root, layouts=[{"manifest": "all.csv", **layout}])


ROWS: list[dict[str, Any]] = [
    {"image": "x/b.png", "mask": "m/1.png", "split": "train", "weight": 2},
    {"image": "x/a.png", "mask": "m/2.png", "split": "train"},
    {"image": "y/c.png", "mask": "m/3.png", "split": "val"},
]


@pytest.mark.parametrize("file", ["all.csv", "all.jsonl"])
def test_a_manifest_pairs_by_its_rows_and_gives_weights(tmp_path: Path, file: str) -> None:
    root = manifest(tmp_path, ROWS)
    described(root, layouts=[{"manifest": file}])
    train = open_dataset(root, "train")
    assert list(train.ids) == ["x/a", "x/b"]
    assert train.mask_path(0) == root / "m/2.png"
    assert train.weights is not None and train.weights.tolist() == [1, 2]
    assert open_dataset(root, "val").weights is None


def test_a_manifest_of_other_columns_is_read_by_its_own_words(tmp_path: Path) -> None:
    root = manifest(tmp_path, ROWS)
    text = (root / "all.csv").read_text().replace("image,mask,split", "path,label,part")
    (root / "all.csv").write_text(text)
    assert "nothing under 'split' (its columns are path, label, part, weight)" in refusal(root)
    columns = {"image": "path", "mask": "label", "split": "part"}
    described(root, layouts=[{"manifest": "all.csv", "columns": columns}])
    assert ids(root, "train") == ["x/a", "x/b"]


def test_a_row_of_a_missing_file_is_a_fault_with_its_number(tmp_path: Path) -> None:
    root = manifest(tmp_path, ROWS)
    (root / "m/2.png").unlink()
    assert f"row 2: {root / 'm/2.png'}" in refusal(root)


def test_a_split_of_no_known_name_is_a_fault_and_not_left_out(tmp_path: Path) -> None:
    root = manifest(tmp_path, [*ROWS, {"image": "z.png", "mask": "m/z.png", "split": "trian"}])
    assert "row 4: the split 'trian' is none of test, train, val" in refusal(root)


def test_a_split_without_a_row_is_refused(tmp_path: Path) -> None:
    assert "all.csv is of split test" in refusal(manifest(tmp_path, ROWS), "test")


def test_a_split_of_several_words_reads_each_of_their_files(tmp_path: Path) -> None:
    root = manifest(tmp_path, ROWS)
    for name, row in (("n", ROWS[0]), ("s", ROWS[1])):
        (root / f"{name}.csv").write_text(f"image,mask\n{row['image']},{row['mask']}\n")
    splits = {"train": ["n", "s"], "val": "n"}
    described(root, layouts=[{"manifest": "{split}.csv"}], splits=splits)
    assert ids(root, "train") == ["x/a", "x/b"]
    assert ids(root, "val") == ["x/b"]


@pytest.mark.parametrize(
    "keys",
    [{"roots": ["x", "y"]}, {"splits": {"train": {"list": "t.txt"}}}],
)
def test_what_a_manifest_would_not_heed_is_refused(tmp_path: Path, keys: dict[str, Any]) -> None:
    root = manifest(tmp_path, ROWS)
    (root / "t.txt").write_text("x/a\n")
    described(root, layouts=[{"manifest": "all.csv"}], **keys)
    (root / "x/all.csv").write_text("")
    assert "under a manifest" in refusal(root)


@pytest.mark.parametrize("image", [".", "n" * 5000])
def test_a_path_that_no_file_can_have_is_a_row_without_a_file(tmp_path: Path, image: str) -> None:
    root = manifest(tmp_path, ROWS)
    with (root / "all.csv").open("a") as file:
        file.write(f"{image},m/1.png,train,\n")
    assert "row 4: " in refusal(root)


def test_a_manifest_can_be_dealt_out_by_a_rule(tmp_path: Path) -> None:
    rows = [{"image": f"i/{i}.png", "mask": f"m/{i}.png", "split": ""} for i in range(12)]
    root = manifest(tmp_path, rows)
    described(root, layouts=[{"manifest": "all.csv"}], splits={"by": "fold", "folds": 2})
    assert sorted(ids(root, "train") + ids(root, "val")) == sorted(f"i/{i}" for i in range(12))


# --- odd places ---------------------------------------------------------------------------------


def test_places_that_cannot_be_are_one_line(tmp_path: Path) -> None:
    root = flat(tmp_path, ["a"])
    (root / "loop").symlink_to("loop")
    for pattern in ("loop/*", "n" * 300 + "/*"):
        described(root, layouts=[{"images": pattern, "masks": pattern}])
        assert "cannot be read" in refusal(root) or "no images found" in refusal(root)
    described(root, layouts=[{"images": "a\0b/*", "masks": "a\0b/*"}])
    assert "must lie below the root" in refusal(root)
    for name in ("~nobody-of-this-name/x", "n" * 5000):
        with pytest.raises(DataError):
            open_dataset(name, "train")


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    root = flat(tmp_path, ["a"])
    with (root / "dataset.yaml").open("a") as file:
        file.write("rest: error\nrest: ignore\n")
    assert "the key 'rest' stands twice" in refusal(root)


# --- the compact index ----------------------------------------------------------------------------


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES, NAMES), max_size=20))
def test_pairs_come_back_as_they_were_given(parts: list[tuple[str, str, str]]) -> None:
    given_pairs = [Pair(name, Path("/data/i", i), Path("/data/m", m)) for name, i, m in parts]
    pairs = Pairs(given_pairs)
    assert list(pairs) == given_pairs
    assert list(pairs.names) == [pair.name for pair in given_pairs]
    assert pickle.loads(pickle.dumps(pairs)) == pairs


def test_cityscapes_needs_less_than_200_bytes_an_image(tmp_path: Path) -> None:
    root = cityscapes_tree(tmp_path, splits={"train": 200}, size=(2, 2))
    dataset = open_dataset("cityscapes", "train", root)
    pairs = dataset.listing.pairs  # type: ignore[attr-defined]
    assert pairs.nbytes / len(pairs) < 200


def test_a_pair_is_found_by_a_place_from_the_end_and_a_wrong_place_is_none(tmp_path: Path) -> None:
    pairs = Pairs([Pair(str(i), tmp_path / f"{i}", tmp_path / f"m{i}") for i in range(3)])
    assert pairs[-1].name == "2" and [pair.name for pair in pairs[1:]] == ["1", "2"]
    with pytest.raises(IndexError):
        pairs[3]
