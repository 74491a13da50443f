"""The efficient decoder: what it costs, how it grows with its encoder, what it computes."""

from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from effunet.model import raw
from effunet.model.decoders.efficient import DecoderLevel, EfficientDecoder
from effunet.model.decoders.plan import UNET_WIDTHS, DecoderPlan, decoder_plan
from effunet.model.encoder import EfficientNet
from effunet.model.network import EffUNet
from effunet.model.scaling import VARIANTS, compound, published

PYRAMID = (8, 6, 10, 12, 16)


def macs(variant: str, decoder: str, size: int = 512) -> int:
    return raw.count_macs(partial(network, variant, decoder), 3, size, size)


def network(variant: str, decoder: str = "efficient") -> EffUNet:
    return EffUNet(EfficientNet(variant), 19, decoder)  # pyright: ignore[reportArgumentType]


def test_b0_costs_less_than_a_third_of_the_unets_work() -> None:
    assert macs("b0", "efficient") <= 4.0e9 < macs("b0", "unet") / 3


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_size_costs_less_than_with_the_unet(variant: str) -> None:
    assert macs(variant, "efficient", 64) < macs(variant, "unet", 64)


def test_its_share_of_the_work_never_grows_from_b0_to_b7() -> None:
    shares = []
    for variant in VARIANTS:
        whole = raw.shapes_of(partial(network, variant)).eval()
        size = 256
        with torch.device("meta"), torch.no_grad():
            pyramid = [
                torch.empty(1, width, size >> level, size >> level)
                for level, width in enumerate(whole.encoder.widths, 1)
            ]
            with FlopCounterMode(display=False) as counter:
                whole.head(whole.decoder(tuple(pyramid)))
        shares.append(counter.get_total_flops() / 2 / macs(variant, "efficient", size))
    assert all(share <= shares[0] for share in shares), shares


def test_widths_follow_the_encoders_and_depth_grows_where_it_is_cheap() -> None:
    assert decoder_plan("efficient", published("b0")).repeats == (1, 1, 1)
    b7 = decoder_plan("efficient", published("b7"))
    b0 = decoder_plan("efficient", published("b0"))
    assert b7.widths == tuple(2 * width for width in b0.widths)
    assert b7.repeats == (3, 3, 1)
    plans = [decoder_plan("efficient", compound(phi)) for phi in (-4, -2, 0, 2, 4, 8)]
    for small, large in pairwise(plans):
        assert small.widths < large.widths and small.repeats <= large.repeats


def test_the_unet_keeps_its_widths_whatever_the_encoder() -> None:
    plans = {decoder_plan("unet", published(name)) for name in VARIANTS}
    assert plans == {DecoderPlan("unet", UNET_WIDTHS)}


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_each_level_halves_the_reduction(levels: int) -> None:
    plan = DecoderPlan("efficient", (12, 8, 6, 4)[:levels], (1,) * levels)
    decoder = EfficientDecoder(PYRAMID, plan)
    pyramid = tuple(torch.randn(2, w, 96 >> n, 64 >> n) for n, w in enumerate(PYRAMID, 1))
    found = decoder(pyramid)
    reduction = 32 >> levels
    assert found.shape == (2, plan.widths[-1], 96 // reduction, 64 // reduction)


def test_a_level_is_a_convolution_of_the_enlarged_and_the_skip_together() -> None:
    """Enlarging before or after a 1x1 convolution is the same: what is saved costs nothing."""
    level = DecoderLevel(16, 10, 12, repeats=1).double().eval()
    coarse = torch.randn(2, 16, 5, 7, dtype=torch.float64)
    skip = torch.randn(2, 10, 10, 14, dtype=torch.float64)
    both = torch.cat([F.interpolate(coarse, size=(10, 14), mode="bilinear"), skip], 1)
    weight = torch.cat([level.coarse.weight, level.skip.weight], 1)
    expected = level.mix(level.norm(F.conv2d(both, weight)).relu())
    torch.testing.assert_close(level(coarse, skip), expected, rtol=0, atol=1e-12)


def test_more_levels_than_skips_are_refused() -> None:
    with pytest.raises(ValueError, match="4 levels need as many skips, got 2"):
        EfficientDecoder((8, 8, 8), DecoderPlan("efficient", (8, 8, 8, 8), (1, 1, 1, 1)))


def test_the_logits_are_enlarged_once_from_the_last_levels_size() -> None:
    torch.manual_seed(0)
    network = EffUNet(EfficientNet(compound(-12)), classes=3).eval()
    image = torch.randint(0, 256, (1, 3, 50, 70), dtype=torch.uint8)
    coarse = network.head(network.decoder(network.encoder.features(network.normalise(image))))
    assert coarse.shape[-2:] == (16, 24)
    expected = F.interpolate(coarse, size=(64, 96), mode="bilinear")[..., :50, :70]
    torch.testing.assert_close(network(image), expected, rtol=0, atol=1e-6)
