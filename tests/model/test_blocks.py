import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from effunet.model.blocks import (
    ConvNormAct,
    DropPath,
    MBConv,
    SqueezeExcite,
    StridedSameConv,
    init_weights,
)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 8), (8, 7), (9, 9), (16, 16)])
def test_same_padding_equals_timms_for_every_parity(kernel: int, size: tuple[int, int]) -> None:
    ours = StridedSameConv(4, 6, kernel, 2, bias=False)
    theirs = Conv2dSame(4, 6, kernel, 2, bias=False)
    theirs.load_state_dict(ours.state_dict())
    feature = torch.randn(2, 4, *size)
    torch.testing.assert_close(ours(feature), theirs(feature), rtol=0, atol=1e-6)


def test_same_padding_starts_at_the_first_pixel_of_an_even_size() -> None:
    conv = StridedSameConv(1, 1, 3, 2, bias=False)
    nn.init.ones_(conv.weight)
    feature = torch.zeros(1, 1, 4, 4)
    feature[0, 0, 2, 2] = 1  # seen by the windows 0..2 and 2..4; symmetric: by 1..3 alone
    assert conv(feature).tolist() == [[[[1, 1], [1, 1]]]]


def test_symmetric_padding_and_stride_1_need_no_padding_step() -> None:
    for block in (
        ConvNormAct(3, 8, 3, stride=2, padding="symmetric"),
        ConvNormAct(3, 8, 5, stride=1, padding="same"),
    ):
        assert type(block.conv) is nn.Conv2d
        assert block.conv.padding == (block.conv.kernel_size[0] // 2,) * 2


def test_a_gate_scales_whole_channels_by_less_than_one() -> None:
    gate = SqueezeExcite(8, 2)
    feature = torch.rand(2, 8, 5, 7) + 0.5
    ratio = gate(feature) / feature
    assert ratio.amin() > 0
    assert ratio.amax() < 1
    torch.testing.assert_close(ratio, ratio[..., :1, :1].expand_as(ratio))


def test_the_gates_inner_width_is_a_quarter_of_the_blocks_input() -> None:
    block = MBConv(24, 40, kernel=5, stride=2, expansion=6)
    assert block.squeeze.reduce.weight.shape == (6, 144, 1, 1)


def test_only_a_block_that_keeps_size_and_width_has_a_shortcut() -> None:
    keeps = MBConv(16, 16, kernel=3, stride=1, expansion=6, drop_path=0.5)
    halves = MBConv(16, 16, kernel=3, stride=2, expansion=6, drop_path=0.5)
    widens = MBConv(16, 24, kernel=3, stride=1, expansion=6, drop_path=0.5)
    assert [block.shortcut for block in (keeps, halves, widens)] == [True, False, False]
    assert [block.drop_path.rate for block in (keeps, halves, widens)] == [0.5, 0.0, 0.0]


def test_drop_path_drops_whole_images_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.25)
    result = drop(torch.ones(20_000, 2, 3, 3))
    per_image = result.flatten(1)
    assert (per_image == per_image[:, :1]).all()
    assert set(per_image.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert result.mean().item() == pytest.approx(1, abs=0.02)  # 5 standard errors


def test_drop_path_leaves_evaluation_alone() -> None:
    feature = torch.randn(4, 2, 3, 3)
    assert torch.equal(DropPath(0.5).eval()(feature), feature)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_drop_path_rate_outside_0_to_1_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=f"must lie in .*, got {rate}"):
        DropPath(rate)


def test_fresh_convolutions_are_normal_by_fan_out() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(64, 128, 3).apply(init_weights)
    depthwise = nn.Conv2d(1024, 1024, 5, groups=1024).apply(init_weights)
    assert plain.weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert depthwise.weight.std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.02)
    assert not plain.get_parameter("bias").any()
