"""A Predictor: what evaluate and predict ask of a trained network, wherever it runs.

A Segmenter (segmenter.py) answers by torch, an exported file (exported.py) by its own runtime.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from effunet.calibration import Calibration
from effunet.data.files.pixels import Pixels
from effunet.labels import LabelMap
from effunet.model.deciding import decided
from effunet.prediction import Picture, Prediction, as_array


class Predictor(ABC):
    """Images of any size in, probabilities of named classes out."""

    def __init__(self, labels: LabelMap, metadata: dict[str, Any] | None = None) -> None:
        """Name the classes.

        Args:
            labels: one for each class that it knows.
            metadata: facts, plain JSON; a segmenter's are named at its own constructor.

        Raises:
            ValueError: a calibration that is none.
        """
        self.labels = labels
        self.metadata = dict(metadata or {})
        _ = self.calibration  # refused here, not at the first image

    def __call__(self, image: Picture) -> Prediction:
        """Segment one whole image; `effunet.infer` does it in tiles or with a mirrored twin."""
        array = self.as_array(image)
        return self.prediction(array, self.probabilities(array).cpu().numpy())

    def prediction(
        self, image: UInt8[ndarray, "H W C"], probabilities: Float[ndarray, "K H W"]
    ) -> Prediction:
        """What is said of an image, given its probabilities."""
        return Prediction(image, probabilities, self.labels, self.calibration.threshold)

    @property
    @abstractmethod
    def channels(self) -> int:
        """Of an image; 3 is RGB."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where probabilities lie, and where torch's share of the work is done."""

    @property
    def weighs(self) -> bool:
        """Whether its probabilities tell how sure it is; those of a file of masks do not."""
        return True

    def given_mask(self, image: UInt8[ndarray, "H W C"]) -> UInt8[Tensor, "H W"] | None:
        """The class indices of an image, where it gives nothing else; None where it weighs them."""
        return None

    @property
    def pixels(self) -> Pixels:
        """What the numbers of an image file mean, as in the dataset that it was trained on."""
        ranges = self.metadata.get("pixel_ranges") or ()
        return Pixels(self.channels, tuple((float(low), float(high)) for low, high in ranges))

    @property
    def calibration(self) -> Calibration:
        """The temperature and threshold that were fitted for it; the neutral ones otherwise."""
        return Calibration.from_plain(self.metadata.get("calibration"), len(self.labels))

    def decide(self, probabilities: Float[Tensor, "K h w"]) -> UInt8[Tensor, "h w"]:
        """The class index that is named at each pixel, 0..K-1."""
        return self.decided(probabilities)[0]

    def decided(
        self, probabilities: Float[Tensor, "K h w"]
    ) -> tuple[UInt8[Tensor, "h w"], Float[Tensor, "h w"]]:
        """The class index that is named at each pixel, and the probability of that class."""
        return decided(probabilities, self.calibration.threshold)

    def probabilities(self, image: UInt8[ndarray, "H W C"]) -> Float[Tensor, "K H W"]:
        """Probabilities of the classes, on the device; see `strips`."""
        shape = (len(self.labels), *image.shape[:2])
        whole = torch.empty(0)
        for top, part in self.strips(image):
            if part.shape == shape:
                return part
            whole = part.new_empty(shape) if top == 0 else whole
            whole[:, top : top + part.shape[1]] = part
        return whole

    @abstractmethod
    def strips(
        self, image: UInt8[ndarray, "H W C"]
    ) -> Iterator[tuple[int, Float[Tensor, "K h W"]]]:
        """Probabilities from top to bottom, as (first row, strip), on the device."""

    def as_array(self, image: Picture) -> UInt8[ndarray, "H W C"]:
        """Any kind of image as the array that the network takes.

        Raises:
            DataError, ModelError, ValueError: as `effunet.prediction.as_array` says.
        """
        return as_array(image, self.pixels)

    @abstractmethod
    def to_plain(self) -> dict[str, Any]:
        """All facts, as plain JSON."""
