"""What an encoder's norms say of its features, and what fresh decoders make of it."""

import pytest
import torch
from torch import nn

from effunet.model.blocks import MBConv
from effunet.model.encoder import EfficientNet, Numerics
from effunet.model.network import EffUNet
from effunet.model.scaling import Skip


def scaled(skip: Skip = "stem", times: float = 1.0) -> EfficientNet:
    """B0 whose blocks end in channels that the last norms scale by 2 to 6, `times` over."""
    torch.manual_seed(0)
    # A fresh block's output is so small that eps would scale it, too.
    encoder = EfficientNet("b0", numerics=Numerics(eps=1e-12), drop_path=0.0, skip=skip)
    for module in encoder.modules():
        if isinstance(module, MBConv):
            nn.init.uniform_(module.project.norm.weight, 2 * times, 6 * times)
    return encoder.train()


@pytest.mark.parametrize("skip", ["stem", "stage1", "smp"])
def test_spreads_are_the_deviations_that_the_features_have(skip: Skip):
    encoder = scaled(skip)
    with torch.no_grad():
        features = encoder.features(torch.randn(4, 3, 128, 128))
    spreads = encoder.spreads()
    assert [len(spread) for spread in spreads] == list(encoder.widths)
    for place, (feature, spread) in enumerate(zip(features, spreads, strict=True)):
        ratio = spread / feature.std((0, 2, 3))
        if place == 0 and skip != "stage1":  # SiLU takes about a half away
            assert ratio.min() >= 1 and ratio.max() <= 3
        else:  # branches are not quite independent of what they are added to
            assert ratio.min() >= 0.7 and ratio.max() <= 1.4


@pytest.mark.parametrize("decoder", ["efficient", "unet"])
def test_a_fresh_decoder_takes_a_pyramid_alike_however_large_its_features_are(decoder: str):
    logits: list[torch.Tensor] = []
    image = torch.randint(256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(2)).float()
    for times in (1.0, 8.0):
        encoder = scaled("stage1", times)
        torch.manual_seed(1)
        network = EffUNet(encoder, 5, decoder).train()
        with torch.no_grad():
            logits.append(network(image))
    assert logits[0].std() > 0.1
    torch.testing.assert_close(*logits, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("decoder", ["efficient", "unet"])
def test_an_encoder_whose_last_norms_give_nothing_gets_a_decoder_of_numbers(decoder: str):
    encoder = EfficientNet("b0")
    for module in encoder.modules():
        if isinstance(module, MBConv):
            nn.init.zeros_(module.project.norm.weight)
    weights = EffUNet(encoder, 5, decoder).state_dict().values()
    assert all(weight.isfinite().all() for weight in weights)
