import pytest
import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

from effunet.model.decoders.unet import UNetDecoder

PYRAMID, WIDTHS = (8, 6, 10, 12, 16), (24, 16, 12, 8, 4)


def pyramid(height: int, width: int) -> tuple[Tensor, ...]:
    """Features of an image of any size: each level rounds up."""
    return tuple(
        torch.randn(2, channels, -(-height // 2**level), -(-width // 2**level), dtype=torch.float64)
        for level, channels in enumerate(PYRAMID, start=1)
    )


def with_equal_weights() -> tuple[UNetDecoder, UnetDecoder]:
    """Our decoder, and segmentation_models_pytorch's with the same weights and statistics."""
    ours = UNetDecoder(PYRAMID, WIDTHS).double()
    theirs = UnetDecoder((3, *PYRAMID), WIDTHS).double()
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
    theirs.load_state_dict(
        {name.replace("steps.", "blocks."): weight for name, weight in ours.state_dict().items()}
    )
    return ours, theirs


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [(64, 96), (70, 66), (34, 50)])
def test_the_decoder_is_that_of_segmentation_models_pytorch(
    training: bool, size: tuple[int, int]
) -> None:
    ours, theirs = (decoder.train(training) for decoder in with_equal_weights())
    features = pyramid(*size)
    image = torch.empty(2, 3, *size)  # of which theirs reads the size alone
    expected = theirs([image, *features])
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(features), expected, rtol=0, atol=1e-12)


def test_the_default_decoder_has_as_many_parameters_as_unet_for_b0() -> None:
    b0 = (32, 24, 40, 112, 320)
    ours, theirs = UNetDecoder(b0), UnetDecoder((3, *b0), (256, 128, 64, 32, 16))
    counts = [sum(weight.numel() for weight in net.parameters()) for net in (ours, theirs)]
    assert counts[0] == counts[1]


def test_a_missing_width_is_refused_with_both_numbers() -> None:
    with pytest.raises(ValueError, match="each of the 5 pyramid levels, got 2"):
        UNetDecoder(PYRAMID, (64, 32))
