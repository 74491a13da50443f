"""A folder -> its first dataset.yaml: usual layouts, values, names; and the check passes on it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from dataset_trees import (
    camvid_tree,
    cityscapes_tree,
    plain_folder,
    random_image,
    stripes,
    tree_digest,
    write_png,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from effunet.data.catalog import open_dataset
from effunet.data.check.preflight import examine
from effunet.data.dataset import Dataset
from effunet.data.draft.draft import draft_folder
from effunet.data.draft.words import read_folder, read_stem
from effunet.errors import DataError


def tree(root: Path, images: str, masks: str, count: int = 8, values: Sequence[int] = (0, 1, 2)):
    """Pairs without splits; {} is the number of the pair."""
    for index in range(count):
        write_png(root / images.format(index), random_image(index))
        write_png(root / masks.format(index), stripes(values, index))
    return root


def drafted(root: Path) -> dict:
    text, _ = draft_folder(root)
    (root / "dataset.yaml").write_text(text)
    return yaml.safe_load(text)


def opened(root: Path, plain: dict) -> list[Dataset]:
    splits = plain["splits"]
    if "by" in splits:
        splits = ["train", *(key for key in splits if key in ("val", "test"))]
    return [open_dataset(root, split, paired=False) for split in splits]


def passes(root: Path, pairs: int) -> dict:
    """The draft is a whole description: all pairs are found, and nothing is at fault."""
    plain = drafted(root)
    datasets = opened(root, plain)
    assert sum(map(len, datasets)) == pairs and all(map(len, datasets))
    found = examine(*datasets, everything=True).findings
    assert [f.line for f in found if f.kind != "absent_class"] == []
    return plain


LAYOUTS = {  # images, masks -> the patterns
    ("images/{}.png", "masks/{}.png"): ("images/*", "masks/*"),
    ("img/{}.png", "ann/{}.png"): ("img/*", "ann/*"),
    ("JPEGImages/{}.png", "SegmentationClass/{}.png"): ("JPEGImages/*", "SegmentationClass/*"),
    ("x{}.png", "x{}_mask.png"): ("*.png", "*_mask.png"),
    ("x{}.png", "x{}_L.png"): ("*.png", "*_L.png"),
    ("x{}.png", "x{}_gt.png"): ("*.png", "*_gt.png"),
    ("x{}.png", "x{}-seg.png"): ("*.png", "*-seg.png"),
    ("x{}.png", "x{}_label.png"): ("*.png", "*_label.png"),
    ("{}_sat.png", "{}_mask.png"): ("*_sat.png", "*_mask.png"),
    ("img_{}.png", "mask_{}.png"): ("img_*", "mask_*"),
    ("all/img_{}.png", "all/x/mask_{}.png"): ("all/img_*", "all/x/mask_*"),
    ("foo/{}.png", "bar/{}.png"): ("foo/*", "bar/*"),
    ("images/s{0}/{0}.png", "masks/s{0}/{0}.png"): ("images/*/*", "masks/*/*"),
    ("s{0}/rgb/a.png", "s{0}/gt/a.png"): ("*/rgb/*", "*/gt/*"),
    ("imagesTr/c{}_0000.png", "labelsTr/c{}.png"): ("imagesTr/*_0000.png", "labelsTr/*"),
    ("training/image_2/{}.png", "training/semantic/{}.png"): (
        "training/image_2/*",
        "training/semantic/*",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_usual_layouts_without_splits_are_found(tmp_path: Path, layout: tuple[str, str]):
    plain = passes(tree(tmp_path, *layout), 8)
    (found,) = plain["layouts"]
    assert (found["images"], found["masks"]) == LAYOUTS[layout]
    assert plain["splits"]["by"] == "hash"


SPLIT = {
    ("{split}/images/{}", "{split}/masks/{}"): ("train", "val"),
    ("images/{split}/{}", "annotations/{split}/{}"): ("training", "validation"),
    ("{split}_images/{}", "{split}_labels/{}"): ("train", "test"),
    ("{split}/{}", "{split}annot/{}"): ("train", "val"),
    ("data/{split}/image/{}", "data/{split}/label/{}"): ("Train", "Val"),
    ("leftImg8bit/{split}/s/{}_image", "gtFine/{split}/s/{}_label"): ("train", "val"),
    ("images{split}/{}_0000", "labels{split}/{}"): ("Tr", "Ts"),
}


@pytest.mark.parametrize("layout", SPLIT)
def test_splits_in_folders_keep_their_words(tmp_path: Path, layout: tuple[str, str]):
    words = SPLIT[layout]
    for place, word in enumerate(words):
        images, masks = (pattern.replace("{split}", word) for pattern in layout)
        for index in range(4):
            number = f"{place}{index}"
            write_png(tmp_path / f"{images.format(number)}.png", random_image(4 * place + index))
            write_png(tmp_path / f"{masks.format(number)}.png", stripes((0, 1, 2), index))
    plain = passes(tmp_path, 8)
    assert tuple(plain["splits"].values()) == words
    assert next(iter(plain["splits"])) == "train"


def test_cityscapes_takes_the_label_ids_and_says_what_is_left_aside(tmp_path: Path):
    root = cityscapes_tree(tmp_path)
    plain = passes(root, 6)
    assert plain["layouts"] == [
        {
            "images": "leftImg8bit/{split}/*/*_leftImg8bit.png",
            "masks": "gtFine/{split}/*/*_gtFine_labelIds.png",
        }
    ]
    _, told = draft_folder(root)
    assert "left aside: gtFine/train/aachen (4)" in told[-1]
    assert (
        told[1] == "this is laid out as cityscapes, which is described: dataset=cityscapes reads it"
    )


def test_a_layout_that_any_folder_may_have_is_no_dataset_that_we_know(tmp_path: Path):
    _, told = draft_folder(camvid_tree(tmp_path / "a"))
    assert not any("laid out as" in line for line in told)
    _, told = draft_folder(camvid_tree(tmp_path / "b", segnet=True))
    assert "laid out as camvid" in told[1]


@pytest.mark.parametrize("segnet", [False, True])
def test_camvid_is_found_in_both_layouts(tmp_path: Path, segnet: bool):
    plain = passes(camvid_tree(tmp_path, segnet=segnet), 6)
    assert len(plain["classes"]) == 12


def test_folders_of_several_depths_are_one_layout(tmp_path: Path):
    for index, inner in enumerate(("", "a/", "a/b/", "c/")):
        for kind in ("images", "masks"):
            pixels = random_image(index) if kind == "images" else stripes((0, 1), index)
            for copy in range(2):
                write_png(tmp_path / kind / f"{inner}{index}_{copy}.png", pixels + np.uint8(copy))
    plain = drafted(tmp_path)
    assert plain["layouts"] == [{"images": "images/**/*", "masks": "masks/**/*"}]
    assert sum(map(len, opened(tmp_path, plain))) == 8


def test_lists_of_names_are_the_splits(tmp_path: Path):
    root = tree(tmp_path, "JPEGImages/{}.png", "SegmentationClass/{}.png")
    for task in ("Main", "Segmentation"):
        lists = root / "ImageSets" / task
        lists.mkdir(parents=True)
        (lists / "train.txt").write_text("0\n1\n2\n3\n4\n")
        (lists / "val.txt").write_text("5\n6\n7\n")
        (lists / "trainval.txt").write_text("".join(f"{i}\n" for i in range(8)))
    plain = passes(root, 8)
    assert plain["splits"] == {
        "train": {"list": "ImageSets/Segmentation/train.txt"},
        "val": {"list": "ImageSets/Segmentation/val.txt"},
    }


def test_a_test_split_without_masks_is_left_out(tmp_path: Path):
    root = plain_folder(tmp_path)
    write_png(root / "test/images/1.png", random_image(99))
    assert list(passes(root, 6)["splits"]) == ["train", "val"]


def test_many_folders_of_frames_are_dealt_whole(tmp_path: Path):
    root = tree(tmp_path, "images/s{0}/{0}.png", "masks/s{0}/{0}.png", count=20)
    for index in range(20):
        write_png(root / f"images/s{index}/more.png", random_image(100 + index))
        write_png(root / f"masks/s{index}/more.png", stripes((0, 1, 2), index))
    plain = passes(root, 40)
    assert plain["splits"]["group"] == 1
    train, val = (
        {name.split("/")[0] for name in dataset.ids} for dataset in opened(root, plain)[:2]
    )
    assert not train & val


def values_of(plain: dict) -> list:
    return [entry["values"] for entry in plain["classes"]]


def test_0_and_255_are_background_and_foreground(tmp_path: Path):
    plain = passes(tree(tmp_path, "images/{}.png", "masks/{}.png", values=(0, 255)), 8)
    assert [entry["name"] for entry in plain["classes"]] == ["background", "foreground"]
    assert values_of(plain) == [[0], [255]] and plain["ignore"] == []


def test_255_beside_others_is_ignored_and_gaps_stay_gaps(tmp_path: Path):
    plain = passes(tree(tmp_path, "images/{}.png", "masks/{}.png", values=(0, 3, 9, 255)), 8)
    assert values_of(plain) == [[0], [3], [9]] and plain["ignore"] == [255]


def test_the_colours_of_rgb_masks_are_classes(tmp_path: Path):
    colors = np.array([(0, 0, 0), (128, 64, 128), (70, 70, 70)], np.uint8)
    for index in range(4):
        write_png(tmp_path / f"images/{index}.png", random_image(index))
        write_png(tmp_path / f"masks/{index}.png", colors[stripes((0, 1, 2), index)])
    plain = passes(tmp_path, 4)
    assert values_of(plain) == [[[0, 0, 0]], [[70, 70, 70]], [[128, 64, 128]]]
    assert [entry["color"] for entry in plain["classes"]] == [
        [0, 0, 0],
        [70, 70, 70],
        [128, 64, 128],
    ]


def test_a_palette_gives_its_colours(tmp_path: Path):
    palette = [0, 0, 0, 10, 200, 30, 40, 50, 60]
    for index in range(4):
        write_png(tmp_path / f"images/{index}.png", random_image(index))
        write_png(tmp_path / f"masks/{index}.png", stripes((0, 1, 2), index), palette)
    plain = passes(tmp_path, 4)
    assert [entry["color"] for entry in plain["classes"]] == [
        [0, 0, 0],
        [10, 200, 30],
        [40, 50, 60],
    ]


NAMES: dict[str, str] = {
    "classes.txt": "sky\nroad\ncar\n",
    "labels.txt": "0 sky\n1: road\n2, car\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\nsky:0,0,0::\nroad:1,1,1::\ncar:2,2,2::\n",
    "dataset.json": json.dumps({"labels": {"sky": 0, "road": 1, "car": 2}}),
}


@pytest.mark.parametrize("file", NAMES)
def test_a_file_of_names_names_the_values(tmp_path: Path, file: str):
    root = tree(tmp_path, "images/{}.png", "masks/{}.png")
    (root / file).write_text(NAMES[file])
    assert [entry["name"] for entry in passes(root, 8)["classes"]] == ["sky", "road", "car"]
    assert f"# The names are those of {file}." in (root / "dataset.yaml").read_text()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("class_dict.csv", "name,r,g,b\nRoad,128,64,128\nSky,70,70,70\nMoon,1,2,3\n"),
        ("label_colors.txt", "128 64 128\tRoad\n70 70 70\tSky\n1 2 3\tMoon\n"),
    ],
)
def test_a_table_of_colours_names_the_colours_and_adds_what_was_not_seen(
    tmp_path: Path, file: str, text: str
):
    colors = np.array([(128, 64, 128), (70, 70, 70)], np.uint8)
    for index in range(4):
        write_png(tmp_path / f"images/{index}.png", random_image(index))
        write_png(tmp_path / f"masks/{index}.png", colors[stripes((0, 1), index)])
    (tmp_path / file).write_text(text)
    plain = passes(tmp_path, 4)
    named = {entry["name"]: entry["values"] for entry in plain["classes"]}
    assert named == {"Road": [[128, 64, 128]], "Sky": [[70, 70, 70]], "Moon": [[1, 2, 3]]}


def test_names_counted_from_one_leave_0_without_one(tmp_path: Path):
    root = tree(tmp_path, "images/{}.png", "masks/{}.png", values=(0, 1, 2, 3))
    (root / "classes.txt").write_text("sky\nroad\ncar\n")
    plain = passes(root, 8)
    assert [entry["name"] for entry in plain["classes"]] == ["class_0", "sky", "road", "car"]


def test_grey_images_have_one_channel(tmp_path: Path):
    for index in range(4):
        write_png(tmp_path / f"images/{index}.png", random_image(index)[..., 0])
        write_png(tmp_path / f"masks/{index}.png", stripes((0, 1), index))
    assert passes(tmp_path, 4)["channels"] == 1


@pytest.mark.parametrize("bands", [2, 5])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_bands_of_a_tiff_are_counted_and_floats_get_their_range(
    tmp_path: Path, bands: int, kind: str
):
    import tifffile

    (tmp_path / "images").mkdir()
    for index in range(4):
        pixels = np.random.default_rng(index).integers(1, 200, (32, 48, bands)).astype(kind)
        file = tmp_path / f"images/{index}.tif"
        tifffile.imwrite(file, pixels, photometric="minisblack", planarconfig="contig")
        write_png(tmp_path / f"masks/{index}.png", stripes((0, 1), index))
    plain = passes(tmp_path, 4)
    assert plain["channels"] == bands
    assert ("value_range" in plain) == (kind == "float32")


def labelme(root: Path) -> int:
    for index in range(6):
        write_png(root / f"{index}.png", random_image(index))
        shape = {"label": f'a "{index % 2}": b', "points": [[1, 1], [30, 1], [30, 20]]}
        shape |= {"shape_type": "polygon", "group_id": None, "flags": {}}
        size = {"imageHeight": 32, "imageWidth": 48, "imagePath": f"{index}.png"}
        (root / f"{index}.json").write_text(json.dumps({"shapes": [shape], **size}))
    return 6


def coco(root: Path, *files: tuple[str, str]) -> int:
    for number, (folder, file) in enumerate(files):
        images, annotations = [], []
        for index in range(4):
            name = f"{number}_{index}.png"
            write_png(root / folder / name, random_image(10 * number + index))
            images.append({"id": index, "file_name": name, "height": 32, "width": 48})
            ring = [1, 1, 30, 1, 30, 20 + index]
            annotations.append(
                {
                    "id": index + 1,
                    "image_id": index,
                    "category_id": 7 + index % 2,
                    "segmentation": [ring],
                    "area": 300.0,
                    "iscrowd": 0,
                }
            )
        categories = [{"id": 7, "name": "cat"}, {"id": 8, "name": "dog"}]
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        plain = {"images": images, "annotations": annotations, "categories": categories}
        (root / file).write_text(json.dumps(plain))
    return 4 * len(files)


def cvat(root: Path) -> int:
    text = "<?xml version='1.0'?><annotations><version>1.1</version>"
    for index in range(6):
        write_png(root / f"images/{index}.png", random_image(index))
        text += (
            f'<image id="{index}" name="{index}.png" width="48" height="32"><polygon label="cat" '
            'occluded="0" points="1,1;30,1;30,20" z_order="0"></polygon></image>'
        )
    (root / "annotations.xml").write_text(text + "</annotations>")
    return 6


ANNOTATED: dict[str, tuple[Callable[[Path], int], dict[str, str]]] = {
    "labelme": (labelme, {"images": "*", "shapes": "*.json", "format": "labelme"}),
    "coco, two files": (
        lambda root: coco(
            root,
            ("train2017", "annotations/instances_train2017.json"),
            ("val2017", "annotations/instances_val2017.json"),
        ),
        {
            "images": "{split}2017/*",
            "shapes": "annotations/instances_{split}2017.json",
            "format": "coco",
        },
    ),
    "coco, one file": (
        lambda root: coco(root, ("images", "result.json")),
        {"images": "images/*", "shapes": "result.json", "format": "coco"},
    ),
    "cvat": (cvat, {"images": "images/*", "shapes": "annotations.xml", "format": "cvat"}),
}


@pytest.mark.parametrize("kind", ANNOTATED)
def test_annotations_are_found_with_their_labels(tmp_path: Path, kind: str):
    make, layout = ANNOTATED[kind]
    plain = passes(tmp_path, make(tmp_path))
    assert plain["layouts"] == [layout]
    assert plain["classes"][0]["name"] == "background"
    assert all(entry["values"] == [entry["name"]] for entry in plain["classes"])


# What is refused, and what is not touched


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        draft_folder(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_dataset_is_refused_with_what_there_is(tmp_path: Path):
    assert "does not exist" in refusal(tmp_path / "nothing")
    assert "there is no image in it" in refusal(tmp_path)
    write_png(tmp_path / "photos/1.png", random_image(0))
    assert "photos/* (1, image)" in refusal(tmp_path)


def test_masks_that_are_no_classes_are_refused(tmp_path: Path):
    root = tree(tmp_path, "images/{}.png", "masks/{}.png")
    write_png(root / "masks/1.png", np.arange(32 * 48, dtype=np.uint16).reshape(32, 48))
    assert "more than 256 different values" in refusal(root)


def test_a_lossy_mask_is_refused(tmp_path: Path):
    for index in range(4):
        write_png(tmp_path / f"images/{index}.png", random_image(index))
        file = tmp_path / f"masks/{index}.jpg"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(stripes((0, 1), index)).save(file)
    assert "no images and masks" in refusal(tmp_path) or "JPEG" in refusal(tmp_path)


def test_drafting_changes_nothing_in_the_folder(tmp_path: Path):
    root = camvid_tree(tmp_path)
    before = tree_digest(root)
    draft_folder(root)
    assert tree_digest(root) == before


def test_words_are_read_as_people_mean_them():
    assert read_folder("masks_val").template == "masks_{split}"
    assert read_folder("masks_val").role == "mask"
    assert read_folder("val2017").template == "{split}2017"
    assert read_folder("trains") == read_folder("trains") and read_folder("trains").word == ""
    assert read_stem("street_7") is None
    city = read_stem("aachen_000000_000019_gtFine_labelIds")
    assert city is not None and (city.core, city.suffix) == (
        "aachen_000000_000019",
        "_gtFine_labelIds",
    )


NAME = st.text("abcxyz019-", min_size=1, max_size=6).map(lambda text: f"n{text}")


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    layout=st.sampled_from([*LAYOUTS]),
    names=st.lists(NAME, min_size=8, max_size=12, unique_by=str.lower),
    values=st.lists(st.integers(0, 255), min_size=2, max_size=6, unique=True),
)
def test_the_check_passes_on_what_is_drafted_of_any_clean_tree(
    tmp_path_factory: pytest.TempPathFactory,
    layout: tuple[str, str],
    names: list[str],
    values: list[int],
):
    root = tmp_path_factory.mktemp("tree")
    for index, name in enumerate(names):
        write_png(root / layout[0].format(name), random_image(index))
        write_png(root / layout[1].format(name), stripes(values, index))
    passes(root, len(names))
