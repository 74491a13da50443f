"""The figures of a report show what they say: planted faults are found where they were planted."""

import numpy as np
import pytest
import torch
from tiny_segmenter import LABELS, tiny_segmenter
from torch import nn

from effunet.data.dataset import Dataset, Sample
from effunet.evaluation.evaluate import evaluate
from effunet.evaluation.failures import sections
from effunet.segmenter import Segmenter

COLOURS = np.array([[10, 10, 10], [120, 120, 120], [240, 240, 240]], np.uint8)
MISTAKES = {3: 40, 11: 20}
"""Images whose truth is wrong in a square of this side, and which a sure network contradicts."""


class Reading(nn.Module):
    """A network that reads the class from the brightness of a pixel, and is sure of it."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.plan = segmenter.network.plan
        self.weight = nn.Parameter(torch.tensor(20.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        means = torch.tensor([10.0, 120.0, 240.0]).view(1, 3, 1, 1)
        nearest = (image.float().mean(1, keepdim=True) - means).abs().argmin(1)
        return self.weight * nn.functional.one_hot(nearest, 3).permute(0, 3, 1, 2)


class Streets(Dataset):
    """Scenes of three stripes; some have a wrong label in the middle of the second."""

    def __init__(self, mistakes: dict[int, int]) -> None:
        super().__init__("streets", "val", LABELS, [f"scene {i}" for i in range(50)])
        self.mistakes = mistakes

    def __getitem__(self, index: int) -> Sample:
        mask = np.arange(3, dtype=np.uint8).repeat((30, 90, 30))[:, None].repeat(120, 1)
        image = COLOURS[mask]
        side = self.mistakes.get(index, 0)
        mask[75 - side // 2 : 75 + side // 2, 20 : 20 + side] = 2
        return Sample(image, mask, self.ids[index])


def figures(mistakes: dict[int, int]):
    segmenter, dataset = tiny_segmenter(), Streets(mistakes)
    segmenter.network = Reading(segmenter)
    report = evaluate(segmenter, dataset, regions=True, resamples=0)
    return {section.key: section for section in sections(report, segmenter, dataset)}


def test_wrong_labels_are_found_the_largest_first_and_named_with_both_classes():
    suspects = figures(MISTAKES)["suspects"].figures
    assert [figure.title for figure in suspects] == ["scene 3", "scene 11"]
    for figure, side in zip(suspects, MISTAKES.values(), strict=True):
        assert "labelled car, predicted road with 100.0 % confidence" in figure.caption
        pixels = int(figure.caption.split(" on ")[1].split(" pixels")[0].replace(",", ""))
        # The band along the wrong label's own edge is left out.
        assert side**2 / 4 < pixels < side**2


def test_the_worst_images_come_first_and_neighbours_of_one_are_left_out():
    worst = figures({3: 40, 4: 36, 11: 20})["worst"].figures
    places = [int(figure.title.split()[1]) for figure in worst]
    assert places[:2] == [3, 11] and len(places) == 6
    gaps = np.abs(np.subtract.outer(places, places)) + 50 * np.eye(6, dtype=int)
    assert gaps.min() > 2
    # Each wrong pixel is missed in one class and seen too much in another; of equals the first.
    said = "most errors have to do with road: 0 pixels missed, 1,600 seen where it is not"
    assert said in worst[0].caption
    assert [panel.title for panel in worst[0].panels] == [
        "image",
        "truth",
        "prediction",
        "errors",
        "errors of road",
        "confidence",
    ]


def test_confused_classes_are_shown_where_most_of_them_is():
    confused = figures(MISTAKES)["confused"].figures
    assert len(confused) == 1
    assert confused[0].title == "car taken for road"
    assert "2,000 pixels of the split" in confused[0].caption
    assert confused[0].caption.endswith("here in scene 3")
    heights = {panel.picture.shape for panel in confused[0].panels}
    assert len(heights) == 1


def test_a_segmenter_without_a_fault_has_worst_images_and_nothing_else():
    assert list(figures({})) == ["worst"]


def test_figures_need_what_they_are_drawn_from():
    segmenter, dataset = tiny_segmenter(), Streets({})
    with pytest.raises(ValueError, match="regions=True"):
        sections(evaluate(segmenter, dataset, resamples=0), segmenter, dataset)
