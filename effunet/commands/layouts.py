"""What each benchmark's server takes: names of images and of results. No numpy: help lists it.

Sources:
    cityscapes: cityscapesScripts 2.3.0, evaluation/evalPixelLevelSemanticLabeling.py: PNGs of
        labelIds (not trainIds) in one channel, anywhere below one folder, one that matches
        CITY_SEQUENCE_FRAME*.png for each image, of the truth's size.
    ade20k: development kit of the Scene Parsing Challenge 2016 (CSAILVision/sceneparsing): the
        image's name with .png, values 1..150; 0 is "other objects", which is never counted.
    voc: VOC2012 development kit, VOCinit.m: results/VOC2012/Segmentation/COMP_SET_cls/ID.png,
        values 0..20 (VOCevalseg.m refuses larger ones) in VOC's own colours. Competition 6 allows
        any training data, so pretrained weights too; 5 is for those of the challenge alone.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Files for one server."""

    title: str
    dataset: str  # whose dataset.yaml lists the server's ids by class name
    images: re.Pattern[str]  # an image's name without its ending
    example: str  # such a name, for people
    result: str  # the result below --out, without .png; {0} is the pattern's group
    size: tuple[int, int] | None = None  # height and width, where all images have the same
    palette: bool = False  # a palette PNG in VOC's colours, else grey


LAYOUTS = {
    "cityscapes": Layout(
        "Cityscapes",
        "cityscapes",
        re.compile(r"([A-Za-z-]+_\d{6}_\d{6})_leftImg8bit"),
        "berlin_000000_000019_leftImg8bit.png",
        "{0}_labelIds",
        size=(1024, 2048),
    ),
    "ade20k": Layout(
        "ADE20K",
        "ade20k",
        re.compile(r"(ADE_(?:train|val|test)_\d{8})"),
        "ADE_test_00000001.jpg",
        "{0}",
    ),
    "voc": Layout(
        "Pascal VOC",
        "pascal_voc",
        re.compile(r"(\d{4}_\d{6})"),
        "2008_000006.jpg",
        "results/VOC2012/Segmentation/comp6_test_cls/{0}",
        palette=True,
    ),
}
