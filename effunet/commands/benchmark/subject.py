"""A model file -> what can be timed of it: functions that take one image, or batch, from memory."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from effunet.commands.models import named
from effunet.commands.way import keep_blocks_for
from effunet.exported import Exported
from effunet.infer import predict_mask
from effunet.model import kinds
from effunet.predictor import Predictor
from effunet.segmenter import Segmenter

BLOCK = 16
"""Pixels a side of an image's areas of one colour."""


@dataclass(frozen=True)
class Subject:
    """A model that is ready, on its device."""

    works: dict[str, Callable[[], object]]  # each done whole when it returns; the first says most
    macs: int  # of one image
    precision: str
    device: str  # cpu or cuda
    device_name: str


def open_subject(model: str, height: int, width: int, batch: int, device: str) -> Subject:
    """Load a model and lay its images ready.

    Of one image: `mask`, a uint8 image in memory to its mask in memory, as `effunet predict`
    computes it, and `network`, the same image to logits. Of a batch: `network` alone.

    Raises:
        ModelError, ResourceError, UsageError: as Named.load.
    """
    segmenter = named(model, torch.get_num_threads()).load(device)
    keep_blocks_for(segmenter)
    images = made_images(batch, height, width, segmenter.channels)
    plan = kinds.plan_of(segmenter.to_plain()["network"])
    cuda = segmenter.device.type == "cuda"

    def mask() -> object:
        return predict_mask(segmenter, images[0]).cpu().numpy()

    network = _network(segmenter, images)
    return Subject(
        works={"mask": mask, "network": network} if batch == 1 else {"network": network},
        macs=kinds.build(plan).macs(height, width),
        precision=_precision(segmenter),
        device="cuda" if cuda else "cpu",
        device_name=torch.cuda.get_device_name(segmenter.device) if cuda else "cpu",
    )


def _network(segmenter: Predictor, images: UInt8[ndarray, "B H W C"]) -> Callable[[], object]:
    """The network alone, or an exported file, on these images."""
    if isinstance(segmenter, Exported):
        batch = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return lambda: segmenter.model.run(batch)
    assert isinstance(segmenter, Segmenter)
    pixels = torch.from_numpy(images).to(segmenter.device).permute(0, 3, 1, 2)

    def network() -> None:
        for _ in segmenter.logits(pixels):
            pass
        if pixels.is_cuda:
            torch.cuda.synchronize()

    return network


def made_images(batch: int, height: int, width: int, channels: int) -> UInt8[ndarray, "B H W C"]:
    """Images of random areas, the same in every process."""
    noise = np.random.default_rng(0)
    coarse = noise.integers(
        0, 256, (batch, -(-height // BLOCK), -(-width // BLOCK), channels), np.uint8
    )
    enlarged = coarse.repeat(BLOCK, 1).repeat(BLOCK, 2)
    return np.ascontiguousarray(enlarged[:, :height, :width])


def _precision(segmenter: Predictor) -> str:
    """The type of the weights, and of the products where it is a coarser one."""
    if not isinstance(segmenter, Segmenter):
        precision = str(segmenter.metadata["precision"])
        return {"fp32": "float32", "fp16": "float16 weights"}.get(precision, precision)
    dtype = str(next(segmenter.network.parameters()).dtype).removeprefix("torch.")
    tensor_cores = (
        segmenter.device.type == "cuda"
        and torch.backends.cudnn.allow_tf32
        and torch.cuda.get_device_capability(segmenter.device) >= (8, 0)
    )
    return f"{dtype}, convolutions in TF32" if dtype == "float32" and tensor_cores else dtype
