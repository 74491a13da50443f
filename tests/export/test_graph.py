"""What is exported computes what the network does, for the whole family."""

from typing import get_args

import numpy as np
import pytest
import torch
from tiny_segmenter import LABELS, tiny_segmenter

from effunet.calibration import Calibration
from effunet.export.graph import Graph
from effunet.export.proof import BOUNDS, scenes
from effunet.export.unet import Doubling
from effunet.model.deciding import decided, probable
from effunet.model.encoder import EfficientNet
from effunet.model.foreign import SmpNetwork, SmpPlan
from effunet.model.network import EffUNet

CLOSE = BOUNDS["fp32"].difference
VARIANTS = [f"b{number}" for number in range(8)]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    noise = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 45, 70), dtype=torch.uint8, generator=noise)


@torch.no_grad()
def lively(network: torch.nn.Module) -> torch.nn.Module:
    """Norms that are not the identity, with the statistics of what will flow through them.

    With others, or where a channel hardly varies, a deep network of random weights is
    ill-conditioned: it differs from itself in float64.
    """
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        torch.nn.init.uniform_(norm.weight, 0.8, 1.2)
        torch.nn.init.uniform_(norm.bias, -0.2, 0.2)
        norm.momentum = 1.0
    shown = [images for _, images in scenes(3, [(96, 128)])]  # scenes, random, black, white
    network.train()(torch.from_numpy(np.concatenate(shown)))
    for norm in norms:
        assert norm.running_var is not None
        norm.running_var.clamp_(min=norm.running_var.mean())
    return network.eval()


def difference(network: torch.nn.Module, graph: Graph, images: torch.Tensor) -> float:
    with torch.inference_mode():
        wanted, found = network(images), graph(images)
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max() / (wanted.max() - wanted.min()))


@pytest.mark.parametrize("decoder", ["efficient", "unet"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_graph_of_every_variant_and_decoder_gives_the_networks_logits(
    variant: str, decoder: str, images: torch.Tensor
) -> None:
    torch.manual_seed(0)
    network = lively(EffUNet(EfficientNet(variant), classes=5, decoder=decoder))
    for doubling in get_args(Doubling) if decoder == "unet" else ("concatenated",):
        assert difference(network, Graph(network, doubling=doubling), images) < CLOSE


def test_the_graph_of_an_smp_network_gives_its_logits(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    plan = SmpPlan("Unet", "resnet18", 4, 3, (0.5,) * 3, (0.25,) * 3)
    network = lively(SmpNetwork(plan))
    assert difference(network, Graph(network), images) < CLOSE


@pytest.mark.parametrize("channels", [1, 5])
def test_other_channels_than_three_are_taken(channels: int) -> None:
    segmenter = tiny_segmenter(channels=channels)
    images = torch.randint(0, 256, (1, channels, 33, 40), dtype=torch.uint8)
    assert difference(segmenter.network, Graph(segmenter.network), images) < CLOSE


def test_probabilities_and_masks_are_those_of_the_calibration(images: torch.Tensor) -> None:
    segmenter = tiny_segmenter().calibrated(2.5)
    network, calibration = segmenter.network, segmenter.calibration
    with torch.inference_mode():
        wanted = [probable(logits, 2.5) for logits in network(images)]
        found = Graph(network, "probabilities", calibration)(images)
        masks = Graph(network, "mask", calibration)(images)
    torch.testing.assert_close(found, torch.stack(wanted), atol=1e-4, rtol=0)
    assert masks.dtype == torch.uint8
    assert (masks == torch.stack([decided(one, None)[0] for one in wanted])).float().mean() > 0.999


def test_a_mask_of_two_classes_is_decided_by_the_threshold(images: torch.Tensor) -> None:
    segmenter = tiny_segmenter(labels=type(LABELS)(LABELS.classes[:2], LABELS.ignore))
    calibration = Calibration(1.0, 0.9)
    with torch.inference_mode():
        second = segmenter.network(images).softmax(1)[:, 1]
        found = Graph(segmenter.network, "mask", calibration)(images)
    assert ((second >= 0.9) == found.bool()).float().mean() > 0.999
    assert 0 < found.float().mean() < 1


def test_the_graph_holds_copies_of_the_weights(images: torch.Tensor) -> None:
    segmenter = tiny_segmenter()
    graph = Graph(segmenter.network)
    with torch.inference_mode():
        before = graph(images).clone()
        for weight in segmenter.network.parameters():
            weight.zero_()
        assert torch.equal(graph(images), before)
