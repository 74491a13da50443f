"""Does a map mean anything? Four measurements, each against what it would be by chance.

deletion, insertion: Petsiuk et al. 2018 (arXiv 1806.07421); pointing game: Zhang et al. 2016 (arXiv
1608.00507); sanity check by randomised weights: Adebayo et al. 2018 (arXiv 1810.03292).
"""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, UInt8
from numpy import ndarray
from torch import Tensor, nn

from effunet.model.deciding import probable
from effunet.model.kinds import Network
from effunet.segmenter import Segmenter

STEPS = 10
"""Shares of the pixels at which a curve is measured, beside none."""

BATCH = 4
"""Images that go through the network at once; more take more memory and give the same numbers."""

Map = Float[ndarray, "H W"]
Coarse = Float[ndarray, "h w"]
"""A map at the places of its feature, or at those of the image."""


def curves(
    segmenter: Segmenter,
    image: UInt8[ndarray, "H W C"],
    heat: Map,
    index: int,
    pixels: Bool[ndarray, "H W"],
    steps: int = STEPS,
) -> tuple[Float64[ndarray, " S"], Float64[ndarray, " S"]]:
    """Deletion and insertion: the class's mean probability over `pixels`, as the image changes.

    Deletion blurs the pixels of the largest values first, insertion brings them back first into the
    blurred image. What is blurred away is no new thing in the picture, as black would be.

    Returns:
        Two curves, at the shares 0, 1 / steps, ..., 1 of the pixels.
    """
    # Ties are broken by a fixed draw: in the order of the rows they would favour the sky.
    draw = np.random.default_rng(0).permutation(heat.size)
    order = draw[np.argsort(-heat.reshape(-1)[draw], kind="stable")]
    rank = np.empty(heat.size, np.int64)
    rank[order] = np.arange(heat.size)
    rank = rank.reshape(heat.shape)
    dim = blurred(image)
    limits = [heat.size * step // steps for step in range(steps + 1)]
    deleted = (np.where((rank < limit)[..., None], dim, image) for limit in limits)
    inserted = (np.where((rank < limit)[..., None], image, dim) for limit in limits)
    found = _scores(segmenter, [*deleted, *inserted], index, pixels)
    return found[: steps + 1], found[steps + 1 :]


def area(curve: Float64[ndarray, " S"]) -> float:
    """The area below a curve over shares 0..1, by trapezoids."""
    return float(((curve[1:] + curve[:-1]) / 2).mean())


def blurred(image: UInt8[ndarray, "H W C"]) -> UInt8[ndarray, "H W C"]:
    """The image with everything smaller than an eighth of its shorter side blurred away."""
    height, width = image.shape[:2]
    side = max(1, min(height, width) // 8)
    pixels = torch.from_numpy(np.array(image, order="C")).permute(2, 0, 1)[None].float()
    small = F.interpolate(pixels, size=(max(1, height // side), max(1, width // side)), mode="area")
    whole = F.interpolate(small, size=(height, width), mode="bilinear")
    return whole[0].permute(1, 2, 0).round().to(torch.uint8).numpy()


def hits(heat: Map, truth: Bool[ndarray, "H W"]) -> bool:
    """The pointing game: whether the largest value lies on the class's true pixels.

    Of several largest places the middle one, in the order of rows, is taken.
    """
    places = np.flatnonzero(heat == heat.max())
    return bool(truth.reshape(-1)[places[len(places) // 2]])


def alike(one: Coarse, other: Coarse) -> float:
    """Spearman's rank correlation of two maps, -1..1; 0 where one of them is flat."""
    from scipy.stats import rankdata

    ranks = [rankdata(heat.reshape(-1)) for heat in (one, other)]
    if any(rank.std() == 0 for rank in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def randomised(segmenter: Segmenter, seed: int = 0) -> Segmenter:
    """The same segmenter with weights that have learnt nothing: each tensor's values are shuffled.

    So that the size of what flows stays about as it was, while nothing of what was learnt is left.
    """
    network: Network = deepcopy(segmenter.network)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.LayerNorm):
                for weight in module.parameters(recurse=False):
                    order = torch.randperm(weight.numel(), generator=draw).to(weight.device)
                    weight.copy_(weight.reshape(-1)[order].reshape(weight.shape))
    return Segmenter(network, segmenter.labels, segmenter.metadata)


def noisy(
    image: UInt8[ndarray, "H W C"], draws: int = 2, noise: float = 5.0
) -> list[UInt8[ndarray, "H W C"]]:
    """The image with Gaussian noise, in several draws that are the same ones at each call.

    Args:
        image: raw.
        draws: of the noise.
        noise: its standard deviation, in grey levels of 255.
    """
    found: list[UInt8[ndarray, "H W C"]] = []
    for seed in range(draws):
        added = np.random.default_rng(seed).normal(0, noise, image.shape)
        found.append(np.clip(np.rint(image + added), 0, 255).astype(np.uint8))
    return found


def stability(heat: Coarse, others: Sequence[Coarse]) -> float:
    """How alike maps of the image with small noise are to its own: the mean of `alike`."""
    return float(np.mean([alike(heat, other) for other in others]))


def _scores(
    segmenter: Segmenter,
    images: Sequence[UInt8[ndarray, "H W C"]],
    index: int,
    pixels: Bool[ndarray, "H W"],
) -> Float64[ndarray, " N"]:
    """The class's mean probability over the pixels, of each image."""
    temperature = segmenter.calibration.temperature
    chosen = torch.from_numpy(pixels).to(segmenter.device)
    found: list[Tensor] = []
    for start in range(0, len(images), BATCH):
        batch = torch.from_numpy(np.stack(images[start : start + BATCH])).to(segmenter.device)
        top, sums = 0, torch.zeros(len(batch), dtype=torch.float64, device=segmenter.device)
        for logits in segmenter.logits(batch.permute(0, 3, 1, 2)):
            rows = chosen[top : top + logits.shape[2]]
            top += logits.shape[2]
            for place, one in enumerate(logits):
                sums[place] += probable(one, temperature)[index][rows].double().sum()
        found.append(sums / chosen.sum())
    return torch.cat(found).cpu().numpy()
