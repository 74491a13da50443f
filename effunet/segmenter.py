"""A Segmenter: images in, masks out; the network, its classes and its facts in one safe file.

Everything that is done with a trained network (evaluate, predict, explain, export) needs this
alone: no config, no dataset, no class path, no pickle.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from effunet import artifact
from effunet.errors import ModelError, ResourceError
from effunet.labels import LabelMap
from effunet.model.deciding import probable
from effunet.model.inference import Latest
from effunet.model.kinds import Network
from effunet.model.stored import derived, described
from effunet.predictor import Predictor
from effunet.tensors import Image, Logits


class Segmenter(Predictor):
    """A network with the names of its classes: call it with an image of any size."""

    def __init__(
        self, network: Network, labels: LabelMap, metadata: dict[str, Any] | None = None
    ) -> None:
        """Put a network and its classes together.

        Args:
            network: raw images in, logits out; set to evaluation mode by every prediction.
            labels: one class for each of the network's.
            metadata: facts that only a training knows, plain JSON: `dataset` (its name),
                `training_size` ([height, width]), `pixel_ranges` (the value_range of its images,
                a list of pairs; absent: the usual 8 and 16 bit), `scores`, `calibration` (see
                `calibrated`). What follows from the network and the labels is derived, and added
                by `to_plain`.

        Raises:
            ValueError: another number of labels than of classes, or a calibration that is none.
        """
        if len(labels) != network.plan.classes:
            raise ValueError(
                f"the network has {network.plan.classes} classes and the label map {len(labels)}"
            )
        super().__init__(labels, metadata)
        self.network = network
        self._latest = Latest()

    @property
    def channels(self) -> int:
        """Of an image; 3 is RGB."""
        return self.network.plan.channels

    @property
    def device(self) -> torch.device:
        """Where the weights lie, and so where the work is done."""
        return next(self.network.parameters()).device

    def calibrated(
        self, temperature: float, threshold: float | None = None, **facts: Any
    ) -> "Segmenter":
        """The same network, shared, with these; they replace those that it has.

        Args:
            temperature: divides the logits, 0.01..100.
            threshold: for two classes: the probability of class 1 from which on it is named.
            facts: where both are from, plain JSON: `dataset`, `split`, `images` (their number).

        Raises:
            ValueError: out of range, or a threshold for other than two classes.
        """
        entry = {**facts, "temperature": temperature, "threshold": threshold}
        other = Segmenter(self.network, self.labels, {**self.metadata, "calibration": entry})
        other._latest = self._latest
        return other

    def strips(
        self, image: UInt8[ndarray, "H W C"]
    ) -> Iterator[tuple[int, Float[Tensor, "K h W"]]]:
        """Probabilities from top to bottom, as (first row, strip), of `logits`.

        With the temperature of the calibration: softmax(logits / temperature).
        """
        # A copy, for torch takes no mirrored view and warns of a read-only one (from Pillow, say).
        pixels = torch.from_numpy(np.array(image, order="C")).to(self.device)
        # As a batch before its axes are turned: only so torch sees channels_last memory, in which
        # the training validates, and computes the same bits (and does it faster).
        batch = pixels.view(1, *image.shape).permute(0, 3, 1, 2)
        temperature, top = self.calibration.temperature, 0
        for logits in self.logits(batch):
            yield top, probable(logits[0], temperature)
            top += logits.shape[2]

    def logits(self, images: Image) -> Iterator[Logits]:
        """Logits of a batch from top to bottom, in strips of rows; the one way to the network.

        On a CPU, our own network computes through its inference form
        (`effunet.model.inference`). No gradients flow.

        Args:
            images: raw, on the segmenter's device.
        """
        self.network.eval()
        yield from self._latest.strips(self.network, images)

    def to_plain(self) -> dict[str, Any]:
        """The metadata of the file, as plain JSON: the training's facts and all that is derived."""
        plan = self.network.plan
        height, width = self.metadata.get("training_size") or [plan.resolution] * 2
        return {
            "training_size": None,
            "dataset": None,
            "scores": None,
            **self.metadata,
            "format": artifact.FORMAT,
            "version": artifact.VERSION,
            "library": artifact.library(),
            "network": plan.to_plain(),
            "labels": self.labels.to_plain(),
            **derived(plan),
            "parameters": sum(weight.numel() for weight in self.network.parameters()),
            "macs": {
                "height": height,
                "width": width,
                "value": self.network.macs(height, width),
            },
        }

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all; equal weights and facts give equal bytes."""
        weights = {
            name: tensor.detach().cpu().contiguous()
            for name, tensor in self.network.state_dict().items()
        }
        facts = json.dumps(self.to_plain(), sort_keys=True, allow_nan=False)
        artifact.write(Path(path), to_bytes(weights, {artifact.METADATA_KEY: facts}))

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> "Segmenter":
        """Read a segmenter file, or the one of a run folder, and check it whole.

        Args:
            path: segmenter.safetensors, or a folder that holds one (runs/latest).
            device: a torch device, or "auto": CUDA where there is one.

        Raises:
            ModelError: anything that makes the file less than a sound segmenter.
            ResourceError: the device is not there.
        """
        place = device_of(device)
        header = artifact.inspect(path)
        network, labels = described(header)
        try:
            weights = load_file(header.path)
        except SafetensorError as error:
            raise ModelError(f"{header.path} is damaged: {error}") from error
        for name, tensor in weights.items():
            if not tensor.isfinite().all():
                raise ModelError(
                    f"{header.path}: the weights {name} are not all finite numbers; "
                    "the training diverged: take an earlier segmenter"
                )
        network.load_state_dict(weights)
        try:
            return cls(network.eval().to(place), labels, header.metadata)
        except ValueError as error:
            raise ModelError(
                f"{header.path} has a damaged calibration: {error}; calibrate it anew"
            ) from error


def device_of(name: str | torch.device) -> torch.device:
    """The device that a word means; auto: cuda where there is one.

    Raises:
        ResourceError: no CUDA device is there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ResourceError("no CUDA device is available here: use --device cpu")
    return device
