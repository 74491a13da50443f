"""Datasets of the library `datasets`: the same samples as the files that they were made of."""

import io
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dataset_trees import random_image, stripes, tree_digest
from PIL import Image

from effunet.data.catalog import open_dataset
from effunet.data.check.preflight import check
from effunet.data.dataset import Dataset
from effunet.errors import DataError, UsageError
from effunet.values import UnknownValues

datasets = pytest.importorskip("datasets", reason="needs the extra effunet[huggingface]")

CLASSES = {"classes": ["road", "car", "tree"], "ignore": [255]}


@pytest.fixture(autouse=True)
def quiet(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    datasets.disable_progress_bars()


def encoded(image: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


def palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values)
    image.putpalette([*range(255, -1, -1)] * 3)
    return image


def rows(count: int, start: int = 0, **other: Any) -> dict[str, list[Any]]:
    numbers = range(start, start + count)
    return {
        "image": [
            {"bytes": encoded(Image.fromarray(random_image(i))), "path": f"scene_{i:03d}.png"}
            for i in numbers
        ],
        "annotation": [
            {"bytes": encoded(palette(stripes([0, 1, 2, 255], i))), "path": None} for i in numbers
        ],
        "scene": ["street"] * count,
        **other,
    }


def table(plain: dict[str, list[Any]]) -> Any:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "annotation": datasets.Image(),
            "scene": datasets.Value("string"),
        }
    )
    return datasets.Dataset.from_dict(plain, features=features)


def saved(folder: Path, **splits: Any) -> Path:
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return folder


def described(folder: Path, source: str = "scenes", **more: Any) -> Path:
    """A folder whose dataset.yaml reads a table below it."""
    layout = {"huggingface": source, **more.pop("layout", {})}
    folder.mkdir(exist_ok=True)
    plain = {**CLASSES, "layouts": [layout], **more}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(plain))
    return folder


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A described folder with a table of 4 and 2 rows, under the hub's names of splits."""
    folder = described(tmp_path / "set")
    saved(folder / "scenes", train=table(rows(4)), validation=table(rows(2, 4)))
    return folder


def assert_scenes(dataset: Dataset, start: int, count: int) -> None:
    assert list(dataset.ids) == [f"scene_{i:03d}" for i in range(start, start + count)]
    for place, sample in enumerate(dataset):
        np.testing.assert_array_equal(sample.image, random_image(start + place))
        np.testing.assert_array_equal(sample.mask, stripes([0, 1, 2, 255], start + place))
        assert sample.name == f"scene_{start + place:03d}"


def test_every_row_is_the_image_and_the_indices_of_the_palette_that_were_saved(scenes: Path):
    before = tree_digest(scenes)
    assert_scenes(open_dataset(scenes, "train"), 0, 4)
    assert_scenes(open_dataset(scenes, "val"), 4, 2)
    assert tree_digest(scenes) == before


def test_the_root_may_be_the_saved_folder_itself(scenes: Path, tmp_path: Path):
    elsewhere = shutil.move(scenes / "scenes", tmp_path / "moved")
    assert_scenes(open_dataset(scenes, "train", elsewhere), 0, 4)


def test_rows_that_were_chosen_and_shuffled_before_saving_keep_their_order(tmp_path: Path):
    folder = described(tmp_path / "set")
    saved(folder / "scenes", train=table(rows(6)).select([5, 1, 3]))
    dataset = open_dataset(folder, "train")
    assert list(dataset.ids) == ["scene_005", "scene_001", "scene_003"]
    np.testing.assert_array_equal(dataset[0].image, random_image(5))


def test_one_table_without_splits_is_train(tmp_path: Path):
    folder = described(tmp_path / "set")
    table(rows(3)).save_to_disk(str(folder / "scenes"))
    assert_scenes(open_dataset(folder, "train"), 0, 3)


