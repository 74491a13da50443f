"""What the descriptions say of classes, colours, numbers of images and other datasets' classes.

The numbers are published ones, written here from their sources and not from our descriptions.
"""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from effunet.data.describe.description import IGNORED, Description, Files
from effunet.data.describe.document import document
from effunet.data.describe.read import read_description
from effunet.values import default_color

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = {file.parent.name: file for file in sorted(REPOSITORY.glob("data/*/dataset.yaml"))}
STREETS = (
    "bdd100k",
    "camvid",
    "cityscapes",
    "idd",
    "idd_lite",
    "kitti",
    "mapillary_vistas",
    "synthetic",
)


def described(name: str) -> Description:
    """Of NAME or NAME:VARIANT."""
    dataset, _, variant = name.partition(":")
    return read_description(FILES[dataset], variant or None)


ALL = [
    name
    for dataset, file in FILES.items()
    for name in (dataset, *(f"{dataset}:{v}" for v in read_description(file).variants))
]

CLASSES = {
    "ade20k": 150, "bdd100k": 19, "camvid": 11, "camvid:drives": 11,
    "camvid:colors": 11, "camvid:all": 31, "cityscapes": 19, "cityscapes:coarse": 19,
    "coco_stuff": 171, "idd": 26, "idd:cityscapes": 19, "idd_lite": 7, "kitti": 19,
    "mapillary_vistas": 65, "mapillary_vistas:v2": 116, "oxford_pet": 2,
    "oxford_pet:border_as_pet": 2, "oxford_pet:border_as_class": 3, "pascal_voc": 21,
    "pascal_voc:sbd": 21, "synthetic": 11,
}  # fmt: skip

# Pairs of class index, name and colour of the official tables.
PALETTE = {
    "ade20k": [(0, "wall", (120, 120, 120)), (12, "person", (150, 5, 61)),
               (20, "car", (0, 102, 200)), (149, "flag", (92, 0, 255))],
    "bdd100k": [(3, "wall", (102, 102, 156)), (4, "fence", (190, 153, 153))],
    "camvid": [(0, "Sky", (128, 128, 128)), (4, "Pavement", (60, 40, 222)),
               (10, "Bicyclist", (0, 128, 192))],
    "camvid:all": [(0, "Animal", (64, 128, 64)), (30, "Wall", (64, 192, 0))],
    "cityscapes": [(0, "road", (128, 64, 128)), (10, "sky", (70, 130, 180)),
                   (18, "bicycle", (119, 11, 32))],
    "coco_stuff": [(0, "person", default_color(1)), (11, "stop sign", default_color(12)),
                   (79, "toothbrush", default_color(80)), (80, "banner", default_color(81)),
                   (170, "wood", default_color(171))],
    "idd": [(1, "drivable fallback", (81, 0, 81)), (8, "autorickshaw", (255, 204, 54)),
            (12, "vehicle fallback", (136, 143, 153)), (25, "sky", (70, 130, 180))],
    "kitti": [(13, "car", (0, 0, 142)), (16, "train", (0, 80, 100))],
    "mapillary_vistas": [(13, "Road", (128, 64, 128)), (41, "Manhole", (100, 128, 160)),
                         (55, "Car", (0, 0, 142)), (64, "Ego Vehicle", (120, 10, 10))],
    "mapillary_vistas:v2": [(2, "Concrete Block", (250, 170, 32)), (20, "Road", (128, 64, 128)),
                            (102, "Car", (0, 0, 142)), (115, "Static", (111, 111, 0))],
    "pascal_voc": [(0, "background", (0, 0, 0)), (15, "person", (192, 128, 128)),
                   (20, "tvmonitor", (0, 64, 128))],
}  # fmt: skip

IMAGES = {
    "ade20k": (20210, 2000), "bdd100k": (7000, 1000), "camvid": (367, 101, 233),
    "camvid:drives": (266, 101), "cityscapes": (2975, 500, 1525), "cityscapes:coarse": (19998, 500),
    "coco_stuff": (118287, 5000), "idd": (6993, 981),
    "idd_lite": (1403, 204), "kitti": (200,), "mapillary_vistas": (18000, 2000),
    "oxford_pet": (3680, 3669), "pascal_voc": (1464, 1449), "pascal_voc:sbd": (10582, 1449),
}  # fmt: skip


# cityscapesScripts, helpers/labels.py: the categories of what is evaluated.
CITYSCAPES_CATEGORIES = {
    "flat": ["road", "sidewalk"], "construction": ["building", "wall", "fence"],
    "object": ["pole", "traffic light", "traffic sign"], "nature": ["vegetation", "terrain"],
    "sky": ["sky"], "human": ["person", "rider"],
    "vehicle": ["car", "truck", "bus", "train", "motorcycle", "bicycle"],
}  # fmt: skip

# The configurations of Mapillary Vistas: classes by what their full names start with.
VISTAS_CATEGORIES = {
    "mapillary_vistas": {
        "animal": 2, "construction": 17, "human": 4, "marking": 2, "nature": 7, "object": 31,
        "void": 2,
    },
    "mapillary_vistas:v2": {
        "animal": 2, "construction": 27, "human": 4, "marking": 19, "marking-only": 4,
        "nature": 7, "object": 48, "void": 5,
    },
}  # fmt: skip


