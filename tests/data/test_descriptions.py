"""Each described dataset is opened from a small tree in its official layout and file formats.

The expected class indices are written here from the official tables, not from our descriptions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_trees import random_image, stripes, write_png
from PIL import Image

from effunet.data.catalog import open_dataset
from effunet.errors import DataError
from effunet.labels import IGNORE
from effunet.values import UnknownValues

SIZE = (24, 48)  # height, width


@dataclass(frozen=True)
class Case:
    """One image of each split in the official tree; {split} is the folder name of a split."""

    dataset: str
    image: str
    mask: str
    meaning: Mapping[Any, int]  # raw value -> class index
    unknown: Any  # a raw value that stands in no table
    splits: Mapping[str, str] = field(default_factory=lambda: {"train": "train", "val": "val"})
    mode: str = "L"
    others: Mapping[str, str] = field(default_factory=dict)  # text files, and copies of the mask

    def write(self, root: Path, values: Sequence[Any]) -> None:
        for place, (split, folder) in enumerate(self.splits.items()):
            image, mask = (
                root / pattern.format(split=folder, name=f"{split}_{place:06d}")
                for pattern in (self.image, self.mask)
            )
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random_image(place, SIZE)).save(image)
            write_mask(mask, values, self.mode)
            for file, text in self.others.items():
                named = {"split": folder, "name": f"{split}_{place:06d}"}
                other = root / file.format(**named)
                other.parent.mkdir(parents=True, exist_ok=True)
                if text == "MASK":
                    write_mask(other, values, self.mode)
                else:
                    other.write_text(text.format(**named))


def write_mask(file: Path, values: Sequence[Any], mode: str) -> None:
    """The raw values in upright stripes, as grey, palette or RGB PNG."""
    places = stripes(range(len(values)), size=SIZE)
    pixels = np.array(values, np.uint8)[places]
    write_png(file, pixels, list(range(256)) * 3 if mode == "P" else None)


# cityscapesScripts, helpers/labels.py: id -> trainId.
CITYSCAPES = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11}
CITYSCAPES |= {25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}
CITYSCAPES |= dict.fromkeys([0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30], IGNORE)
TRAIN_IDS = {i: i for i in range(19)} | {255: IGNORE}
VOC = {i: i for i in range(21)} | {255: IGNORE}
VOC_LISTS = {
    "ImageSets/Segmentation/train.txt": "train_000000\n",
    "ImageSets/Segmentation/val.txt": "val_000001\n",
    # Most images of the download have no mask; they are in none of the lists.
    "JPEGImages/2007_000027.jpg": "of another task",
}
TRIMAPS = {
    "annotations/trainval.txt": "train_000000 1 1 1\n",
    "annotations/test.txt": "val_000001 37 2 12\n",
    # What the archive holds besides.
    "annotations/trimaps/._{name}.png": "resource fork of a Mac",
    "annotations/README": "1: Foreground 2:Background 3: Not classified",
}
CAMVID = {
    "train.txt": "/SegNet/CamVid/train/train_000000.png /SegNet/CamVid/trainannot/x.png\n",
    "val.txt": "/SegNet/CamVid/val/val_000001.png /SegNet/CamVid/valannot/x.png\n",
    "test.txt": "/SegNet/CamVid/test/test_000002.png /SegNet/CamVid/testannot/x.png\n",
}
THREE = {"train": "train", "val": "val", "test": "test"}
# The 32 colours of CamVid grouped as in SegNet's training.
COLORS = {
    (128, 128, 128): 0,  # Sky
    (128, 0, 0): 1, (64, 192, 0): 1, (0, 128, 64): 1, (64, 0, 64): 1, (192, 0, 128): 1,
    (192, 192, 128): 2, (0, 0, 64): 2,  # Column_Pole, TrafficCone
    (128, 64, 128): 3, (128, 0, 192): 3, (192, 0, 64): 3,  # Road and what is painted on it
    (0, 0, 192): 4, (64, 192, 128): 4, (128, 128, 192): 4,  # Sidewalk, ParkingBlock, RoadShoulder
    (128, 128, 0): 5, (192, 192, 0): 5,  # Tree, VegetationMisc
    (192, 128, 128): 6, (128, 128, 64): 6, (0, 64, 64): 6,  # SignSymbol, Misc_Text, TrafficLight
    (64, 64, 128): 7,  # Fence
    (64, 0, 128): 8, (64, 128, 192): 8, (192, 128, 192): 8, (192, 64, 128): 8, (128, 64, 64): 8,
    (64, 64, 0): 9, (192, 128, 64): 9, (64, 0, 192): 9, (64, 128, 64): 9,
    (0, 128, 192): 10, (192, 0, 192): 10,  # Bicyclist, MotorcycleScooter
    (0, 0, 0): IGNORE, (77, 77, 0): IGNORE, (128, 128, 51): IGNORE,  # Void, and faulty pixels
}  # fmt: skip
COCO = {0: 0, 10: 10, 12: 11, 24: 23, 26: 24, 89: 79, 91: 80, 181: 170, 255: IGNORE}
VISTAS2 = {0: 0, 1: 1, 3: 2, 21: 20, 30: 29, 32: 30, 108: 102, 122: 115, 2: IGNORE, 31: IGNORE}
VISTAS2 |= dict.fromkeys([38, 79, 86, 96, 115, 123], IGNORE)

CASES = [
    Case(
        "cityscapes",
        "leftImg8bit/{split}/aachen/aachen_{name}_leftImg8bit.png",
        "gtFine/{split}/aachen/aachen_{name}_gtFine_labelIds.png",
        CITYSCAPES,
        34,
        THREE,
        others={
            "gtFine/{split}/aachen/aachen_{name}_gtFine_instanceIds.png": "MASK",
            "gtFine/{split}/aachen/aachen_{name}_gtFine_polygons.json": "{{}}",
        },
    ),
    Case(
        "cityscapes:coarse",
        "leftImg8bit/{split}/erlangen/erlangen_{name}_leftImg8bit.png",
        "gtCoarse/{split}/erlangen/erlangen_{name}_gtCoarse_labelIds.png",
        CITYSCAPES,
        34,
        {"train": "train_extra", "val": "val"},
    ),
    Case(
        "camvid",
        "{split}/{name}.png",
        "{split}annot/{name}.png",
        {i: i for i in range(11)} | {11: IGNORE},
        12,
        THREE,
    ),
    Case(
        "camvid:colors",
        "701_StillsRaw_full/{name}.png",
        "LabeledApproved_full/{name}_L.png",
        COLORS,
        (128, 64, 129),
        THREE,
        others=CAMVID,
    ),
    Case(
        "camvid:all",  # by name, the letter case apart; Void has no index
        "701_StillsRaw_full/{name}.png",
        "LabeledApproved_full/{name}_L.png",
        {(64, 128, 64): 0, (192, 0, 128): 1, (64, 192, 0): 30, (0, 0, 0): IGNORE},
        (128, 64, 129),
        THREE,
        others=CAMVID,
    ),
    Case(
        "pascal_voc",
        "JPEGImages/{name}.jpg",
        "SegmentationClass/{name}.png",
        VOC,
        21,
        mode="P",
        others=VOC_LISTS,
    ),
    Case(
        "pascal_voc:sbd",  # grey, not palette
        "JPEGImages/{name}.jpg",
        "SegmentationClassAug/{name}.png",
        VOC,
        21,
        others={
            "ImageSets/Segmentation/train_aug.txt": "train_000000\n",
            "ImageSets/Segmentation/val.txt": "val_000001\n",
        },
    ),
    Case(
        "ade20k",
        "images/{split}/ADE_{name}.jpg",
        "annotations/{split}/ADE_{name}.png",
        {0: IGNORE} | {i: i - 1 for i in range(1, 151)},
        151,
        {"train": "training", "val": "validation"},
    ),
    Case(
        "coco_stuff",
        "images/{split}/{name}.jpg",
        "annotations/{split}/{name}.png",
        COCO,
        11,  # street sign, which nothing is labelled with
        {"train": "train2017", "val": "val2017"},
        others={"annotations/{split}/{name}_labelTrainIds.png": "MASK"},
    ),
    Case(
        "coco_stuff",
        "{split}/{name}.jpg",
        "stuffthingmaps_trainval2017/{split}/{name}.png",
        COCO,
        90,
        {"train": "train2017", "val": "val2017"},
    ),
    Case(
        "idd",
        "leftImg8bit/{split}/0/{name}_leftImg8bit.png",
        "gtFine/{split}/0/{name}_gtFine_labellevel3Ids.png",
        {i: i for i in range(26)} | {255: IGNORE},
        26,
        others={"gtFine/{split}/0/{name}_gtFine_polygons.json": "{{}}"},
    ),
    Case(
        "idd:cityscapes",
        "leftImg8bit/{split}/0/{name}_leftImg8bit.jpg",  # as part II has it
        "gtFine/{split}/0/{name}_gtFine_labelcsTrainIds.png",
        TRAIN_IDS,
        19,
        others={"gtFine/{split}/0/{name}_gtFine_labellevel3Ids.png": "MASK"},
    ),
    Case(
        "idd_lite",
        "leftImg8bit/{split}/87/{name}_image.jpg",
        "gtFine/{split}/87/{name}_label.png",
        {i: i for i in range(7)} | {255: IGNORE},
        7,
        others={"gtFine/{split}/87/{name}_inst_label.png": "MASK"},
    ),
    Case(
        "mapillary_vistas",
        "{split}/images/{name}.jpg",
        "{split}/v1.2/labels/{name}.png",
        {i: i for i in range(65)} | {65: IGNORE},
        66,
        {"train": "training", "val": "validation"},
        mode="P",
        others={"{split}/v2.0/labels/{name}.png": "MASK"},
    ),
    Case(
        "mapillary_vistas",  # versions 1.0 and 1.1
        "{split}/images/{name}.jpg",
        "{split}/labels/{name}.png",
        {i: i for i in range(65)} | {65: IGNORE},
        66,
        {"train": "training", "val": "validation"},
        mode="P",
    ),
    Case(
        "mapillary_vistas:v2",
        "{split}/images/{name}.jpg",
        "{split}/v2.0/labels/{name}.png",
        VISTAS2,
        124,
        {"train": "training", "val": "validation"},
        mode="P",
        others={"{split}/v1.2/labels/{name}.png": "MASK"},
    ),
    Case(
        "bdd100k",
        "images/10k/{split}/{name}.jpg",
        "labels/sem_seg/masks/{split}/{name}.png",
        TRAIN_IDS,
        19,
    ),
    Case(
        "bdd100k",  # the release of 2018
        "seg/images/{split}/{name}.jpg",
        "seg/labels/{split}/{name}_train_id.png",
        TRAIN_IDS,
        19,
        others={"seg/color_labels/{split}/{name}_train_color.png": "MASK"},
    ),
    Case(
        "oxford_pet",
        "images/{name}.jpg",
        "annotations/trimaps/{name}.png",
        {1: 1, 2: 0, 3: IGNORE},
        4,
        others=TRIMAPS,
    ),
    Case(
        "oxford_pet:border_as_pet",
        "images/{name}.jpg",
        "annotations/trimaps/{name}.png",
        {1: 1, 2: 0, 3: 1},
        4,
        others=TRIMAPS,
    ),
    Case(
        "oxford_pet:border_as_class",
        "images/{name}.jpg",
        "annotations/trimaps/{name}.png",
        {1: 1, 2: 0, 3: 2},
        4,
        others=TRIMAPS,
    ),
]
IDS = [f"{case.dataset}-{case.mask.replace('/', '.')}" for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_official_tree_is_read_with_the_ids_of_the_official_table(case: Case, tmp_path: Path):
    values = list(case.meaning)
    for first in range(0, len(values), SIZE[1]):
        some = values[first : first + SIZE[1]]
        case.write(tmp_path, some)
        expected = np.array([case.meaning[v] for v in some])[stripes(range(len(some)), size=SIZE)]
        for split in case.splits:
            (sample,) = open_dataset(case.dataset, split, tmp_path)
            np.testing.assert_array_equal(sample.mask, expected)
            assert sample.image.shape == (*SIZE, 3)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_value_outside_the_official_table_is_refused(case: Case, tmp_path: Path):
    known = next(iter(case.meaning))
    case.write(tmp_path, [known, case.unknown])
    with pytest.raises(UnknownValues) as fault:
        open_dataset(case.dataset, "val", tmp_path)[0]
    assert list(fault.value.counts) == [case.unknown]
    assert "dataset.yaml" in str(fault.value)


# helpers/anue_labels.py of AutoNUE: label -> level3Id, csTrainId.
IDD_LABELS = {
    "road": (0, 0), "parking": (1, 255), "drivable fallback": (1, 255), "sidewalk": (2, 1),
    "rail track": (3, 255), "non-drivable fallback": (3, 9), "person": (4, 11), "animal": (4, 255),
    "rider": (5, 12), "motorcycle": (6, 17), "bicycle": (7, 18), "autorickshaw": (8, 255),
    "car": (9, 13), "truck": (10, 14), "bus": (11, 15), "caravan": (12, 255), "trailer": (12, 255),
    "train": (12, 16), "vehicle fallback": (12, 255), "curb": (13, 255), "wall": (14, 3),
    "fence": (15, 4), "guard rail": (16, 255), "billboard": (17, 255), "traffic sign": (18, 7),
    "traffic light": (19, 6), "pole": (20, 5), "polegroup": (20, 255),
    "obs-str-bar-fallback": (21, 255), "building": (22, 2), "bridge": (23, 255),
    "tunnel": (23, 255), "vegetation": (24, 8), "sky": (25, 10), "fallback background": (25, 255),
    "unlabeled": (255, 255), "ego vehicle": (255, 255), "rectification border": (255, 255),
    "out of roi": (255, 255), "license plate": (255, 255),
}  # fmt: skip


def write_idd_polygons(root: Path, labels: Sequence[str]) -> None:
    """One column a label, in the order of the file, and a last one that nothing covers."""
    size = (6, len(labels) + 1)
    image = root / "leftImg8bit/val/0/005506_leftImg8bit.png"
    write_png(image, random_image(0, size))
    corners = ((0, 0), (0, 5))
    objects: list[dict[str, Any]] = [
        {"label": label, "polygon": [[i + x, y] for x, y in corners], "deleted": 0}
        for i, label in enumerate(labels)
    ]
    # What an annotator took back is not painted, and need not be known.
    objects.append({"label": "cat", "polygon": [[0, 0], [40, 0], [40, 5], [0, 5]], "deleted": 1})
    drawn = {"imgHeight": size[0], "imgWidth": size[1], "objects": objects}
    file = root / "gtFine/val/0/005506_gtFine_polygons.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(drawn))


@pytest.mark.parametrize(("dataset", "column"), [("idd", 0), ("idd:cityscapes", 1)])
def test_the_polygons_of_idd_are_painted_as_its_own_scripts_do(
    dataset: str, column: int, tmp_path: Path
):
    write_idd_polygons(tmp_path, [*IDD_LABELS, "cargroup"])  # a group means its members
    (sample,) = open_dataset(dataset, "val", tmp_path)
    ids = [ids[column] for ids in [*IDD_LABELS.values(), IDD_LABELS["car"]]]
    np.testing.assert_array_equal(sample.mask, np.broadcast_to([*ids, IGNORE], sample.mask.shape))


def test_a_polygon_with_a_label_that_idd_does_not_have_is_refused(tmp_path: Path):
    write_idd_polygons(tmp_path, ["road", "zebra"])
    with pytest.raises(UnknownValues, match="zebra"):
        open_dataset("idd", "val", tmp_path)[0]


def test_an_image_of_idd_without_mask_and_polygons_is_named(tmp_path: Path):
    write_png(tmp_path / "leftImg8bit/val/0/005506_leftImg8bit.png", random_image(0, SIZE))
    with pytest.raises(DataError, match=r"1 image without a mask: .*005506_leftImg8bit\.png"):
        open_dataset("idd", "val", tmp_path)


def test_kitti_has_every_image_in_one_of_two_splits_and_its_test_images_in_none(tmp_path: Path):
    for index in range(40):
        name = f"{index:06d}_10.png"
        write_png(tmp_path / "training/image_2" / name, random_image(index, SIZE))
        write_mask(tmp_path / "training/semantic" / name, list(CITYSCAPES), "L")
        write_mask(tmp_path / "training/instance" / name, [0], "L")
        write_png(tmp_path / "testing/image_2" / name, random_image(index, SIZE))
    train, val = (open_dataset("kitti", split, tmp_path) for split in ("train", "val"))
    assert sorted([*train.ids, *val.ids]) == [f"{index:06d}_10" for index in range(40)]
    assert 0 < len(val) < len(train)
    raw = stripes(range(len(CITYSCAPES)), size=SIZE)
    np.testing.assert_array_equal(train[0].mask, np.array(list(CITYSCAPES.values()))[raw])


def test_what_is_left_out_is_told_by_file_names_alone(tmp_path: Path):
    layout = '{images: "images/*", masks: "masks/*", skip: "masks/*_inst.png"}'
    text = f"layouts: [{layout}]\nclasses: [a, b]\nsplits: [train]\n"
    (tmp_path / "dataset.yaml").write_text(text)
    with pytest.raises(DataError, match="skip is a file name"):
        open_dataset(tmp_path, "train")


def test_cityscapes_trained_on_coarse_annotations_is_validated_on_fine_ones(tmp_path: Path):
    name = "val/lindau/lindau_000000_000019"
    write_png(tmp_path / f"leftImg8bit/{name}_leftImg8bit.png", random_image(0, SIZE))
    write_mask(tmp_path / f"gtCoarse/{name}_gtCoarse_labelIds.png", [0], "L")
    write_mask(tmp_path / f"gtFine/{name}_gtFine_labelIds.png", [7], "L")
    (sample,) = open_dataset("cityscapes:coarse", "val", tmp_path)
    assert (sample.mask == 0).all()