def test_rows_without_file_names_are_numbered(tmp_path: Path):
    plain = rows(2)
    for entry in plain["image"]:
        entry["path"] = None
    folder = described(tmp_path / "set")
    saved(folder / "scenes", train=table(plain))
    assert list(open_dataset(folder, "train").ids) == ["train-000000", "train-000001"]


def test_rows_may_be_split_by_a_hash_of_their_names(tmp_path: Path):
    folder = described(tmp_path / "set", splits={"by": "hash", "val": 0.4})
    saved(folder / "scenes", a=table(rows(10)), b=table(rows(10, 10)))
    train, val = (list(open_dataset(folder, split).ids) for split in ("train", "val"))
    assert sorted(train + val) == [f"scene_{i:03d}" for i in range(20)]
    assert min(len(train), len(val)) > 3


def test_several_splits_of_the_table_may_make_one(scenes: Path):
    described(scenes, splits={"train": ["train", "validation"]})
    assert_scenes(open_dataset(scenes, "train"), 0, 6)


def test_a_name_of_the_hub_is_asked_for_in_its_revision(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
):
    described(scenes, "org/name", layout={"revision": "v1"})
    held = datasets.load_from_disk(str(scenes / "scenes"))
    asked: list[Any] = []
    monkeypatch.setattr(
        datasets, "load_dataset", lambda name, revision: asked.append((name, revision)) or held
    )
    assert_scenes(open_dataset(scenes, "val"), 4, 2)
    assert asked == [("org/name", "v1")]


def test_files_that_the_rows_only_name_are_read(tmp_path: Path):
    for name, image in (
        ("a.png", Image.fromarray(random_image(0))),
        ("b.png", palette(stripes([1]))),
    ):
        image.save(tmp_path / name)
    plain = {"image": [str(tmp_path / "a.png")], "annotation": [str(tmp_path / "b.png")]}
    folder = described(tmp_path / "set")
    saved(folder / "scenes", train=datasets.Dataset.from_dict(plain))
    sample = open_dataset(folder, "train")[0]
    np.testing.assert_array_equal(sample.image, random_image(0))
    assert (sample.mask == 1).all()
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match="row a, column image has neither"):
        open_dataset(folder, "train")[0]


def test_16_bit_masks_stay_16_bit(tmp_path: Path):
    deep = (stripes([0, 1, 2]).astype(np.uint16) + 1) * 1000
    plain = rows(1, annotation=[{"bytes": encoded(Image.fromarray(deep)), "path": None}])
    values = [
        {"name": name, "values": [value]}
        for name, value in zip("abc", (1000, 2000, 3000), strict=True)
    ]
    folder = described(tmp_path / "set", classes=values)
    saved(folder / "scenes", train=table(plain))
    np.testing.assert_array_equal(open_dataset(folder, "train")[0].mask, stripes([0, 1, 2]))


def test_workers_that_were_forked_read_the_same_bytes(scenes: Path):
    from torch.utils.data import DataLoader

    dataset = open_dataset(scenes, "train")
    for workers in (1, 2):
        loader = DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_size=None,
            num_workers=workers,
            collate_fn=lambda sample: sample,
            multiprocessing_context="fork",
        )
        for ours, theirs in zip(dataset, loader, strict=True):
            np.testing.assert_array_equal(ours.image, theirs.image)
            np.testing.assert_array_equal(ours.mask, theirs.mask)


# --- what is refused ------------------------------------------------------------------------------


def test_values_that_the_map_does_not_know_are_named_with_their_row(tmp_path: Path):
    plain = rows(1, annotation=[{"bytes": encoded(palette(stripes([0, 9]))), "path": None}])
    folder = described(tmp_path / "set")
    saved(folder / "scenes", train=table(plain))
    with pytest.raises(UnknownValues, match=r"row scene_000, column annotation: .* 9 .*in .*yaml"):
        open_dataset(folder, "train")[0]