def test_every_dataset_and_variant_is_counted_here():
    assert sorted(ALL) == sorted(CLASSES)


@pytest.mark.parametrize("name", ALL)
def test_a_dataset_has_its_published_number_of_classes(name: str):
    assert len(described(name).labels) == CLASSES[name]


@pytest.mark.parametrize("name", PALETTE)
def test_class_names_and_colours_are_the_official_ones(name: str):
    labels = described(name).labels
    for index, label, color in PALETTE[name]:
        assert (labels.classes[index].name, labels.classes[index].color) == (label, color)


def test_the_palette_of_voc_is_its_own_rule():
    labels = described("pascal_voc").labels
    assert [label.color for label in labels.classes] == [default_color(i) for i in range(21)]


@pytest.mark.parametrize("name", ALL)
def test_no_raw_value_means_two_things(name: str):
    labels = described(name).labels
    values = Counter(v for label in labels.classes for v in label.values) + Counter(labels.ignore)
    assert max(values.values()) == 1


def categories(name: str) -> dict[str, list[str]]:
    labels = described(name).labels
    return {group: [labels.names[i] for i in own] for group, own in labels.categories.items()}


@pytest.mark.parametrize("name", ["cityscapes", "cityscapes:coarse", "bdd100k", "kitti"])
def test_the_categories_of_cityscapes_are_the_official_ones(name: str):
    assert categories(name) == CITYSCAPES_CATEGORIES


def test_idd_read_as_cityscapes_has_its_categories_and_else_those_of_level_1():
    assert categories("idd:cityscapes") == CITYSCAPES_CATEGORIES
    idd = described("idd")
    assert tuple(idd.labels.categories) == described("idd_lite").labels.names
    for label in idd.labels.classes:
        assert label.category == idd.maps["idd_lite"].get(label.name, label.name)


@pytest.mark.parametrize("name", VISTAS_CATEGORIES)
def test_the_categories_of_vistas_are_the_roots_of_its_hierarchy(name: str):
    counts = {group: len(own) for group, own in categories(name).items()}
    assert counts == VISTAS_CATEGORIES[name]


@pytest.mark.parametrize("name", IMAGES)
def test_the_numbers_of_images_are_the_published_ones(name: str):
    assert tuple(described(name).facts.images.values()) == IMAGES[name]


@pytest.mark.parametrize("name", ALL)
def test_a_dataset_says_where_it_is_from_and_under_which_licence(name: str):
    facts = described(name)
    assert facts.title and facts.source and facts.licence
    assert facts.labels.rest == "error"


def test_every_variable_names_one_dataset():
    origins = [described(name).origin for name in FILES]
    variables = [origin.root_env for origin in origins if isinstance(origin, Files)]
    assert all(variables) and len(set(variables)) == len(variables)


@pytest.mark.parametrize("name", ALL)
def test_a_map_says_of_each_class_what_it_becomes(name: str):
    source = described(name)
    for target, table in source.maps.items():
        there = described(target).labels.names
        for label in source.labels.names:
            assert label in table or label in there, f"{name} -> {target}: {label} is left open"
        for label, meant in table.items():
            assert label in source.labels.names
            assert meant in (*there, IGNORED), f"{name} -> {target}: {label}: {meant}"


@pytest.mark.parametrize("name", [n for n in ALL if n.partition(":")[0] in STREETS])
def test_every_street_can_be_read_as_cityscapes_or_as_its_groups(name: str):
    street = described(name)
    named = set(street.labels.names) <= set(described("cityscapes").labels.names)
    assert named or "cityscapes" in street.maps or name == "idd_lite"


def test_idd_means_the_same_groups_of_idd_lite_as_cityscapes_does():
    via = described("cityscapes").maps["idd_lite"]
    for label, meant in described("idd").maps["idd_lite"].items():
        assert via.get(label, meant) == meant


def test_vistas_means_the_same_of_cityscapes_in_both_versions():
    first, second = (described(f"mapillary_vistas{v}").maps["cityscapes"] for v in ("", ":v2"))
    # Billboards, traffic lights and the like were divided; all else kept its name.
    assert {k: v for k, v in first.items() if k in second}.items() <= second.items()
    assert set(first.values()) == set(second.values())


def test_the_table_of_datasets_is_current():
    assert (REPOSITORY / "docs" / "datasets.md").read_text() == document()


def test_the_table_has_a_row_for_every_dataset_and_variant():
    rows = [line for line in document().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == ALL


@pytest.mark.parametrize("name", FILES)
def test_every_dataset_can_be_chosen_in_a_training(name: str):
    config = yaml.safe_load((REPOSITORY / "conf" / "dataset" / f"{name}.yaml").read_text())
    assert config["dataset"]["name"] == name
    size = described(name).facts.size
    if size is not None:
        assert all(crop <= most for crop, most in zip(config["dataset"]["crop"], size, strict=True))
