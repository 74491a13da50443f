"""An exported file as a Predictor: evaluate and predict use it as they use a segmenter."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from effunet import runtime
from effunet.errors import EffunetError, ModelError
from effunet.labels import LabelMap
from effunet.model.deciding import probable
from effunet.predictor import Predictor


class Exported(Predictor):
    """A model.onnx or an OpenVINO .xml, on its own runtime; torch does what is left to do."""

    def __init__(self, model: runtime.Model, where: str = "the exported file") -> None:
        """Read the facts of a model; `where` names it in faults.

        Raises:
            ModelError: its metadata lack something, or say what cannot be.
        """
        facts = model.facts
        try:
            super().__init__(LabelMap.from_plain(facts["labels"], where), facts)
            self._channels = int(facts["channels"])
        except (EffunetError, ValueError) as error:
            raise ModelError(f"{where} has damaged metadata: {error}; export it again") from error
        self.model = model

    @property
    def channels(self) -> int:
        """Of an image; 3 is RGB."""
        return self._channels

    @property
    def device(self) -> torch.device:
        """The CPU: where the runtime leaves its answers."""
        return torch.device("cpu")

    @property
    def weighs(self) -> bool:
        """Whether it gives more than masks."""
        return self.model.output != "mask"

    def given_mask(self, image: UInt8[ndarray, "H W C"]) -> UInt8[Tensor, "H W"] | None:
        """As a file of masks gives it: no probabilities are made of it to be decided again."""
        return None if self.weighs else self._answer(image)

    def strips(
        self, image: UInt8[ndarray, "H W C"]
    ) -> Iterator[tuple[int, Float[Tensor, "K h W"]]]:
        """The probabilities of the whole image in one; of a file that gives masks 0 and 1."""
        answer = self._answer(image)
        if self.model.output == "logits":
            answer = probable(answer, self.calibration.temperature)
        elif self.model.output == "mask":
            answer = F.one_hot(answer.long(), len(self.labels)).permute(2, 0, 1).float()
        yield 0, answer

    def _answer(self, image: UInt8[ndarray, "H W C"]) -> Tensor:
        size = self.metadata.get("size")
        if size is not None and image.shape[:2] != tuple(size):
            height, width = image.shape[:2]
            raise ModelError(
                f"the export takes images of {size[0]} x {size[1]} pixels alone, and one here has "
                f"{height} x {width}"
            )
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1))[None]
        return torch.from_numpy(self.model.run(pixels)[0])

    def to_plain(self) -> dict[str, Any]:
        """The file's metadata."""
        return dict(self.metadata)