def test_a_mask_with_losses_or_of_another_size_or_damaged_is_one_line(tmp_path: Path):
    whole = encoded(palette(stripes([0, 1])))
    cases = {
        "may change the values": encoded(Image.fromarray(stripes([0, 1])), "JPEG"),
        "both must show the same pixels": encoded(palette(stripes([0, 1], 0, (30, 48)))),
        "missing": whole[:-20],
        "no image of a known format": b"not an image at all",
    }
    plain = rows(4, annotation=[{"bytes": data, "path": None} for data in cases.values()])
    folder = described(tmp_path / "set")
    saved(folder / "scenes", train=table(plain))
    dataset = open_dataset(folder, "train")
    for place, why in enumerate(cases):
        with pytest.raises(DataError, match=why) as caught:
            dataset[place]
        assert f"row scene_{place:03d}, column annotation" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "split", "why"),
    [
        ({}, "test", "has no split 'test': it has train, validation"),
        ({"splits": {"train": "dev"}}, "train", "no split 'dev': it has train, validation"),
        ({"splits": {"train": {"list": "a.txt"}}}, "train", "a list of names is for files"),
        ({"layout": {"mask": "label"}}, "train", "no column 'label': it has image, annotation"),
        ({"layout": {"image": "scene"}}, "train", "row .*column scene has neither"),
    ],
)
def test_a_split_or_column_that_is_not_there_is_one_line(
    scenes: Path, more: dict[str, Any], split: str, why: str
):
    described(scenes, **more)
    with pytest.raises(DataError, match=why):
        open_dataset(scenes, split)[0]


def test_a_column_of_something_else_is_refused(tmp_path: Path):
    folder = described(tmp_path / "set")
    saved(folder / "scenes", train=table(rows(1)).add_column("number", [3]))
    described(folder, layout={"mask": "number"})
    with pytest.raises(DataError, match="'number' holds no images"):
        open_dataset(folder, "train")


def test_a_folder_that_was_not_saved_is_refused_and_a_damaged_one_is_one_line(scenes: Path):
    (scenes / "other").mkdir()
    described(scenes, "other")
    with pytest.raises(DataError, match="save_to_disk did not write"):
        open_dataset(scenes, "train")
    described(scenes)
    for file in (scenes / "scenes").rglob("*.arrow"):
        file.write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"scenes cannot be loaded \("):
        open_dataset(scenes, "train")


def test_a_name_of_the_hub_that_is_not_cached_is_one_line_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    folder = described(tmp_path / "set", "nobody/nothing", layout={"revision": "abc"})
    with pytest.raises(
        DataError, match="nobody/nothing of Hugging Face cannot be loaded"
    ) as caught:
        open_dataset(folder, "train")
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named_with_its_mend(scenes: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match=r"pip install .effunet\[huggingface\]."):
        open_dataset(scenes, "train")


def test_the_package_is_not_imported_for_other_datasets():
    code = (
        "import sys; from effunet.data.catalog import open_dataset\n"
        "open_dataset('synthetic', 'val'); assert 'datasets' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_lossy_masks_pass_the_check_where_the_map_takes_nearest_values(tmp_path: Path):
    plain = rows(2)
    grey = (encoded(Image.fromarray(stripes([0, 255], i)), "JPEG") for i in range(2))
    plain["annotation"] = [{"bytes": data, "path": None} for data in grey]
    saved(tmp_path / "scenes", train=table(plain))
    classes = ["ground", {"name": "thing", "values": [255]}]
    described(tmp_path, classes=classes, ignore=[])
    assert any("rest: nearest" in f.line for f in check(open_dataset(tmp_path, "train")))
    described(tmp_path, classes=classes, ignore=[], rest="nearest")
    dataset = open_dataset(tmp_path, "train")
    assert not [finding for finding in check(dataset) if finding.fatal]
    assert set(np.unique(dataset[0].mask)) == {0, 1}
