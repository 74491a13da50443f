"""Every number's full name, what it says in a line, and its formula with the source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Score:
    """A number of a whole dataset, by its key in metrics.json."""

    key: str
    name: str
    line: str
    formula: str
    """How it is computed, and who defined it."""


SCORES = (
    Score(
        "miou",
        "Dataset mIoU",
        "mean over the classes of the IoU, pixels summed over all images first",
        "IoU = TP / (TP + FP + FN) of each class, its pixels summed over all images; then the mean "
        "over the classes that occur in the truth or in the prediction. The number of the "
        "benchmarks. Everingham et al. 2010.",
    ),
    Score(
        "image_miou",
        "Image mIoU",
        "the mIoU of each image alone, then the mean over the images",
        "mIoU of each image over the classes in its truth or prediction; then the mean over the "
        "images. A class of few pixels counts fully in its image. Csurka et al. 2013.",
    ),
    Score(
        "frequency_weighted_iou",
        "Frequency-weighted IoU",
        "IoU of the classes, each weighted by its share of the true pixels",
        "Sum over the classes of IoU x true pixels of the class / all counted pixels. Large "
        "classes decide it.",
    ),
    Score(
        "pixel_accuracy",
        "Pixel accuracy",
        "share of all counted pixels that are right",
        "Right pixels / counted pixels. Large classes decide it. Csurka et al. 2013.",
    ),
    Score(
        "mean_accuracy",
        "Mean class accuracy",
        "mean over the classes of the share of true pixels that are found (recall)",
        "TP / (TP + FN) of each class; then the mean over the classes in the truth. False "
        "positives cost nothing in it. Csurka et al. 2013.",
    ),
    Score(
        "mean_dice",
        "Mean Dice",
        "mean over the classes of 2 x overlap / sum of both areas (F1 of the pixels)",
        "Dice = 2 TP / (2 TP + FP + FN) = 2 IoU / (1 + IoU) of each class; then the mean.",
    ),
    Score(
        "boundary_iou",
        "Boundary IoU",
        "IoU of the bands along the classes' boundaries: how well outlines fit",
        "IoU between the pixels of truth and of prediction that lie within a distance of their own "
        "boundary, of each class; then the mean. Cheng et al. 2021.",
    ),
    Score(
        "boundary_f",
        "Boundary F",
        "share of the outlines that meet within a distance (harmonic mean of both sides)",
        "F = 2 P R / (P + R): P the share of the predicted contour near a true one, R the share of "
        "the true contour near a predicted one, of each class; then the mean. Csurka et al. 2013.",
    ),
    Score(
        "category_miou",
        "Category mIoU",
        "mIoU after the classes of each category are taken as one",
        "As the dataset mIoU, over categories: a car taken for a truck is right.",
    ),
    Score(
        "iiou",
        "Mean iIoU (instances)",
        "IoU in which each object counts alike, however large it is",
        "iIoU = iTP / (iTP + FP + iFN): true pixels weighted by the mean size of the class's "
        "objects / the size of their own object; then the mean. Cordts et al. 2016.",
    ),
    Score(
        "category_iiou",
        "Category iIoU (instances)",
        "the instance-weighted IoU, over categories",
        "As the instance-weighted IoU, over categories.",
    ),
    Score(
        "ece",
        "Expected calibration error",
        "by how much the confidence misses the accuracy, on average; 0 is best",
        "Sum over the bins of confidence of their share of the pixels x |accuracy - mean "
        "confidence|. Guo et al. 2017.",
    ),
)

SMALLER_IS_BETTER = frozenset({"ece"})

SOURCES = (
    "Everingham et al. 2010: The Pascal Visual Object Classes (VOC) Challenge, IJCV.",
    "Csurka et al. 2013: What is a good evaluation measure for semantic segmentation?, BMVC.",
    "Cordts et al. 2016: The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR.",
    "Guo et al. 2017: On Calibration of Modern Neural Networks, ICML.",
    "Cheng et al. 2021: Boundary IoU: Improving Object-Centric Image Segmentation Evaluation, "
    "CVPR.",
)


def value(facts: Mapping[str, Any], key: str) -> float | None:
    """A score by its key, wherever metrics.json keeps it; None where it has no value."""
    found = facts.get(key)
    # Of instances there is a score for each class, too.
    return found.get("mean") if isinstance(found, Mapping) else found


def interval(facts: dict[str, Any], key: str) -> list[float] | None:
    """The interval of a score; None where there is none."""
    return (facts.get("intervals") or {}).get(key)
